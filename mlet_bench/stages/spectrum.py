"""Effective and stable rank of each table of a deployed run."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import torch

from mlet_bench.evaluation.spectrum import mean_effective_rank, spectrum_run
from mlet_bench.runs import failure_recorded
from mlet_bench.stages.common import each_run, run_options

add_options = run_options


def run(arguments: argparse.Namespace) -> None:
    for folder, table in spectrum_runs(arguments.runs, arguments.data):
        start, trained = (mean_effective_rank(table, stage) for stage in ("initial", "trained"))
        print(f"{folder}: mean effective rank {start:.2f} at the start, {trained:.2f} trained")


def spectrum_runs(folders: Sequence[Path], data: Path | None) -> Iterator[tuple[Path, pa.Table]]:
    """Compute the ranks of deployed runs; yield the content of each ``spectrum.parquet``."""
    for folder, source in each_run("spectrum", folders, data, (), torch.device("cpu")):
        with failure_recorded([folder], "spectrum"):
            table = spectrum_run(folder, source.schema, source.counts)
        yield folder, table
