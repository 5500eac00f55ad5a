"""What a configuration costs: counts and bytes by hand, and a forecast that stops a grid of weeks on a CPU."""

import pytest
import torch
from fake_results import make_results, small_config

from mlet_bench.cli import main
from mlet_bench.config import check_config, load_config
from mlet_bench.errors import BenchError
from mlet_bench.spec import Field, RunSpec
from mlet_bench.stages import plan as stage
from mlet_bench.stages.plan import Plan, outlook, too_long
from mlet_bench.training.forecast import Pace, made_up_rows, measure_pace

PAPER = "workflow/config/paper.yaml"


@pytest.fixture
def timed(monkeypatch):
    """The shapes that were timed; each step takes 1 ms and each row 1 µs."""
    shapes = []

    def measure(specs, schema, device):
        shapes.append((schema.name, specs[0].arm, specs[0].dim, specs[0].inner_dim, len(specs)))
        return Pace(step=1e-3, row=1e-6)

    monkeypatch.setattr(stage, "measure_pace", measure)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return shapes


def test_the_paper_s_grid_counted_by_hand(tmp_path):
    """k = 16 goes with three of the five d and 64 with all: 8 pairs; controls have k = 64 alone, two of them none.

    Three arms and seven controls, of which two tune: each tries 1, 4 and 16 with two seeds of its own.
    """
    plan = Plan(load_config([PAPER]), tmp_path)
    of_a_set = 5 + 8 + 8 + 7 * 5
    assert len(plan.known) == 2 * of_a_set == 112
    assert plan.trainings == 2 * (10 * of_a_set + 2 * 5 * 3 * 2) == 1240
    assert next(plan.lines()).startswith("paper: 112 cells, at least 1240 trainings, at least 120 of them candidates")
    rows = {name: schema.rows["train"] for name, schema in plan.schemas.items()}
    assert rows == {"criteo-kaggle": 45_840_617 - 2 * 4_584_061, "avazu": 40_428_967 - 2 * 4_042_896}
    assert plan.rows_trained == 620 * sum(rows.values())


def test_a_file_is_not_taken_for_more_rows_than_it_has_room_for(tmp_path):
    (tmp_path / "raw").write_bytes(bytes(250_000))
    schema = outlook("avazu", {"source": "file", "file": str(tmp_path / "raw")}, tmp_path)
    assert sum(schema.rows.values()) == 10_001 and max(schema.table_sizes) == 10_001
    schema = outlook("avazu", {"source": "file", "file": str(tmp_path / "none")}, tmp_path)
    assert sum(schema.rows.values()) == 40_428_967


def test_time_and_money_by_hand(tmp_path, timed):
    """12,800 training rows are 100 steps of 0.1 s in all; 11 scorings of 1,600 rows and one of test 19.2 ms."""
    config = small_config(datasets={"avazu": {"source": "synthesize", "rows": 16_000}}, device="cpu", seeds=[0, 1, 2])
    config |= {"controls": {"arms": ["single-lr", "single-lr-tuned"]}, "embedding_lr_factors": [1, 4]}
    plan = Plan(check_config(config), tmp_path, wanted=[2])
    each = 0.1 + 11 * 1600e-6 + 1600e-6
    assert plan.hours == pytest.approx((3 + 3 + 3 + 3 + 2 * 2) * each / 2 / 3600)
    assert timed == [("avazu", "single", 4, None, 1), ("avazu", "mlet", 4, 16, 1)]  # others have a shape of these
    lines = list(plan.lines(price=3600 * 2))
    assert lines[0] == "toy: 4 cells, 16 trainings, 4 of them candidates that arms try"
    assert lines[1].startswith("avazu: 16,000 rows, ")
    assert any(line.startswith("time: ") and "with 2 jobs at once on CPU" in line for line in lines)
    assert lines[-1] == f"money: {16 * each:.2f}, at 7200 an hour"


@pytest.mark.parametrize(("keep", "models"), [("metrics", (0, 0)), ("deployed", (4, 4)), ("all", (4 + 4, 4 + 16))])
def test_disk_by_hand(tmp_path, timed, keep, models):
    """avazu, prepared: tables of 10 and 20 rows; d=4, k=16; scores of 5 bytes a test row; two seeds."""
    results = make_results(tmp_path, overhead=False)
    plan = Plan(check_config(small_config(keep=keep, device="cpu")), results, wanted=[1])
    values = [each * 30 for each in models]
    values[1] += 2 * 16 * 4 if keep == "all" else 0  # W2 of both tables
    kept = sum(2 * (5 * 160 + 4 * value) for value in values)
    held = 4 * (30 * 16 + 2 * 16 * 4) + 2 * 4 * 4 * 30  # a checkpoint, and what is served of two seeds
    rows = 1600 * (1 + 4 * (2 + 1))
    assert plan.disk == {"prepared data": rows, "kept of the runs": kept, "held by jobs": held}


def test_on_a_gpu_the_packs_that_will_be_trained_are_timed(tmp_path, timed, monkeypatch):
    """A job a method; its runs of one shape in packs of four at most, single-lr-tuned's candidates with the first.

    single: 2 + 2 of single-lr + 2·2 candidates, packs of 4 and 4, and then 2 that are tuned; mlet: 2.
    """
    monkeypatch.setattr(stage, "resolve_device", lambda *of: torch.device("cuda"))
    monkeypatch.setattr(stage, "pack_size", lambda spec, schema, device, wanted: min(wanted, 4))
    config = small_config(device="cuda", embedding_lr_factors=[1, 4])
    config |= {"controls": {"arms": ["single-lr", "single-lr-tuned"]}}
    plan = Plan(check_config(config), make_results(tmp_path, overhead=False))
    (schema,) = plan.schemas.values()
    each = schema.rows["train"] // 128 * 1e-3 + 1e-6 * (11 * schema.rows["val"] + schema.rows["test"])
    assert plan.jobs == 1 and plan.hours == pytest.approx((4 + 4 + 2 + 2) * each / 3600)
    assert timed == [
        ("avazu", "single", 4, None, 4),
        ("avazu", "single-lr-tuned", 4, None, 2),
        ("avazu", "mlet", 4, 16, 2),
    ]
    # The job of mlet holds most: two checkpoints, 30 rows of W1 and two of W2, and what is served of two runs.
    assert plan.disk["held by jobs"] == 2 * 4 * (30 * 16 + 2 * 16 * 4) + 2 * 4 * 4 * 30


def test_arms_side_by_side_are_timed_together(schema):
    """With rates of their own, and one order for equal seeds."""
    settings = {"batch_size": 32, "hyper": {"bottom": (8,), "top": (8,)}}
    arms = ("single", 1.0), ("single-lr-tuned", 4.0)
    runs = [
        RunSpec(schema.name, "", "dlrm", arm, 4, None, seed, embedding_lr_factor=factor, **settings)
        for arm, factor in arms
        for seed in (0, 1)
    ]
    assert 0 < measure_pace(runs, schema, torch.device("cpu")).step < 1


def test_sizes_that_nobody_knows_are_told(tmp_path, timed):
    config = check_config(small_config(datasets={"criteo-kaggle": {"source": "sample"}}, device="cpu"))
    lines = list(Plan(config, tmp_path).lines())
    assert lines == [
        "toy: 2 cells, 4 trainings",
        "criteo-kaggle: sizes are not known before it is prepared, and nothing below counts it",
    ]


def test_a_part_has_no_table_of_more_rows_than_itself(tmp_path):
    found = outlook("avazu", {"source": "download", "max_rows": 1000}, tmp_path)
    assert max(found.table_sizes) == 1000 and min(found.table_sizes) == 4 and sum(found.rows.values()) == 1000


def test_a_grid_of_weeks_is_stopped_and_one_of_minutes_is_not_even_timed(tmp_path, timed):
    reason = too_long(load_config([PAPER]), tmp_path, 2)
    assert reason.startswith("this grid takes about ") and "say 'device: cpu' to begin all the same" in reason
    assert "1240 trainings" in reason
    timed.clear()
    assert too_long(check_config(small_config()), tmp_path, 2) == "" and timed == []


@pytest.mark.parametrize(("arm", "inner_dim", "seeds"), [("single", None, 1), ("mlet", 8, 2)])
def test_real_steps_are_timed(schema, arm, inner_dim, seeds):
    settings = {"batch_size": 32, "hyper": {"bottom": (8,), "top": (8,)}}
    runs = [RunSpec(schema.name, "", "dlrm", arm, 4, inner_dim, seed, **settings) for seed in range(seeds)]
    pace = measure_pace(runs, schema, torch.device("cpu"))
    assert 0 < pace.row < pace.step < 1


def test_made_up_rows_have_common_and_rare_categories():
    rows = made_up_rows([3, 1000], 2, 5000, torch.device("cpu"))
    assert rows.ids.min() == 0 and rows.ids[:, 1].max() > 900 and (rows.ids[:, 1] == 0).sum() > 500
    assert rows.dense.shape == (5000, 2) and 0 < rows.label.mean() < 1


def test_a_config_is_read_as_snakemake_merges_it(tmp_path):
    (tmp_path / "mine.yaml").write_text("datasets: {avazu: null}\nseeds: [7]\ntraining: {lr: 1.0}\n")
    config = load_config([PAPER, str(tmp_path / "mine.yaml")])
    assert list(config["datasets"]) == ["criteo-kaggle"] and config["seeds"] == [7]
    assert config["training"]["lr"] == 1.0 and config["training"]["batch_size"] == 128


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("a: [", "is no YAML"), ("- 1", "holds no keys"), ("training: {lr: 1e-1}", "YAML reads it as text; write 0.1")],
)
def test_a_config_that_is_none_is_refused(tmp_path, text, sentence):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(BenchError, match=sentence):
        load_config([PAPER, str(tmp_path / "mine.yaml")])


def test_a_model_that_may_not_bear_the_optimizer_is_named(tmp_path, timed):
    sgd, adagrad = (
        list(Plan(check_config(small_config(models=["dlrm", "dcn"], training={"recipe": recipe})), tmp_path).lines())
        for recipe in ("authors", "authors-b")
    )
    assert "dcn: sgd may diverge; its own recipe takes adagrad: authors-b" in sgd
    assert "dlrm: adagrad may diverge; its own recipe takes sgd: authors" in adagrad
    assert not any(line.startswith("dlrm") for line in sgd) and not any(line.startswith("dcn") for line in adagrad)


def test_the_command_prints_the_plan(timed, capsys):
    assert main(["plan", "workflow/config/afternoon.yaml", "--jobs", "2", "4", "1000", "--price", "1"]) == 0
    said = capsys.readouterr().out.splitlines()
    two, four, many = (float(line.split()[1]) for line in said if line.startswith("time: "))
    assert two == pytest.approx(2 * four, rel=0.1) and many > two / 500  # no job ends before its longest cell
    assert said[0] == "afternoon: 6 cells, at least 42 trainings, at least 12 of them candidates that arms try"
    assert said[-1].endswith("at 1 an hour")


def test_a_set_whose_columns_the_config_chooses_has_an_outlook(tmp_path):
    found = outlook("by-time", {"of": "flights", "source": "package", "split": "time"}, tmp_path)
    assert len(found.fields) == 8 and found.fields[2] == Field("tailnum", 4037) and len(found.dense) == 3
