"""The configuration: the shipped ones are sound, mistakes are named, the grid is the one promised."""

import copy
import json
import math
from pathlib import Path

import pytest
import yaml

from mlet_bench.config import cell_spec, cell_training, cells, check_config, read_config, run_folders
from mlet_bench.config_schema import COPY, config_schema
from mlet_bench.errors import BenchError
from mlet_bench.files import write_sealed
from mlet_bench.models import MODELS

ROOT = Path(__file__).parents[1]
SMALL = {
    "profile": "toy",
    "datasets": {"avazu": {"source": "synthesize", "rows": 1000}},
    "arms": ["single", "mlet"],
    "dims": [4, 16],
    "inner_dims": [8, 16],
    "seeds": [0, 1],
}


def load(name):
    return check_config(yaml.safe_load((ROOT / "workflow" / "config" / f"{name}.yaml").read_text()))


@pytest.mark.parametrize("name", ["paper", "smoke", "sample", "budget", "backbones"])
def test_shipped_configs_are_sound(name):
    assert load(name)["profile"] == name


def test_cells_within_budgets():
    config = load("budget")
    within = [cell for cell in cells(config) if cell.budget and cell.dataset == "avazu"]
    assert {cell.dim for cell in within} == {16} and {cell.budget for cell in within} == {
        *("1/4", "1/8", "1/16", "1/64", "1/256")
    }
    assert {cell.name for cell in within if cell.arm == "mlet-hash" and cell.budget == "1/16"} == {
        "mlet-hash-d16-k64-b1_16"
    }
    assert cell_spec(config, within[0], seed=0).budget == within[0].budget
    assert not [cell for cell in cells(config | {"budgets": {"enabled": False}}) if cell.budget]


@pytest.mark.parametrize(
    ("budgets", "said"),
    [({"sizes": ["1/4"], "arms": ["hash", "single"]}, "config.budgets.arms has 'single', whose width is its size"),
     ({"sizes": ["16"], "arms": ["hash"]}, r"config.budgets.sizes\[0\] is '16'"),
     ({"sizes": ["1/4"], "arms": ["mlet-hash"], "inner_dims": [8]}, "config.budgets.dim has d=16, above every k")],
)  # fmt: skip
def test_budgets_that_no_cell_can_have(budgets, said):
    config = yaml.safe_load((ROOT / "workflow/config/smoke.yaml").read_text())
    with pytest.raises(BenchError, match=said):
        check_config(config | {"budgets": budgets})


def test_the_committed_schema_is_the_generated_one():
    assert json.loads(COPY.read_text()) == config_schema(), "run python -m mlet_bench.config_schema"


def test_paper_is_the_full_reproduction():
    config = load("paper")
    grid = list(cells(config | {"controls": config["controls"] | {"enabled": False}}))
    assert {cell.dataset for cell in grid} == {"criteo-kaggle", "avazu"}
    widths = {(cell.dim, cell.inner_dim) for cell in grid if cell.arm == "mlet"}
    assert widths == {(d, k) for d in (4, 8, 16, 32, 64) for k in (16, 64) if k >= d}
    assert widths == {(cell.dim, cell.inner_dim) for cell in grid if cell.arm == "single-lr"}
    assert sorted(cell.dim for cell in grid if cell.arm == "single") == sorted([4, 8, 16, 32, 64] * 2)
    assert len(grid) == 2 * (5 + 8 + 8)
    assert len(list(run_folders(config, "results/paper"))) == 10 * len(list(cells(config)))
    assert (config["training"]["lr"], config["training"]["batch_size"], config["training"]["epochs"]) == (0.2, 128, 1)


def test_defaults_are_written_out():
    config = check_config(SMALL)
    assert config["models"] == {"dlrm": {"bottom": [256, 64], "top": [512, 256]}}
    assert config["training"]["optimizer"] == "sgd"
    assert config["datasets"]["avazu"]["split"] == "random"
    assert check_config(config) == config


def test_a_recipe_gives_what_is_left_out():
    def given(recipe, models, **training):
        config = check_config(SMALL | {"training": {"recipe": recipe} | training, "models": models})
        return config["training"]["lr"], config["models"]["dlrm"]["bottom"], config["models"]["dlrm"]["top"]

    assert given("authors", ["dlrm"]) == given("authors", {"dlrm": {}}) == (0.2, [256, 64], [512, 256])
    assert given("dlrm", ["dlrm"]) == (0.1, [512, 256, 64], [512, 256])
    assert given("dlrm", {"dlrm": {"top": []}}, lr=0.5) == (0.5, [512, 256, 64], [])


def test_every_pair_with_k_at_least_d():
    assert [cell.name for cell in cells(check_config(SMALL))] == [
        "single-d4", "single-d16", "mlet-d4-k8", "mlet-d4-k16", "mlet-d16-k16",
    ]  # fmt: skip


def test_controls_add_their_cells_once_and_can_be_switched_off():
    controls = {"arms": ["mlet", "single-lr", "single-lr-tuned"], "inner_dims": [16]}
    names = [cell.name for cell in cells(check_config(SMALL | {"controls": controls}))]
    assert names[5:] == ["single-lr-d4-k16", "single-lr-d16-k16", "single-lr-tuned-d4", "single-lr-tuned-d16"]
    assert len(names) == len(set(names))
    off = check_config(SMALL | {"controls": controls | {"enabled": False}})
    assert len(list(cells(off))) == 5
    with pytest.raises(BenchError, match=r"config\.controls\.dims has d=32, above every k in config\.controls\.inner"):
        check_config(SMALL | {"controls": controls | {"dims": [32]}})


def test_a_block_can_be_of_some_models_alone():
    controls = {"enabled": True, "arms": ["single-lr-tuned"], "models": ["dcn"]}
    config = check_config(SMALL | {"models": ["dlrm", "dcn"], "controls": controls})
    found = {(cell.model, cell.arm) for cell in cells(config)}
    assert found >= {(model, arm) for model in ("dlrm", "dcn") for arm in SMALL["arms"]}
    assert {model for model, arm in found if arm == "single-lr-tuned"} == {"dcn"}
    with pytest.raises(BenchError, match=r"config\.controls\.models has 'nfm', which config\.models \(dlrm\) has not"):
        check_config(SMALL | {"controls": controls | {"models": ["nfm"]}})


def test_backbones_follow_the_second_paper():
    config = load("backbones")
    assert {cell.dataset for cell in cells(config)} == {"avazu"} and set(config["models"]) == set(MODELS)
    assert config["training"]["recipe"] == "authors-b" and config["training"]["batch_size"] == 256
    widths = {(cell.dim, cell.inner_dim) for cell in cells(config) if cell.arm == "mlet"}
    assert widths == {(d, k) for d in (4, 8, 16, 32) for k in (8, 16, 32, 64) if k >= d}


def test_longer_trainings_are_cells_of_their_own():
    longer = {"arms": ["single", "mlet"], "dims": [4], "inner_dims": [16], "epochs": 4}
    config = check_config(SMALL | {"longer": longer, "training": {"validations": 5}})
    grid = {cell.name: cell for cell in cells(config)}
    assert list(grid)[5:] == ["single-d4-e4", "mlet-d4-k16-e4"]
    settings = cell_training(config, grid["mlet-d4-k16-e4"])
    assert (settings["epochs"], settings["validations"], settings["lr"]) == (4, 20, 0.2)
    assert cell_training(config, grid["mlet-d4-k16"]) == config["training"]


def test_run_folders_follow_the_grammar():
    _, seed, folder = list(run_folders(check_config(SMALL), "results/toy"))[-1]
    assert (seed, folder) == (1, Path("results/toy/runs/avazu/dlrm/mlet-d16-k16/seed1"))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["epoch"], 1, r"config: unknown key 'epoch'; allowed are arms, budgets, controls"),
        (["training"], {"learning_rate": 1}, r"config\.training: unknown key 'learning_rate'; allowed are authors_sel"),
        (["arms"], ["single", "mlt"], r"config\.arms\[1\] is 'mlt'; allowed are single, mlet, single-lr"),
        (["dims"], [4, 0], r"config\.dims\[1\] is 0"),
        (["dims"], [4, 32], r"config\.dims has d=32, above every k in .*\[8, 16\].*needs k >= d"),
        (["inner_dims"], [2, 16], r"config\.inner_dims has k=2, below every d .*needs k >= d"),
        (["seeds"], [0, 0], r"config\.seeds is \[0, 0\]"),
        (["profile"], "../up", r"config\.profile is '\.\./up'"),
        (["datasets", "movielens"], {"source": "download"}, r"unknown key 'movielens'; allowed are avazu, criteo"),
        (["datasets", "avazu"], {"source": "file"}, r"'file' is missing with source 'file'"),
        (["datasets", "avazu"], {"source": "file", "file": "no/such.csv"}, r"avazu\.file is 'no/such\.csv': there"),
        (["datasets", "avazu"], {"source": "synthesize"}, r"'rows' is missing with source 'synthesize'"),
        (["datasets", "avazu"], {"source": "download", "rows": 1000}, r"'rows' has no meaning with source 'download'"),
        (["datasets", "avazu"], {"source": "download", "seed": 1}, r"'seed' has no meaning"),
        (["datasets", "avazu"], {"source": "sample"}, r"source is 'sample'; allowed are download, synthesize, file"),
        (["datasets", "avazu"], {"source": "download", "split": "blocks"}, r"'blocks'; allowed are random, random-90"),
        (["training"], {"recipe": "paper"}, r"training\.recipe is 'paper'; allowed are authors, authors-b, dlrm"),
        (["datasets", "criteo-kaggle"], {"source": "download", "authors_hour": True}, r"unknown key 'authors_hour'"),
        (["models"], ["dcm"], r"config\.models\[0\] is 'dcm'; allowed are dlrm, dcn"),
        (["models"], {"dcm": {}}, r"config\.models: unknown key 'dcm'; allowed are autoint, dcn"),
        (["models"], {"dlrm": {"width": 8}}, r"config\.models\.dlrm: unknown key 'width'; allowed are bottom, top"),
        (["models"], {"dlrm": {"top": [0]}}, r"config\.models\.dlrm\.top\[0\] is 0"),
        (["keep"], "collapsed", r"config\.keep is 'collapsed'; allowed are metrics, deployed, all"),
        (["plugins"], ["no_such_module"], r"plugin 'no_such_module' was not found"),
        (["plugins"], "mine", r"config\.plugins is 'mine'"),
        (["training"], {"lr": math.inf}, r"config\.training\.lr is inf: it must be a number, and finite"),
        (["training"], {"lr": math.nan}, r"config\.training\.lr is nan: it must be a number, and finite"),
        (["training"], {"lr": 10**400}, r"config\.training\.lr is 10+: it must be a number, and finite"),
        (["training"], {"lr": 0}, r"config\.training\.lr is 0"),
        (["training"], {"lr": True}, r"config\.training\.lr is True: it must be a number"),
        (["training"], {"lr": "abc"}, r"config\.training\.lr is 'abc': it must be a number"),
        (["training"], {"epochs": 1.5}, r"config\.training\.epochs is 1\.5: it must be a whole number"),
        (["training"], {"batch_size": 2**63}, r"config\.training\.batch_size is 9223372036854775808: .* below 2\^63"),
        (["embedding_lr_factors"], [1, math.inf], r"config\.embedding_lr_factors\[1\] is inf: .* finite"),
        (["seeds"], [1.0], r"config\.seeds\[0\] is 1\.0: it must be a whole number, 1 without a point"),
        (["seeds"], [2**63], r"config\.seeds\[0\] is 9223372036854775808: it must be below 2\^63"),
        (["dims"], [4.0], r"config\.dims\[0\] is 4\.0: it must be a whole number, 4 without a point"),
        (["models"], {"dlrm": {"top": [2.0]}}, r"config\.models\.dlrm\.top\[0\] is 2\.0: it must be a whole number"),
        (["datasets", "avazu"], {"source": "synthesize", "rows": 1e3}, r"rows is 1000\.0: .* 1000 without a point"),
        (["device"], "tpu", r"config\.device is 'tpu'; allowed are auto, cpu, cuda"),
        (["inner_dims"], [2**21], r"inner_dims\[0\] is \d+: .*maximum of 1048576"),
    ],
)  # fmt: skip
def test_mistakes_are_named(path, value, message):
    config = copy.deepcopy(SMALL)
    block = config
    for key in path[:-1]:
        block = block[key]
    block[path[-1]] = value
    with pytest.raises(BenchError, match=message):
        check_config(config)


@pytest.mark.parametrize("written", ["1e-1", "1e-5", "2e0", "1E3", "3e-12", "1e30"])
def test_a_number_that_yaml_reads_as_text_gets_one_that_it_reads(written):
    found = yaml.safe_load(f"lr: {written}")["lr"]
    with pytest.raises(BenchError, match=f"lr is '{written}': YAML reads it as text; write ") as refused:
        check_config(SMALL | {"training": {"lr": found}})
    again = yaml.safe_load(str(refused.value).rpartition("write ")[2])
    assert again == float(written) and check_config(SMALL | {"training": {"lr": again}})["training"]["lr"] == again
    with pytest.raises(BenchError, match=r"epochs is '1e0': YAML reads it as text; write 1$"):
        check_config(SMALL | {"training": {"epochs": "1e0"}})


@pytest.mark.parametrize("content", ["", '{"profile": "to', "[]", "{}", "\0" * 9])
def test_a_configuration_that_a_crash_cut_off_says_what_to_do(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(BenchError, match=r"config\.json .*: delete .*config\.json and run the workflow again"):
        read_config(tmp_path)


def test_a_results_folder_s_own_configuration_can_be_given_again(tmp_path):
    whole = check_config(SMALL)
    write_sealed(tmp_path / "config.json", whole)
    assert read_config(tmp_path) == whole == check_config(json.loads((tmp_path / "config.json").read_text()))
    (tmp_path / "config.json").write_text((tmp_path / "config.json").read_text().replace("0.2", "0.3"))
    with pytest.raises(BenchError, match="was altered since it was written"):
        read_config(tmp_path)


def test_missing_keys_are_named():
    with pytest.raises(BenchError, match="config: 'seeds' missing"):
        check_config({key: value for key, value in SMALL.items() if key != "seeds"})


def test_a_grid_of_single_layers_needs_no_inner_dims_above_d():
    config = check_config(SMALL | {"arms": ["single"], "dims": [64]})
    assert [cell.name for cell in cells(config)] == ["single-d64"]
