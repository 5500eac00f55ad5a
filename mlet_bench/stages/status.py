"""How far a run of the DAG is: a line a finished cell, how many there are, and about how long the rest will take."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlet_bench.arms import ARMS
from mlet_bench.config import Cell, cell_spec, cells, read_config
from mlet_bench.errors import BenchError
from mlet_bench.runs import FAILED, METRICS, RunFolder, Status
from mlet_bench.spec import RunSpec
from mlet_bench.statistics.intervals import mean_interval
from mlet_bench.training.tuning import TUNING_SEEDS, first_factors

RECENT = 20  # finished cells that the pace is taken from
PAUSE = 10  # a gap of so many times the usual one is no work: the machine was off, or the DAG was stopped


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=Path, help="results/<profile>, at any time")


def run(arguments: argparse.Namespace) -> None:
    print(*status_lines(arguments.results), sep="\n")


def status_lines(results: Path) -> Iterator[str]:
    """A line for each cell that is finished or failed, and one that sums up.

    Raises:
        BenchError: no results folder.
    """
    config = read_config(results)
    found = list(cells(config))
    runs = {cell: runs_of(config, results, cell) for cell in found}
    finished = {cell: when for cell in found if (when := finished_at(runs[cell])) is not None}
    yield from (f"{cell_line(cell, runs[cell])}" for cell in found if cell in finished)
    left = time_left(config, finished, [cell for cell in found if cell not in finished])
    yield f"{len(finished)} of {len(found)} cells" + (f" · {left} left" if left else "")


def runs_of(config: dict[str, Any], results: Path, cell: Cell) -> list[tuple[RunSpec, Path]]:
    """The spec that is wanted of each seed's run, of any data, and its folder."""
    folder = results / "runs" / cell.folder
    return [(cell_spec(config, cell, seed), folder / f"seed{seed}") for seed in config["seeds"]]


def cell_line(cell: Cell, runs: Sequence[tuple[RunSpec, Path]]) -> str:
    """``avazu dlrm mlet-d16-k64: AUC .7868 ± .0004``: the mean over seeds, with half of its interval's width.

    Where the seeds are too few for an interval the lowest and the highest stand in its place.

    What failed follows, with the first reason.
    """
    aucs, failed = [], []
    for spec, folder in runs:
        state = _status(spec, folder)
        if state.state == "done":
            aucs.append(RunFolder(folder).document(METRICS)["test"]["auc"])
        elif state.state == "failed":
            failed.append(state.reason)
    said = []
    if aucs:
        found = mean_interval(np.array(aucs))
        spread = f" ± {_short(found.half())}" if found.known else ""
        if not found.known and len(aucs) > 1:
            spread = f" ({_short(found.least)} to {_short(found.most)})"
        said.append(f"AUC {_short(found.mean)}{spread}")
    if failed:
        said.append(f"{len(failed)} of {len(runs)} runs failed: {failed[0]}")
    return f"{cell.folder.replace('/', ' ')}: {', '.join(said) or 'not finished'}"


def finished_at(runs: Sequence[tuple[RunSpec, Path]]) -> float | None:
    """When the last run of a cell was scored or failed, in seconds since 1970; None while one is missing."""
    if "missing" in [_status(spec, folder).state for spec, folder in runs]:
        return None
    return last_result(runs)


def last_result(runs: Sequence[tuple[RunSpec, Path]]) -> float | None:
    """When the last of a cell's runs so far was scored or failed; None if none was."""
    files = [folder / name for _, folder in runs for name in (METRICS.file, FAILED)]
    return max((when for file in files if (when := changed_at(file)) is not None), default=None)


def changed_at(path: Path) -> float | None:
    """When a file was last written, in seconds since 1970; None if there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def time_left(config: dict[str, Any], finished: dict[Cell, float], due: Sequence[Cell]) -> str:
    """About how long the cells that are due will take, at the pace of those finished last; empty where none is known.

    A cell counts as many times as it is trained. What no cell is, such as the timings at the end, is left out.
    """
    recent = sorted(finished.items(), key=lambda item: item[1])[-RECENT:]
    gaps = np.diff([when for _, when in recent])
    if not due or not len(gaps):
        return ""
    worked = gaps <= PAUSE * np.median(gaps)
    trained = np.array([trainings(config, cell) for cell, _ in recent[1:]])
    return _duration(float(gaps[worked].sum() / trained[worked].sum()) * sum(trainings(config, cell) for cell in due))


def trainings(config: dict[str, Any], cell: Cell) -> int:
    """How many runs a cell trains: one a seed, and of an arm that tunes each candidate with seeds of its own.

    ``auto`` goes on from its first candidates where the best of them is the last, so of it these are the fewest.
    """
    factors = first_factors(config["embedding_lr_factors"])
    return len(config["seeds"]) + (len(TUNING_SEEDS) * len(factors) if ARMS[cell.arm].tunes_lr else 0)


def _status(spec: RunSpec, folder: Path) -> Status:
    try:
        return RunFolder(folder).status(spec)
    except BenchError as error:
        return Status("failed", error.kind, str(error))


def _short(value: float) -> str:
    """``.7868``"""
    return f"{value:.4f}".replace("0.", ".", 1)


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 1):.0f} s"
