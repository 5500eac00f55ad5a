"""How far a run is: lines by hand, the time that is left, and what the quiet way tells while jobs finish."""

import os
from pathlib import Path

import pytest
from fake_results import make_results, small_config

from mlet_bench.cli import main
from mlet_bench.config import Cell, read_config
from mlet_bench.files import write_json
from mlet_bench.runs import METRICS, overhead_file
from mlet_bench.stages.follow import Follower
from mlet_bench.stages.status import status_lines, time_left, trainings

SINGLE, MLET = "runs/avazu/dlrm/single-d4", "runs/avazu/dlrm/mlet-d4-k16"
AUCS = {("single", 0): 0.749, ("single", 1): 0.751, ("mlet", 0): 0.76, ("mlet", 1): 0.76}


@pytest.fixture
def results(tmp_path) -> Path:
    return make_results(tmp_path, auc=lambda cell, seed: AUCS[cell.arm, seed], overhead=False)


def score_at(results: Path, cell: str, when: float) -> None:
    """Let the runs of a cell be scored at a time, and write the index that its job writes last."""
    for seed in (0, 1):
        os.utime(results / cell / f"seed{seed}" / METRICS.file, (when, when))
    write_json(results / cell / "runs.json", {})


def test_each_finished_cell_has_a_line_with_its_interval(results, capsys):
    score_at(results, SINGLE, 100)
    score_at(results, MLET, 200)
    assert main(["status", str(results)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "avazu dlrm single-d4: AUC .7500 (.7490 to .7510)",
        "avazu dlrm mlet-d4-k16: AUC .7600 (.7600 to .7600)",
        "2 of 2 cells",
    ]


def test_five_seeds_give_an_interval(tmp_path):
    config = small_config(seeds=[0, 1, 2, 3, 4], arms=["single"])
    results = make_results(tmp_path, config, auc=lambda cell, seed: 0.748 + 0.001 * seed, overhead=False)
    line = next(status_lines(results))
    assert line == "avazu dlrm single-d4: AUC .7500 ± .0020"  # t(4) = 2.776 times sqrt(2.5e-6 / 5)


def test_what_failed_says_why_and_what_is_missing_is_not_counted(results):
    failed = {"stage": "train", "kind": "diverged", "error": "the loss is not finite"}
    write_json(results / SINGLE / "seed1/failed.json", failed)
    (results / MLET / "seed0" / METRICS.file).unlink()
    assert list(status_lines(results)) == [
        "avazu dlrm single-d4: AUC .7490, 1 of 2 runs failed: train: the loss is not finite",
        "1 of 2 cells",
    ]


def test_time_left_counts_trainings_and_leaves_pauses_out():
    """4 cells of 2 seeds took 60 s each, with a night between; a tuned one tries 5 factors with 2 seeds of its own."""
    config = {"seeds": [0, 1], "embedding_lr_factors": [1, 2, 4, 8, 16]}
    tuned = Cell("avazu", "dlrm", "single-lr-tuned", 4, None, 1)
    done = [Cell("avazu", "dlrm", "single", dim, None, 1) for dim in (1, 2, 3, 4, 5)]
    assert trainings(config, tuned) == 12 and trainings(config, done[0]) == 2
    assert trainings(config | {"embedding_lr_factors": "auto"}, tuned) == 2 + 2 * 3
    finished = dict(zip(done, (0, 60, 120, 40_000, 40_060), strict=True))
    assert time_left(config, finished, [tuned]) == "6 min"  # 12 trainings of 30 s
    assert time_left(config, finished, [tuned] * 30) == "3 h"
    assert time_left(config, finished, []) == time_left(config, {done[0]: 1.0}, [tuned]) == ""


def test_a_follower_tells_what_is_finished_once(results):
    follower = Follower(read_config(results), results)
    assert list(follower.news()) == []
    score_at(results, SINGLE, 100)
    assert list(follower.news()) == ["avazu dlrm single-d4: AUC .7500 (.7490 to .7510) · 1 of 2"]
    os.utime(results / SINGLE / "runs.json", (500, 500))  # snakemake touches the outputs of a job that has ended
    assert list(follower.news()) == []
    failed = {"stage": "train", "kind": "other", "error": "no disk"}
    write_json(results / MLET / "seed0/failed.json", failed)
    (told,) = follower.news()
    assert told.startswith("avazu dlrm mlet-d4-k16: AUC .7600, 1 of 2 runs failed: train: no disk · 2 of 2")


def test_a_follower_that_begins_late_tells_only_what_is_new(results):
    score_at(results, SINGLE, 100)
    schema = results / "data/avazu/schema.json"
    kept = schema.read_bytes()
    schema.unlink()
    follower = Follower(read_config(results), results)
    schema.write_bytes(kept)
    timings = overhead_file(results, "avazu", "dlrm")
    timings.parent.mkdir(parents=True)
    timings.touch()
    assert list(follower.news()) == ["avazu: 1,600 rows prepared", "avazu dlrm: steps timed"]
    os.utime(schema, (500, 500))  # snakemake touches what a job has made
    os.utime(timings, (500, 500))
    (results / SINGLE / "runs.json").unlink()  # its job begins again
    assert list(follower.news()) == [] and len(follower.finished) == 0
    score_at(results, SINGLE, 300)
    assert len(list(follower.news())) == 1


def test_a_follower_prints_what_is_left_when_it_stops(results, capsys):
    follower = Follower(read_config(results), results)
    follower.start()
    score_at(results, MLET, 300)
    follower.stop("done")
    assert capsys.readouterr().err.splitlines() == [
        "avazu dlrm mlet-d4-k16: AUC .7600 (.7600 to .7600) · 1 of 2",
        "done",
    ]
