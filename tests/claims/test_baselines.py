"""Who stands against whom: the rival is chosen on validation, and only seeds that all have finished are compared."""

import pytest
from made_up import make_runs, worth

from mlet_bench.claims.baselines import single, strongest_rival, widest_cells
from mlet_bench.tables.cells import open_cells, paired

ARMS = ("single", "mlet", "single-lr", "single-lr-tuned", "single-init")


def runs(**changes):
    factors = {"single-lr": lambda d, k: k / 16, "single-lr-tuned": lambda d, k: 3, "single-init": lambda d, k: 0.5}
    return make_runs(worth(factors), **{"arms": ARMS, "dims": (4, 16), "inners": (16, 64)} | changes)


def test_the_rival_is_the_best_of_its_width():
    base = strongest_rival(runs())
    assert base.cells == {4: "single-lr-d4-k64", 16: "single-lr-d16-k64"} and base.unfinished == ()


def test_validation_chooses_and_not_test():
    frame = runs()
    frame.loc[frame["cell"] == "single-lr-tuned-d4", "val_auc"] += 0.1
    frame.loc[frame["cell"] == "single-init-d4-k16", "test_auc"] += 0.2
    assert strongest_rival(frame).cells[4] == "single-lr-tuned-d4"


def test_no_rival_is_weaker_than_the_baseline():
    assert strongest_rival(runs(arms=("single", "mlet", "single-init"))).cells == {4: "single-d4", 16: "single-d16"}


@pytest.mark.parametrize(
    ("state", "unfinished"),
    [
        (("missing", "", "not trained"), ("single-lr-d4-k64",)),
        (("failed", "memory", "train: the run diverged, in words"), ("single-lr-d4-k64",)),
        (("failed", "diverged", "train: in any words"), ()),
    ],
)
def test_a_cell_that_did_not_finish_is_not_chosen_but_named_unless_it_diverged(state, unfinished):
    base = strongest_rival(runs(open_runs={("single-lr-d4-k64", 2): state}))
    assert base.cells[4] == "single-lr-tuned-d4"
    assert base.unfinished == unfinished


def test_without_a_rival_there_is_none():
    assert strongest_rival(runs(arms=("single", "mlet"))).cells == {}
    gone = {cell: ("missing", "", "not trained") for cell in ("single-lr-tuned-d4", "single-lr-tuned-d16")}
    base = strongest_rival(runs(arms=("single", "mlet", "single-lr-tuned"), open_runs=gone))
    assert base.cells == {} and base.unfinished == tuple(gone)


def test_the_baseline_is_every_width_that_was_asked_for():
    base = single(runs(open_runs={"single-d4": ("failed", "other", "no disk")}))
    assert base.cells == {4: "single-d4", 16: "single-d16"}


def test_the_widest_cells():
    frame = runs(dims=(4, 32), inners=(8, 64))
    assert widest_cells(frame, [4, 32]) == {4: "mlet-d4-k64", 32: "mlet-d32-k64"}
    assert widest_cells(frame, [4]) == {4: "mlet-d4-k64"}


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
