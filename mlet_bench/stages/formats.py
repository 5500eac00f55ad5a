"""Write evaluated runs in further formats (fewer bits, pruned, truncated) and score each as it is served."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from mlet_bench.embeddings.formats import FORMATS
from mlet_bench.errors import BenchError, RunsFailed
from mlet_bench.evaluation.serve import serve_run
from mlet_bench.stages.common import each_run, run_options, set_aside


def add_options(parser: argparse.ArgumentParser) -> None:
    formats_option(parser, required=True)
    run_options(parser)


def formats_option(parser: argparse.ArgumentParser, required: bool = False) -> None:
    """In which formats runs are written and scored."""
    told = "; ".join(f"{form.name}: {form.purpose}" for form in FORMATS.values())
    parser.add_argument(
        "--formats", nargs="+", choices=FORMATS, default=[], required=required, metavar="FORMAT", help=told
    )


def run(arguments: argparse.Namespace) -> None:
    for folder, made in formats_runs(arguments.runs, arguments.data, arguments.formats):
        for name, told in made["formats"].items():
            said = told.get("refused") or f"{told['tables'] / 1e6:.2f} MB of tables, test AUC {told['test']['auc']:.5f}"
            print(f"{folder}: {name}: {said}")


def formats_runs(
    folders: Sequence[Path], data: Path | None, formats: Sequence[str]
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Write and score runs in some formats; yield the content of each ``formats.json``.

    Raises:
        RunsFailed: after the last run, if some failed.
    """
    failures: dict[Path, BenchError] = {}
    for folder, source in each_run("formats", folders, data, ("val", "test"), torch.device("cpu")):
        made = None
        with set_aside(failures, folder, "formats"):
            made = serve_run(folder, source.schema, source.splits, formats)
        if made is not None:
            yield folder, made
    if failures:
        raise RunsFailed(failures)
