"""Recompute a run's metrics from its deployed model and say whether they hold."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from mlet_bench.errors import BenchError
from mlet_bench.evaluation.verify import Check, verify_run
from mlet_bench.stages.common import device_of, device_options, each_run, run_options


def add_options(parser: argparse.ArgumentParser) -> None:
    run_options(parser)
    device_options(parser)


def run(arguments: argparse.Namespace) -> None:
    wrong = []
    for folder, checks in verify_runs(arguments.runs, arguments.data, device_of(arguments)):
        for check in checks:
            print(f"{folder}: {check}")
        wrong += [f"{folder}: {check.name}" for check in checks if not check.holds]
    if wrong:
        raise BenchError(f"{len(wrong)} checks failed: {', '.join(wrong)}")


def verify_runs(folders: Sequence[Path], data: Path | None, device: torch.device) -> Iterator[tuple[Path, list[Check]]]:
    """Recompute what runs report; yield the checks of each."""
    for folder, source in each_run(None, folders, data, ("val", "test"), device):
        yield folder, verify_run(folder, source.schema, source.splits)
