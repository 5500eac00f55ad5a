"""Make the model that is served, multiplying W1 and W2 into n×d tables, and check that no prediction changed."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from mlet_bench.data.dataset import Rows
from mlet_bench.errors import BenchError, RunsFailed
from mlet_bench.evaluation.deploy import deploy_run, deploy_trained, load_trained
from mlet_bench.evaluation.spectrum import Spectrum
from mlet_bench.models.base import ClickModel
from mlet_bench.models.build import build_model
from mlet_bench.runs import RunFolder
from mlet_bench.spec import DatasetSchema
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
            RunFolder(folder).drop("deploy", "evaluate", "formats")
            description = (
                _with_spectrum(folder, source) if spectrum else deploy_run(folder, source.schema, source.splits)
            )
        if description is not None:
            yield folder, description
    if failures:
        raise RunsFailed(failures)


class Deployment:
    """What ``deploy_run`` and ``spectrum_run`` write of a run, with W1, up to 17 GB, in memory once.

    Args:
        counts: (n,) training rows of each category, by field.
        model: as it was drawn; ``finish`` expects it trained.
    """

    def __init__(self, schema: DatasetSchema, counts: Mapping[str, np.ndarray], model: ClickModel):
        self._schema, self._taken = schema, Spectrum(schema, counts)
        self._taken.take_initial(model)

    def finish(self, folder: Path, splits: dict[str, Rows], model: ClickModel) -> dict:
        """Write the files; the content of ``deployed.json``. splits: as of ``deploy_run``, where the model is."""
        description, served = deploy_trained(folder, self._schema, splits, model)
        self._taken.take_trained(model, served)
        self._taken.write(folder, RunFolder(folder).spec.id)
        return description


def _with_spectrum(folder: Path, source: Source) -> dict:
    spec, schema = RunFolder(folder).spec, source.schema
    model = build_model(spec, schema)
    deployment = Deployment(schema, source.counts, model)
    load_trained(spec, schema, folder, model)
    return deployment.finish(folder, source.splits, model)
