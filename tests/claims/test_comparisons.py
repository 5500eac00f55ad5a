"""Who stands against whom: k is fixed, cells are those asked for, and only seeds that all have finished pair."""

import math

import numpy as np
import pytest
from made_up import make_results, make_runs, worth

from mlet_bench.claims.c1_reduction import reductions
from mlet_bench.claims.comparisons import AS_PAPER, BOTH_TUNED, COMPARISONS, TUNED_BASELINE
from mlet_bench.tables.cells import added, contrast, mean_of, open_cells, paired

ARMS = ("single", "mlet", "single-lr-tuned", "mlet-lr-tuned")


def runs(**changes):
    return make_runs(worth(), **{"arms": ARMS, "dims": (4, 16), "inners": (16, 64)} | changes)


def test_their_names():
    assert [comparison.name for comparison in COMPARISONS] == [
        "against single", "against single-lr-tuned", "mlet-lr-tuned against single-lr-tuned",
    ]  # fmt: skip


def test_the_cells_are_those_that_were_asked_for_at_the_fixed_k():
    frame = runs(open_runs={"single-d4": ("failed", "other", "no disk")})
    assert AS_PAPER.baseline_cells(frame) == {4: "single-d4", 16: "single-d16"}
    assert AS_PAPER.treated_cells(frame) == {4: "mlet-d4-k64", 16: "mlet-d16-k64"}
    assert TUNED_BASELINE.baseline_cells(frame) == {4: "single-lr-tuned-d4", 16: "single-lr-tuned-d16"}
    assert BOTH_TUNED.treated_cells(frame) == {4: "mlet-lr-tuned-d4-k64", 16: "mlet-lr-tuned-d16-k64"}
    assert AS_PAPER.treated_cells(runs(inners=(16, 32))) == {}
    assert AS_PAPER.treated_cells(runs(inners=(64, 128))) == {4: "mlet-d4-k64", 16: "mlet-d16-k64"}


def test_seeds_that_one_cell_lacks_do_not_enter():
    frame = runs(open_runs={("single-d4", 1): ("missing", "", ""), ("mlet-d4-k16", 4): ("failed", "other", "")})
    table = paired(frame, ["mlet-d4-k16", "single-d4"], "test_auc")
    assert table.index.tolist() == [0, 2, 3] and table.columns.tolist() == ["mlet-d4-k16", "single-d4"]
    wanted = frame[(frame["cell"] == "single-d4") & (frame["seed"] == 2)]["test_auc"].item()
    assert table.loc[2, "single-d4"] == wanted


def test_a_cell_without_a_run_leaves_no_seed():
    frame = runs(open_runs={"single-d4": ("missing", "", "")})
    assert paired(frame, ["mlet-d4-k16", "single-d4"], "test_auc").empty
    assert paired(frame, ["mlet-d4-k16", "single-d9"], "test_auc").empty
    assert open_cells(frame, ["mlet-d4-k16", "single-d4", "single-d9"]) == ["single-d4", "single-d9"]
    (setting,) = make_results(frame).settings
    assert contrast(setting, {"mlet-d4-k16": 1, "single-d4": -1}) is None


def test_a_contrast_by_hand():
    """(a + b) / 2 - c seed by seed; standard deviations of five numbers over the root of five."""
    frame = make_runs(lambda arm, d, k, seed: 0.5 + d / 100 + (seed**2 / 1000 if d == 16 else 0), dims=(4, 8, 16))
    (setting,) = make_results(frame).settings
    weights = added(mean_of(["single-d4", "single-d16"]), {"single-d8": -1.0})
    assert weights == {"single-d4": 0.5, "single-d16": 0.5, "single-d8": -1.0}
    found = contrast(setting, weights)
    assert found is not None and found.count == 5
    values = [0.02 + seed**2 / 2000 for seed in range(5)]  # (.54 + .66) / 2 - .58 + ...
    mean = sum(values) / 5
    error = math.sqrt(sum((value - mean) ** 2 for value in values) / 4 / 5)
    assert (found.mean, found.error) == pytest.approx((mean, error))


def test_weights_of_one_cell_add_up():
    assert added({"a": 0.5, "b": 1.0}, {"a": -0.25}) == {"a": 0.25, "b": 1.0}


def moved_by_rows(frame):
    """Deviations (3, 4) and (0, 0) thousandths: the difference has a standard error of .005 over rows."""
    vectors = {"mlet": np.array([0.003, 0.004]), "single": np.zeros(2)}
    return frame[["dataset", "model", "cell", "seed"]].assign(
        grouping="whole", group=0, deviations=[vectors[arm] for arm in frame["arm"]]
    )


def test_test_rows_widen_an_auc_and_nothing_else():
    frame = make_runs(worth(), dims=(4, 8), inners=(64,))
    rare = moved_by_rows(frame)
    (setting,) = make_results(frame, rare=rare).settings
    weights = {"mlet-d4-k64": 1.0, "single-d4": -1.0}
    found, without = contrast(setting, weights), contrast(setting, weights, "test_logloss")
    assert found is not None and found.rows == pytest.approx(0.005)
    assert without is not None and without.rows == 0.0 and without.high - without.low < found.high - found.low
    (lacking,) = make_results(frame, rare=rare[rare["cell"] != "single-d4"]).settings
    unknown = contrast(lacking, weights)
    assert unknown is not None and unknown.rows == 0.0


def test_test_rows_widen_the_factor_at_equal_auc_and_not_that_at_equal_logloss():
    frame = make_runs(worth({"mlet": lambda d, k: 2.0}), dims=(4, 8, 16), inners=(64,))
    (setting,), (plain,) = make_results(frame, rare=moved_by_rows(frame)).settings, make_results(frame).settings
    line = AS_PAPER.baseline_cells(frame)
    for metric, widened in (("auc", True), ("logloss", False)):
        ours, without = (reductions(of, "mlet-d4-k64", 4, line, metric)[0] for of in (setting, plain))
        assert ours.factor == without.factor
        assert (ours.low < without.low and ours.high > without.high) is widened
