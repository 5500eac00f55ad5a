"""Make the model that is served, multiplying W1 and W2 into n×d tables, and check that no prediction changed."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from mlet_bench.errors import BenchError, RunsFailed
from mlet_bench.evaluation.deploy import deploy_run, load_deployed, load_trained
from mlet_bench.evaluation.spectrum import Spectrum
from mlet_bench.models.build import build_model
from mlet_bench.runs import RunFolder
from mlet_bench.stages.common import Source, each_run, run_options, set_aside


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--spectrum", action="store_true", help="also do what 'mlet-bench spectrum' does")
    run_options(parser)


def run(arguments: argparse.Namespace) -> None:
    for folder, description in deploy_runs(arguments.runs, arguments.data, arguments.spectrum):
        worst = max(description["max_logit_difference"].values())
        size = description["bytes"]["deployed_tables"] / 1e6
        print(f"{folder}: tables of {size:.2f} MB, largest difference in logit {worst:.1e}")


def deploy_runs(folders: Sequence[Path], data: Path | None, spectrum: bool = False) -> Iterator[tuple[Path, dict]]:
    """Deploy runs and check each on validation rows; yield its ``deployed.json``.

    Args:
        spectrum: also take the ranks, as ``spectrum_runs`` does, while the factors are there: nothing later needs them.

    Raises:
        RunsFailed: after the last run, if some failed.
    """
    failures: dict[Path, BenchError] = {}
    for folder, source in each_run("deploy", folders, data, ("val",), torch.device("cpu")):
        description = None
        with set_aside(failures, folder, "deploy"):
            RunFolder(folder).drop("deploy", "evaluate", "formats", "compare")
            description = (
                _with_spectrum(folder, source) if spectrum else deploy_run(folder, source.schema, source.splits)
            )
        if description is not None:
            yield folder, description
    if failures:
        raise RunsFailed(failures)


def _with_spectrum(folder: Path, source: Source) -> dict:
    """What ``deploy_run`` and ``spectrum_run`` write, with one drawing and one reading of W1, up to 17 GB each."""
    spec, schema, taken = RunFolder(folder).spec, source.schema, Spectrum(source.schema, source.folder)
    model = build_model(spec, schema)
    taken.take_initial(model)
    load_trained(spec, schema, folder, model)
    description = deploy_run(folder, schema, source.splits, model)
    taken.take_trained(model, load_deployed(folder)[0])
    taken.write(folder, spec.id)
    return description
