"""A cell against its baseline, row for row: paired by seed, and refused where the rows are not the same."""

import numpy as np
import pytest
from toys import make_spec

from mlet_bench.errors import BenchError
from mlet_bench.evaluation.compare import compare_cell
from mlet_bench.evaluation.scores import read_scores
from mlet_bench.parquet import table_of_columns
from mlet_bench.runs import SAMPLING, SCORES, RunFolder
from mlet_bench.statistics.delong import delong_difference

LABEL = (np.random.default_rng(0).random(400) < 0.3).astype(np.int8)


@pytest.fixture
def run(tmp_path, schema):
    """Write a run folder whose logits know the label better the larger ``skill`` is."""

    def write(arm, seed, skill=1.0, label=LABEL, data=schema):
        folder = tmp_path / arm / f"seed{seed}"
        folder.mkdir(parents=True)
        spec = make_spec(data, arm, seed=seed)
        spec.write(folder)
        noise = np.random.default_rng([seed, len(arm)]).normal(size=len(label))
        logit = (skill * label + noise).astype(np.float32)
        RunFolder(folder).write_table(SCORES, table_of_columns([label, logit], SCORES.columns), spec.id)
        return folder

    return write


def test_each_seed_stands_against_its_own(run):
    ours = [run("mlet", seed, skill=2.0) for seed in (0, 1)]
    theirs = [run("single", seed) for seed in (1, 0)]  # in another order
    found = compare_cell(ours, theirs)
    for folder, baseline in zip(ours, reversed(theirs)):
        hand = delong_difference(LABEL, read_scores(folder)[1], read_scores(baseline)[1])
        stored = RunFolder(folder).document(SAMPLING)
        assert stored == found[folder]
        assert [stored[name] for name in ("difference", "low", "high", "rows")] == [hand.mean, hand.low, hand.high, 400]
    differences = [content["difference"] for content in found.values()]
    cell = found[ours[0]]["cell"]
    assert cell == found[ours[1]]["cell"] and cell["seeds"] == [0, 1]
    assert cell["difference"] == pytest.approx(np.mean(differences))
    assert cell["low"] < cell["difference"] < cell["high"]


def test_a_seed_without_its_pair_is_refused_and_nothing_written(run):
    ours, theirs = run("mlet", 0), run("single", 1)
    with pytest.raises(BenchError, match=r"has seed 0, the baseline's runs have \[1\]"):
        compare_cell([ours], [theirs])
    assert not (ours / "sampling.json").exists()


def test_two_runs_of_one_seed_are_refused(run):
    with pytest.raises(BenchError, match="both seed 0"):
        compare_cell([run("mlet", 0), run("mlet-unit", 0)], [run("single", 0)])


def test_other_rows_are_refused(run):
    ours, theirs = run("mlet", 0), run("single", 0, label=LABEL[::-1])
    with pytest.raises(BenchError, match="other test rows"):
        compare_cell([ours], [theirs])


def test_scores_of_another_run_are_refused(run):
    ours, theirs = run("mlet", 0), run("single", 0)
    (ours / "scores.parquet").write_bytes((theirs / "scores.parquet").read_bytes())
    with pytest.raises(BenchError, match=r"mlet/seed0/scores.parquet is of run \w+, the folder holds run"):
        compare_cell([ours], [theirs])


def test_absent_scores_say_what_to_do(run):
    ours, theirs = run("mlet", 0), run("single", 0)
    (theirs / "scores.parquet").unlink()
    with pytest.raises(BenchError, match=r"single/seed0/scores.parquet does not exist: evaluate the run"):
        compare_cell([ours], [theirs])
