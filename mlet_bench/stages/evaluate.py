"""Score a deployed run on validation and, once, on test."""

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from mlet_bench.errors import BenchError, RunsFailed
from mlet_bench.evaluation.evaluate import evaluate_run
from mlet_bench.stages.common import (
    Source,
    device_of,
    device_options,
    each_run,
    require_both_classes,
    run_options,
    set_aside,
)

ON_GPU = 4  # runs scored at once: sorting is numpy's, which lets go of the interpreter


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

    Args:
        at_once: runs that are scored at a time; None: one on a CPU, and ``ON_GPU`` on a GPU, which else would wait for
            the sorting of millions of scores on the host.

    Raises:
        RunsFailed: after the last run, if some failed.
    """
    failures: dict[Path, BenchError] = {}

    def evaluated(run: tuple[Path, Source]) -> tuple[Path, dict | None]:
        folder, source = run
        with set_aside(failures, folder, "evaluate"):
            require_both_classes(source.folder, source.schema, ("val", "test"))
            return folder, evaluate_run(folder, source.schema, source.splits, source.frequencies)
        return folder, None

    at_once = at_once or (ON_GPU if device.type == "cuda" else 1)
    runs = each_run("evaluate", folders, data, ("val", "test"), device)
    with ThreadPoolExecutor(at_once) as pool:
        for folder, metrics in map(evaluated, runs) if at_once == 1 else pool.map(evaluated, runs):
            if metrics is not None:
                yield folder, metrics
    if failures:
        raise RunsFailed(failures)
