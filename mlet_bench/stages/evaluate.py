"""Score a deployed run on validation and, once, on test."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from mlet_bench.errors import BenchError, RunsFailed
from mlet_bench.evaluation.evaluate import evaluate_run
from mlet_bench.stages.common import (
    device_of,
    device_options,
    each_run,
    require_both_classes,
    run_options,
    set_aside,
)


def add_options(parser: argparse.ArgumentParser) -> None:
    run_options(parser)
    device_options(parser)


def run(arguments: argparse.Namespace) -> None:
    for folder, metrics in evaluate_runs(arguments.runs, arguments.data, device_of(arguments)):
        print(f"{folder}: test", *(f"{name} {value:.5f}" for name, value in metrics["test"].items()))


def evaluate_runs(folders: Sequence[Path], data: Path | None, device: torch.device) -> Iterator[tuple[Path, dict]]:
    """Score deployed runs; yield the content of each ``metrics.json``.

    Raises:
        RunsFailed: after the last run, if some failed.
    """
    failures: dict[Path, BenchError] = {}
    for folder, source in each_run("evaluate", folders, data, ("val", "test"), device):
        metrics = None
        with set_aside(failures, folder, "evaluate"):
            require_both_classes(source.folder, source.schema, ("val", "test"))
            metrics = evaluate_run(folder, source.schema, source.splits, source.frequencies)
        if metrics is not None:
            yield folder, metrics
    if failures:
        raise RunsFailed(failures)
