"""Run folders to rows: done, failed, missing, stale, and files that cannot be read."""

import json
import math
import re

import pytest
from fake_results import make_results, small_config

from mlet_bench.errors import BenchError
from mlet_bench.files import write_json
from mlet_bench.report.page import write_report
from mlet_bench.runs import failure_recorded
from mlet_bench.tables.read import read_results

ROWS = {"source": "synthesize", "rows": 1280}
SINGLE = "runs/avazu/dlrm/single-d4/seed0"


def edit(path, **changes):
    content = json.loads(path.read_text())
    content.pop("seal", None)
    write_json(path, content | changes)


def row_of(results, cell="single-d4", seed=0):
    runs = read_results(results).runs
    return runs[(runs["cell"] == cell) & (runs["seed"] == seed)].iloc[0]


def test_one_row_a_run_with_its_numbers(tmp_path):
    results = make_results(tmp_path, auc=lambda cell, seed: 0.7 + seed / 100)
    found = read_results(results)
    assert list(found.runs["status"]) == ["done"] * 4
    row = row_of(results, "mlet-d4-k16", 1)
    assert row["test_auc"] == 0.71 and row["inner_dim"] == 16 and row["seconds"] == 12.5
    assert row["max_logit_difference"] == 1e-6
    assert row["training_tables_bytes"] == 4 * (30 * 16 + 2 * 16 * 4)
    assert len(found.curves) == 4 * 5 and set(found.spectrum["field"]) == {"C1", "C2"}


@pytest.mark.parametrize(
    "moved", [{"val": 1e-6, "test": math.nan}, {"val": math.nan, "test": 1e-6}, {"val": math.inf}, {"val": None}]
)
def test_a_logit_that_moved_to_no_number_moved_the_furthest(tmp_path, moved):
    """Whatever stands before it: max() of a number and NaN is the number."""
    results = make_results(tmp_path)
    path = results / "runs/avazu/dlrm/mlet-d4-k16/seed0/deployed.json"
    content = json.loads(path.read_text()) | {"max_logit_difference": moved}
    path.write_text(json.dumps({name: value for name, value in content.items() if name != "seal"}))
    assert row_of(results, "mlet-d4-k16")["max_logit_difference"] == math.inf


def test_a_run_that_was_never_trained_is_missing(tmp_path):
    row = row_of(make_results(tmp_path, skip={("single-d4", 0)}))
    assert (row["status"], row["reason"]) == ("missing", "not trained")


def test_a_run_that_is_not_evaluated_is_missing(tmp_path):
    results = make_results(tmp_path)
    (results / SINGLE / "metrics.json").unlink()
    row = row_of(results)
    assert row["status"] == "missing" and "metrics.json" in row["reason"]


def test_a_failure_wins_over_older_numbers(tmp_path):
    results = make_results(tmp_path)
    failure = {"stage": "train", "kind": "diverged", "error": "loss is NaN at step 7"}
    write_json(results / SINGLE / "failed.json", failure)
    row = row_of(results)
    assert (row["status"], row["kind"], row["reason"]) == ("failed", "diverged", "train: loss is NaN at step 7")


def test_a_metric_that_is_no_number_is_a_failure(tmp_path):
    results = make_results(tmp_path)
    metrics = results / SINGLE / "metrics.json"
    edit(metrics, test=json.loads(metrics.read_text())["test"] | {"auc": None})
    row = row_of(results)
    assert (row["status"], row["kind"]) == ("failed", "diverged") and "test auc is not a number" in row["reason"]


def test_a_run_of_another_configuration_is_not_taken_for_this_one(tmp_path):
    results = make_results(tmp_path)
    config = json.loads((results / "config.json").read_text())
    write_json(results / "config.json", config | {"training": config["training"] | {"lr": 0.1}})
    runs = read_results(results).runs
    assert set(runs["status"]) == {"missing"} and runs["reason"].str.contains("lr 0.2 instead of 0.1").all()


def test_a_run_on_other_data_is_not_taken_for_this_one(tmp_path):
    results, other = make_results(tmp_path / "a"), make_results(tmp_path / "b", planted=0.81)
    schema = "data/avazu/schema.json"
    (results / schema).write_bytes((other / schema).read_bytes())
    assert read_results(results).runs["reason"].str.contains("fingerprint").all()


def assert_alone_failed(results, pattern):
    """The first run of `single` failed for a reason, the three others are as they were."""
    runs = read_results(results).runs
    assert runs["status"].tolist() == ["failed", "done", "done", "done"]
    assert re.search(pattern, runs["reason"][0]), runs["reason"][0]
    assert runs["test_auc"].isna().tolist() == [True, False, False, False]


def test_metrics_of_another_model_are_a_failure(tmp_path):
    results = make_results(tmp_path)
    edit(results / SINGLE / "deployed.json", sha256="c" * 64)
    assert_alone_failed(results, r"single-d4/seed0/metrics.json scores model bbbb.*cccc")


NAMES = (
    *("spec.json", "curve.parquet", "metrics.json", "provenance.json", "deployed.json"),
    *("spectrum.parquet", "factors.parquet", "rare.parquet", "tuning.json", "failed.json"),
)


@pytest.mark.parametrize("name", NAMES)
def test_an_unreadable_file_fails_its_run_alone(tmp_path, name):
    results = make_results(tmp_path)
    (results / SINGLE / name).write_bytes(b"{ no file of ours")
    assert_alone_failed(results, f"not readable: .*{SINGLE}/{name}")


def test_a_data_set_that_could_not_be_prepared_says_why(tmp_path):
    results = make_results(tmp_path, skip={("mlet-d4-k16", 1)})
    (results / "logs/avazu").mkdir(parents=True)
    (results / "logs/avazu/prepare.log").write_text("read: 3 rows\nmlet-bench prepare: error: raw.txt, line 4: <b>\n")
    assert row_of(results, "mlet-d4-k16", 1)["reason"] == "not trained"  # it is prepared
    (results / "data/avazu/schema.json").unlink()
    assert row_of(results, "mlet-d4-k16", 1)["reason"] == "not trained: mlet-bench prepare: error: raw.txt, line 4: <b>"
    assert row_of(results, "mlet-d4-k16", 0)["status"] == "done"


def test_timings_that_failed_say_why_and_a_log_of_a_success_is_no_reason(tmp_path):
    results = make_results(tmp_path)
    timings, log = results / "overhead/avazu/dlrm.parquet", results / "logs/avazu/dlrm/overhead.log"
    log.parent.mkdir(parents=True)
    log.write_text("mlet-bench overhead: error: avazu has 9 training rows\n")
    assert timings.is_file() and read_results(results).untimed == {}
    timings.unlink()
    assert read_results(results).untimed == {"avazu, DLRM": "mlet-bench overhead: error: avazu has 9 training rows"}
    write_report(results)
    said = "avazu, DLRM was not timed: mlet-bench overhead: error: avazu has 9 training rows."
    assert said in (results / "summary.md").read_text() and said in (results / "report.html").read_text()
    log.unlink()
    assert read_results(results).untimed == {"avazu, DLRM": "the timing did not run"}


@pytest.mark.parametrize("content", [b"", b"{ no file of ours", b"[]", b"\xff\xfe"])
def test_a_damaged_failure_is_told_and_goes_with_the_stage_that_passes(tmp_path, content):
    results = make_results(tmp_path)
    (results / SINGLE / "failed.json").write_bytes(content)
    assert_alone_failed(results, "not readable: .*failed.json")
    with failure_recorded([results / SINGLE], "spectrum"):
        pass
    assert row_of(results)["status"] == "done"


@pytest.mark.parametrize("content", [b"", b"{ no file of ours", b"{}"])
def test_a_damaged_schema_fails_the_runs_of_its_data_set_alone(tmp_path, content):
    results = make_results(tmp_path, small_config(datasets=dict.fromkeys(("avazu", "criteo-kaggle"), ROWS)))
    (results / "data/avazu/schema.json").write_bytes(content)
    runs = read_results(results).runs
    of_it = runs["dataset"] == "avazu"
    assert set(runs["status"][of_it]) == {"failed"} and set(runs["status"][~of_it]) == {"done"}
    assert runs["reason"][of_it].str.match("not readable: .*data/avazu/schema.json").all()
    write_report(results)
    assert "avazu/schema.json" in (results / "summary.md").read_text()


@pytest.mark.parametrize("content", [b"", b"PAR1 no file of ours"])
def test_damaged_timings_are_told_and_stop_nothing(tmp_path, content):
    results = make_results(tmp_path)
    timings = results / "overhead/avazu/dlrm.parquet"
    timings.write_bytes(content)
    write_report(results)
    said = (results / "summary.md").read_text()
    assert "avazu, DLRM was not timed: not readable: " in said
    assert "remove it and run 'mlet-bench overhead' again" in said
    assert set(read_results(results).runs["status"]) == {"done"}


def test_a_file_of_another_layout_is_named(tmp_path):
    results = make_results(tmp_path)
    edit(results / SINGLE / "metrics.json", test={"auc": 0.7})
    assert_alone_failed(results, r"metrics.json lacks logloss")


def test_column_types_do_not_depend_on_what_is_done(tmp_path):
    full = read_results(make_results(tmp_path / "a"))
    every = {(cell, seed) for cell in ("single-d4", "mlet-d4-k16") for seed in (0, 1)}
    empty = read_results(make_results(tmp_path / "b", skip=every))
    assert dict(full.runs.dtypes) == dict(empty.runs.dtypes)


def test_rows_to_be_synthesized_are_planted_before_they_are_made(tmp_path):
    results = make_results(tmp_path, small_config())
    (results / "data/avazu/schema.json").unlink()
    assert read_results(results).planted("avazu") is not None


def test_a_folder_without_configuration_is_refused(tmp_path):
    with pytest.raises(BenchError, match=r"config\.json does not exist"):
        read_results(tmp_path)
