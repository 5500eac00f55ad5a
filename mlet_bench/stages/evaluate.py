"""Score a deployed run on validation and, once, on test."""

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from mlet_bench.data.dataset import Rows
from mlet_bench.device import leave
from mlet_bench.errors import BenchError, RunsFailed
from mlet_bench.evaluation.evaluate import SCORED, Prediction, judge_run, predict_run
from mlet_bench.stages.common import (
    Source,
    device_of,
    device_options,
    each_run,
    require_both_classes,
    run_options,
    set_aside,
)

ON_GPU = 4  # runs judged at once: sorting is numpy's, which lets go of the interpreter


def add_options(parser: argparse.ArgumentParser) -> None:
    run_options(parser)
    device_options(parser)


def run(arguments: argparse.Namespace) -> None:
    for folder, metrics in evaluate_runs(arguments.runs, arguments.data, device_of(arguments)):
        print(f"{folder}: test", *(f"{name} {value:.5f}" for name, value in metrics["test"].items()))


def evaluate_runs(
    folders: Sequence[Path], data: Path | None, device: torch.device, at_once: int | None = None
) -> Iterator[tuple[Path, dict]]:
    """Score deployed runs; yield the content of each ``metrics.json``.

    All predict before the first is judged: metrics are computed on the host, and by then the device is given back.

    Args:
        at_once: runs that are judged at a time; None: one on a CPU, and ``ON_GPU`` on a machine with a GPU.

    Raises:
        RunsFailed: after the last run, if some failed.
    """
    failures: dict[Path, BenchError] = {}

    def judged(run: tuple[Path, Source, Prediction | None]) -> tuple[Path, dict | None]:
        folder, source, prediction = run
        with set_aside(failures, folder, "evaluate"):
            return folder, judge_run(folder, prediction, source.splits, source.frequencies)
        return folder, None

    try:
        predicted = _predicted(folders, data, device, failures)
    finally:
        leave(device)
    at_once = at_once or (ON_GPU if device.type == "cuda" else 1)
    with ThreadPoolExecutor(at_once) as pool:
        for folder, metrics in map(judged, predicted) if at_once == 1 else pool.map(judged, predicted):
            if metrics is not None:
                yield folder, metrics
    if failures:
        raise RunsFailed(failures)


def _predicted(
    folders: Sequence[Path], data: Path | None, device: torch.device, failures: dict[Path, BenchError]
) -> list[tuple[Path, Source, Prediction | None]]:
    """Predictions of each run that does not fail, with its data set, which stays on the host."""
    found: list[tuple[Path, Source, Prediction | None]] = []
    moved: dict[Path, dict[str, Rows]] = {}  # of the data set in use
    for folder, source in each_run("evaluate", folders, data, SCORED, torch.device("cpu")):
        with set_aside(failures, folder, "evaluate"):
            require_both_classes(source.folder, source.schema, SCORED)
            if source.folder not in moved:
                moved = {source.folder: {split: rows.to(device) for split, rows in source.splits.items()}}
            found.append((folder, source, predict_run(folder, source.schema, moved[source.folder])))
    return found
