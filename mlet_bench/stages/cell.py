"""Train, deploy and score all runs of a cell, or of several: what the DAG does in one job, each stage only where it is
due.

A seed's run that is there already, made by the code of today, stays as it is. So a seed that is added leaves the others
alone, a job that was killed goes on where it was, and a model goes as soon as nothing needs it.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mlet_bench.data.dataset import Rows
from mlet_bench.errors import BenchError, OverBudgetError, RunsFailed, gone_on
from mlet_bench.files import digest, read_json, write_json
from mlet_bench.models.base import ClickModel
from mlet_bench.models.build import embedding_options
from mlet_bench.runs import (
    CURVE,
    DEPLOYED,
    DEPLOYED_MODEL,
    FORMATS,
    MODEL,
    PLAIN,
    SPEC,
    STAGES,
    TUNING,
    RunFolder,
    differences,
    failure_recorded,
    served_file,
)
from mlet_bench.spec import DatasetSchema, RunSpec
from mlet_bench.stages import train
from mlet_bench.stages.code import code_of
from mlet_bench.stages.common import Source, device_of, forget, made_by, note_made_by
from mlet_bench.stages.deploy import Deployment, deploy_runs
from mlet_bench.stages.evaluate import evaluate_runs
from mlet_bench.stages.formats import formats_option, formats_runs
from mlet_bench.training.loop import Keeper
from mlet_bench.training.rounds import Runs

KEPT = {"metrics": (), "deployed": (DEPLOYED_MODEL,), "all": (MODEL, DEPLOYED_MODEL)}  # models, by ``--keep``
MADE = (
    "train",
    "deploy",
    "spectrum",
    "evaluate",
    "formats",
)  # the stages of a cell's runs, each made from those before


def add_options(parser: argparse.ArgumentParser) -> None:
    train.add_options(parser)
    formats_option(parser)
    parser.add_argument(
        "--keep", choices=KEPT, default="deployed",
        help="what stays once a run is scored: numbers alone, the model that is served, or W1 and W2 as well",
    )  # fmt: skip
    parser.add_argument("--index", type=Path, required=True, help="JSON file to write: the runs and their files")
    parser.add_argument(
        "--beside", nargs=2, action="append", default=[], metavar=("ARM[:K]", "FOLDER"),
        help="another cell with the same settings, its runs in FOLDER/seed{seed}, its index FOLDER/runs.json: on a GPU "
        "runs of equal shape are trained together, whatever their arm",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    wanted, device = Wanted(arguments.keep, tuple(arguments.formats)), device_of(arguments)
    execution, factors = train.execution_of(arguments), train.factors_of(arguments)
    cells = [CellRuns.of(arguments), *(CellRuns.of(other) for other in _beside(arguments))]
    failures: dict[Path, BenchError] = {}
    with train.owned_folders([folder for cell in cells for folder in cell.folders]):
        for cell in cells:
            train.drop_all_damaged(cell.runs)
            for spec, folder in cell.runs:
                if RunFolder(folder).has(SPEC) and differences(RunFolder(folder).spec, spec):
                    forget(folder, STAGES)
                drop_stale(folder, cell.codes, wanted)
        cells = [cell for cell in cells if not _beyond_budget(cell, arguments.data, wanted)]
        if not cells:
            return
        runs = [run for cell in cells for run in cell.runs]
        codes = {folder: cell.codes for cell in cells for folder in cell.folders}
        due = {folder: Due.of(folder, wanted) for folder in codes}
        with gone_on(failures):
            keeper = DeployAtOnce(arguments.data, codes, wanted)
            for folder, last in train.train_runs(arguments.data, runs, device, execution, factors, keeper):
                if due[folder].train:
                    print(f"{folder}: trained", *(f"{name} {last[name]:.5f}" for name in ("val_auc",) if last))
                elif not due[folder].anything:
                    print(f"{folder}: as it was")
        finish(arguments.data, codes, device, wanted, failures)
        for cell in cells:
            if not failures.keys() & set(cell.folders):
                write_index(cell.index, cell.folders, wanted)
        if failures:
            raise RunsFailed(failures)


@dataclass(frozen=True)
class CellRuns:
    """A cell of the command.

    Attributes:
        runs: spec and folder of each seed's.
        index: the file to write.
        codes: of each stage of ``MADE``, the sum of its code.
    """

    runs: Runs
    index: Path
    codes: dict[str, str]

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> "CellRuns":
        """The cell that options name."""
        settings = train.settings_of(arguments)
        made_with = settings["arm"], settings["model"]
        codes = {stage: digest(code_of(f"mlet_bench.stages.{stage}", *made_with)) for stage in MADE}
        return cls(train.specs_of(arguments.data, arguments.out, arguments.seed, settings), arguments.index, codes)

    @property
    def folders(self) -> list[Path]:
        """Of the runs."""
        return [folder for _, folder in self.runs]


class DeployAtOnce(Keeper):
    """Makes the model that is served, and takes the ranks, while W1 is in memory: it is stored only to be kept.

    Args:
        codes: by folder of each run, of each stage of ``MADE`` the sum of its code.
    """

    def __init__(self, data: Path, codes: Mapping[Path, dict[str, str]], wanted: "Wanted"):
        self._source, self._codes, self._wanted = Source(data, DatasetSchema.read(data), {}), codes, wanted
        self._begun: dict[Path, Deployment] = {}

    def drawn(self, spec: RunSpec, folder: Path, model: ClickModel) -> None:
        self._begun[folder] = Deployment(self._source.schema, self._source.counts, model)

    def trained(self, spec: RunSpec, folder: Path, model: ClickModel, data: Mapping[str, Rows]) -> dict[str, Any]:
        """A model that cannot be deployed is stored: the stage that deploys finds it, and says why."""
        deployment = self._begun.pop(folder)
        try:
            deployment.finish(folder, {"val": data["val"]}, model)
        except BenchError:
            return super().trained(spec, folder, model, data)
        for stage in ("deploy", "spectrum"):
            note_made_by(folder, stage, self._codes[folder][stage])
        return super().trained(spec, folder, model, data) if self._wanted.keeps(MODEL) else {}


def _beside(arguments: argparse.Namespace) -> Iterator[argparse.Namespace]:
    """The options of the cells beside the first.

    Raises:
        BenchError: a k that is no whole number.
    """
    for name, folder in arguments.beside:
        arm, _, inner_dim = name.partition(":")
        if inner_dim and not inner_dim.isdecimal():
            raise BenchError(f"--beside {name}: write ARM, or ARM:K with a whole number")
        own = {"arm": arm, "inner_dim": int(inner_dim) if inner_dim else None}
        own |= {"out": str(Path(folder, "seed{seed}")), "index": Path(folder, "runs.json")}
        yield argparse.Namespace(**vars(arguments) | own)


def _beyond_budget(cell: CellRuns, data: Path, wanted: "Wanted") -> bool:
    """Whether a cell's method cannot store as little as its budget; recorded in its runs and its index then.

    That is a finding and no failure of the job: what is asked is which methods reach a budget.
    """
    try:
        embedding_options(cell.runs[0][0], DatasetSchema.read(data).table_sizes)
    except OverBudgetError as error:
        with suppress(OverBudgetError), failure_recorded(cell.folders, "train"):
            raise
        print(error)
        write_json(cell.index, {"keep": wanted.keep, "runs": {}, "over_budget": str(error)})
        return True
    return False


@dataclass(frozen=True)
class Wanted:
    """What is to be there of each run: the models that stay, by ``--keep``, and the formats it is scored in."""

    keep: str
    formats: tuple[str, ...] = ()

    def keeps(self, model: str) -> bool:
        """Whether a model stays once nothing needs it."""
        return model in KEPT[self.keep]


@dataclass(frozen=True)
class Due:
    """Which stages of a run are due, by the files that are there and those that are to stay."""

    train: bool
    deploy: bool
    evaluate: bool
    formats: bool

    @property
    def anything(self) -> bool:
        """Whether any is."""
        return self.train or self.deploy or self.evaluate or self.formats

    @classmethod
    def of(cls, folder: Path, wanted: Wanted) -> "Due":
        """What is due in a folder whose stale results are gone."""
        run, made = RunFolder(folder), made_by(folder)
        evaluate = not all(map(run.has, STAGES["evaluate"])) or "evaluate" not in made
        formats = evaluate or "formats" not in made or bool(_unserved(run, wanted))
        formats &= bool(wanted.formats)
        served = evaluate or formats or wanted.keeps(DEPLOYED_MODEL)
        deploy = not run.has(DEPLOYED) or not {"deploy", "spectrum"} <= made.keys()
        deploy |= not all(map(run.has, STAGES["spectrum"])) or (served and not run.has(DEPLOYED_MODEL))
        trained = "train" in made and run.has(SPEC) and run.has(CURVE)
        train = not trained or ((deploy or wanted.keeps(MODEL)) and not run.has(MODEL))
        return cls(train, deploy, evaluate, formats or (deploy and bool(wanted.formats)))


def _unserved(run: RunFolder, wanted: Wanted) -> list[str]:
    """The formats that a run is not scored in, or whose models are to be there and are not."""
    made = run.document(FORMATS)["formats"] if run.has(FORMATS) else {}
    return [
        name
        for name in wanted.formats
        if name not in made
        or (
            name != PLAIN
            and "refused" not in made[name]
            and wanted.keeps(DEPLOYED_MODEL)
            and not run.has(served_file(name))
        )
    ]


def drop_stale(folder: Path, codes: dict[str, str], wanted: Wanted) -> None:
    """Remove what other code left in a run's folder, and what must be made again with it.

    Args:
        codes: of each stage of ``MADE``, the sum of its code.
    """
    made = made_by(folder)
    for place, stage in enumerate(MADE):
        if made.get(stage, codes[stage]) != codes[stage]:
            forget(folder, MADE[place:])
    if Due.of(folder, wanted).train:
        forget(folder, MADE)


def finish(
    data: Path,
    codes: Mapping[Path, dict[str, str]],
    device: torch.device,
    wanted: Wanted,
    failures: dict[Path, BenchError],
) -> None:
    """Deploy and score trained runs where that is due, and remove the models that are not kept.

    Args:
        codes: by folder of each run, of each stage of ``MADE`` the sum of its code.
        failures: runs that are passed over; those that fail here are added.
    """
    trained = [folder for folder in codes if folder not in failures]
    due = {folder: Due.of(folder, wanted) for folder in trained}
    to_deploy = [folder for folder in trained if due[folder].deploy]
    to_score = [folder for folder in trained if due[folder].deploy or due[folder].evaluate]
    to_serve = [folder for folder in trained if due[folder].formats]
    with gone_on(failures):
        for folder, _ in deploy_runs(to_deploy, data, spectrum=True):
            for stage in ("deploy", "spectrum"):
                note_made_by(folder, stage, codes[folder][stage])
            _tidy(folder, MODEL, wanted)
    with gone_on(failures):
        for folder, metrics in evaluate_runs([each for each in to_score if each not in failures], data, device):
            note_made_by(folder, "evaluate", codes[folder]["evaluate"])
            print(f"{folder}: test", *(f"{name} {value:.5f}" for name, value in metrics["test"].items()))
    with gone_on(failures):
        for folder, _ in formats_runs([each for each in to_serve if each not in failures], data, wanted.formats):
            note_made_by(folder, "formats", codes[folder]["formats"])
    for folder in trained:
        if folder in failures:  # what it has is what the next attempt begins with
            continue
        for model in (MODEL, DEPLOYED_MODEL):
            _tidy(folder, model, wanted)
        if not wanted.keeps(DEPLOYED_MODEL):
            for served in folder.glob(served_file("*")):
                served.unlink()


def _tidy(folder: Path, model: str, wanted: Wanted) -> None:
    if not wanted.keeps(model):
        (folder / model).unlink(missing_ok=True)


def write_index(index: Path, folders: Sequence[Path], wanted: Wanted) -> None:
    """Write the ids of a cell's runs and the files that they have, which ``lacking`` looks for later."""
    absent = {MODEL, DEPLOYED_MODEL, TUNING.file} - set(KEPT[wanted.keep])
    stages = [stage for stage in MADE if stage != "formats"]
    files = [file for stage in stages for file in STAGES[stage] if file not in absent]
    files += [FORMATS.file] if wanted.formats else []
    runs = {}
    for folder in folders:
        served = sorted(path.name for path in folder.glob(served_file("*")))
        runs[folder.name] = {"run_id": RunFolder(folder).spec.id, "files": files + served}
    write_json(index, {"keep": wanted.keep, "runs": runs})


def lacking(index: Path, keep: str) -> list[str]:
    """What of a cell's files is not there any more, or is to be kept from now on; empty without an index.

    A damaged index is lacking itself: planning goes on, and the cell's command writes it again.
    """
    if not index.exists():
        return []
    try:
        runs = read_json(index, f"delete {index}")["runs"]
        wanted = [(run, file) for run, said in runs.items() for file in {*said["files"], *KEPT[keep]}]
    except (BenchError, KeyError, TypeError, AttributeError):  # damaged: the command writes it again
        return [index.name]
    return sorted(f"{run}/{file}" for run, file in wanted if not _has_content(index.parent / run / file))


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
