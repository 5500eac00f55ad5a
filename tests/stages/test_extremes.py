"""Extremes of data and settings: each a sentence or a right result, by ``cell`` from training to scores."""

import json
import math
import shutil
from dataclasses import replace

import pandas as pd
import pytest
from staged import call

from mlet_bench.runs import RunFolder
from mlet_bench.spec import DatasetSchema, Field
from mlet_bench.training import loop


def words_of(place, **options):
    settings = {"data": place / "data", "arm": "mlet", "dim": 4, "inner_dim": 8, "batch_size": 64, "validations": 2}
    settings |= {"seed": 0, "out": place / "cell/seed{seed}", "index": place / "cell/runs.json", "device": "cpu"}
    words = ["cell"]
    for name, value in (settings | options).items():
        if value is not None:
            values = value if isinstance(value, list) else [value]
            words += [f"--{name.replace('_', '-')}", *map(str, values)]
    return words


@pytest.fixture
def place(whole, tmp_path):
    shutil.copytree(whole / "data", tmp_path / "data")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_size": 10**6}, ""),
        ({"batch_size": 1}, ""),
        ({"dim": 1, "inner_dim": 1}, ""),
        ({"dim": 1, "inner_dim": None, "arm": "single"}, ""),
        ({"validations": 10**4}, ""),
        ({"validations": 0}, ""),
        ({"lr": 1e-30}, ""),
        ({"lr": 1e30}, "diverged"),
        ({"lr": 1e300}, "lr is 1e+300: it must be above 0, and at most 3.4e+38"),
        ({"lr": 1e30, "validations": 0, "batch_size": 10**6}, "diverged"),
        ({"lr": 1e30, "optimizer": "adagrad"}, "diverged"),
        ({"lr": 0}, "above 0"),
        ({"lr": -1}, "above 0"),
        ({"lr": math.nan}, ""),
        ({"lr": math.inf}, ""),
        ({"seed": 2**63 - 1}, ""),
        ({"seed": 2**63}, "is not a whole number from 0 to 2^63 - 1"),
        ({"dim": 4, "inner_dim": 10**6}, "and the machine has"),
        ({"dim": 10**9, "inner_dim": 10**9}, "d and k are at most 1,048,576"),
    ],
)
def test_settings(place, capsys, options, said):
    refused = bool(said) or not math.isfinite(options.get("lr", 1))
    try:
        status = call(*words_of(place, **options))
    except SystemExit as end:  # the parser's
        status = end.code
    found = capsys.readouterr().err
    assert status == (2 if refused else 0) and "Traceback" not in found
    assert said in found
    if not refused:
        run = RunFolder(place / f"cell/seed{options.get('seed', 0)}")
        metrics = json.loads((run.path / "metrics.json").read_text())
        assert all(math.isfinite(value) for value in metrics["test"].values())
        steps = math.ceil(DatasetSchema.read(place / "data").rows["train"] / options.get("batch_size", 64))
        assert len(pd.read_parquet(run.path / "curve.parquet")) == min(options.get("validations", 2), steps)


def edit_schema(place, **changes):
    """Change the schema and seal it again, without the sums of what it said before."""
    schema = DatasetSchema.read(place / "data")
    replace(schema, sums={}, **changes).sealed().write(place / "data")


@pytest.mark.parametrize("stage", ["cell", "train"])
@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("clicks", ["none", "all", "one row"])
def test_a_split_of_one_class_is_named_before_anything_is_trained(place, capsys, monkeypatch, stage, split, clicks):
    schema = DatasetSchema.read(place / "data")
    rows = schema.rows | ({split: 1} if clicks == "one row" else {})
    edit_schema(place, rows=rows, clicks=schema.clicks | {split: rows[split] if clicks == "all" else 0})
    (place / f"data/{split}.parquet").unlink()  # its rows are not asked for
    monkeypatch.setattr(loop, "build_pack", None)
    words = words_of(place)
    if stage == "train":
        words = ["train", *words[1 : words.index("--index")]]
    assert call(*words) == 2
    said = capsys.readouterr().err
    assert f"the {split} split has {rows[split]} row" in said.replace(",", "") and "prepare more rows" in said


def test_a_split_of_one_class_is_named_by_evaluate_too(whole, tmp_path, capsys):
    place = shutil.copytree(whole, tmp_path / "place")
    table = pd.read_parquet(place / "data/test.parquet")
    table["label"] = table["label"] * 0
    table.to_parquet(place / "data/test.parquet", index=False)
    edit_schema(place, clicks=DatasetSchema.read(place / "data").clicks | {"test": 0})
    assert call("evaluate", place / "runs/seed0") == 2
    assert "the test split has" in capsys.readouterr().err


def test_one_field_and_no_dense_feature(place):
    schema = DatasetSchema.read(place / "data")
    field = schema.fields[0]
    for split in ("train", "val", "test"):
        table = pd.read_parquet(place / f"data/{split}.parquet", dtype_backend="pyarrow")
        table[["label", field.name]].to_parquet(place / f"data/{split}.parquet", index=False)
    edit_schema(place, fields=(Field(field.name, field.size),), dense=())
    assert call(*words_of(place)) == 0
    assert 0 <= json.loads((place / "cell/seed0/metrics.json").read_text())["test"]["auc"] <= 1


def test_a_factor_that_no_run_can_have_is_refused_before_any_is_trained(place, capsys, monkeypatch):
    monkeypatch.setattr(loop, "build_pack", None)
    assert call(*words_of(place, arm="single-lr-tuned", inner_dim=None, embedding_lr_factors=[1, 1e39])) == 2
    assert "embedding_lr_factor is 1e+39" in capsys.readouterr().err


@pytest.mark.parametrize("validations", [2, 1000])
def test_a_factor_that_diverges_at_a_validation_is_not_chosen(place, validations):
    """Scored after each step, the model is seen to have diverged before a loss shows it."""
    words = words_of(place, arm="single-lr-tuned", inner_dim=None, embedding_lr_factors=[1, 1e8], seed=[0, 1])
    assert call(*words, "--validations", validations) == 0
    for seed in (0, 1):
        tuning = json.loads((place / f"cell/seed{seed}/tuning.json").read_text())
        assert tuning["chosen"] == 1
        assert "diverged" in tuning["candidates"][1]["failed"]


@pytest.mark.parametrize("pack", [1, 3])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_seed_that_diverges_at_a_validation_fails_alone(place, capsys, monkeypatch, pack, value):
    options = {"seed": [0, 1, 2], "pack": pack, "validations": 4}
    assert call(*words_of(place, **options)) == 0
    right = {seed: (place / f"cell/seed{seed}/metrics.json").read_bytes() for seed in (0, 1, 2)}
    shutil.rmtree(place / "cell")
    whole, calls = loop.logits_on_device, []

    def diverging(model, rows, *rest):
        calls.append(model)
        found = whole(model, rows, *rest).clone()
        # The second model of the pack; alone, seed 1 comes after the 4 validations of seed 0.
        if (pack == 3 and model in calls[1:2]) or (pack == 1 and len(calls) == 5):
            found[3] = value
        return found

    monkeypatch.setattr(loop, "logits_on_device", diverging)
    assert call(*words_of(place, **options)) == 2
    said = capsys.readouterr().err
    assert "seed 1: scores on val are not finite after step" in said and "lower the learning rate" in said
    failed = json.loads((place / "cell/seed1/failed.json").read_text())
    assert (failed["stage"], failed["kind"]) == ("train", "diverged")
    assert [file.name for file in (place / "cell/seed1").iterdir()] == ["failed.json"]
    for seed in (0, 2):
        assert (place / f"cell/seed{seed}/metrics.json").read_bytes() == right[seed]
        assert not (place / f"cell/seed{seed}/failed.json").exists()
    assert not (place / "cell/runs.json").exists()
    monkeypatch.undo()
    assert call(*words_of(place, **options)) == 0  # once it does not diverge, it is trained and the cell is whole
    found = json.loads((place / "cell/seed1/metrics.json").read_text())["test"]
    # In a pack of other size the numbers are the same to rounding.
    assert found == pytest.approx(json.loads(right[1])["test"], rel=1e-5 if pack > 1 else 0)


def test_a_seed_whose_deploying_is_refused_fails_alone(place, capsys, monkeypatch):
    from mlet_bench.evaluation import deploy

    right, calls = deploy.compare_logits, []

    def wrong(*arguments):
        calls.append(1)
        return (1.0, 1.0) if len(calls) in (1, 3) else right(*arguments)  # seed 0: in memory, then from its file

    monkeypatch.setattr(deploy, "compare_logits", wrong)
    assert call(*words_of(place, seed=[0, 1])) == 2
    assert json.loads((place / "cell/seed0/failed.json").read_text())["kind"] == "refused-deploy"
    assert (place / "cell/seed1/metrics.json").exists() and not (place / "cell/seed1/failed.json").exists()
    assert not (place / "cell/runs.json").exists()
