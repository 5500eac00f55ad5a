"""Train, deploy and score all runs of a cell: what the DAG does in one job, each stage only where it is due.

A seed's run that is there already, made by the code of today, stays as it is. So a seed that is added leaves the others
alone, a job that was killed goes on where it was, and a model goes as soon as nothing needs it.
"""

import argparse
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from mlet_bench.errors import BenchError, OverBudgetError, RunsFailed
from mlet_bench.files import digest, read_json, write_json
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
from mlet_bench.stages.common import device_of, forget, gone_on, made_by, note_made_by
from mlet_bench.stages.deploy import deploy_runs
from mlet_bench.stages.evaluate import evaluate_runs
from mlet_bench.stages.formats import formats_option, formats_runs

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


def run(arguments: argparse.Namespace) -> None:
    settings, wanted = train.settings_of(arguments), Wanted(arguments.keep, tuple(arguments.formats))
    runs = train.specs_of(arguments.data, arguments.out, arguments.seed, settings)
    folders, device = [folder for _, folder in runs], device_of(arguments)
    codes = {stage: digest(code_of(f"mlet_bench.stages.{stage}", settings["arm"], settings["model"])) for stage in MADE}
    failures: dict[Path, BenchError] = {}
    with train.owned_folders(folders):
        train.drop_all_damaged(runs)
        for spec, folder in runs:
            if RunFolder(folder).has(SPEC) and differences(RunFolder(folder).spec, spec):
                forget(folder, STAGES)
            drop_stale(folder, codes, wanted)
        due = {folder: Due.of(folder, wanted) for folder in folders}
        execution, factors = train.execution_of(arguments), train.factors_of(arguments)
        if said := _beyond_budget(runs[0][0], arguments.data, folders):
            print(said)
            write_json(arguments.index, {"keep": wanted.keep, "runs": {}, "over_budget": said})
            return
        with gone_on(failures):
            for folder, last in train.train_runs(arguments.data, runs, device, execution, factors):
                if due[folder].train:
                    print(f"{folder}: trained", *(f"{name} {last[name]:.5f}" for name in ("val_auc",) if last))
                elif not due[folder].anything:
                    print(f"{folder}: as it was")
        finish(arguments.data, folders, device, codes, wanted, failures)
        if failures:
            raise RunsFailed(failures)
        write_index(arguments.index, folders, wanted)


def _beyond_budget(spec: RunSpec, data: Path, folders: Sequence[Path]) -> str:
    """Why a cell's method cannot store as little as its budget, recorded in its runs; empty where it can.

    That is a finding and no failure of the job: what is asked is which methods reach a budget.
    """
    try:
        embedding_options(spec, DatasetSchema.read(data).table_sizes)
    except OverBudgetError as error:
        with suppress(OverBudgetError), failure_recorded(folders, "train"):
            raise
        return str(error)
    return ""


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
    folders: Sequence[Path],
    device: torch.device,
    codes: dict[str, str],
    wanted: Wanted,
    failures: dict[Path, BenchError],
) -> None:
    """Deploy and score trained runs where that is due, and remove the models that are not kept.

    Args:
        failures: runs that are passed over; those that fail here are added.
    """
    trained = [folder for folder in folders if folder not in failures]
    due = {folder: Due.of(folder, wanted) for folder in trained}
    to_deploy = [folder for folder in trained if due[folder].deploy]
    to_score = [folder for folder in trained if due[folder].deploy or due[folder].evaluate]
    to_serve = [folder for folder in trained if due[folder].formats]
    with gone_on(failures):
        for folder, _ in deploy_runs(to_deploy, data, spectrum=True):
            for stage in ("deploy", "spectrum"):
                note_made_by(folder, stage, codes[stage])
            _tidy(folder, MODEL, wanted)
    with gone_on(failures):
        for folder, metrics in evaluate_runs([each for each in to_score if each not in failures], data, device):
            note_made_by(folder, "evaluate", codes["evaluate"])
            print(f"{folder}: test", *(f"{name} {value:.5f}" for name, value in metrics["test"].items()))
    with gone_on(failures):
        for folder, _ in formats_runs([each for each in to_serve if each not in failures], data, wanted.formats):
            note_made_by(folder, "formats", codes["formats"])
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
