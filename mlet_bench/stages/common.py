"""What the stages share: options of the command line, runs with their data sets, and what a stage was made by."""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from mlet_bench.arms import RECIPES
from mlet_bench.data.dataset import Rows, load_split
from mlet_bench.device import resolve_device
from mlet_bench.files import read_json, write_json
from mlet_bench.runs import DATA, MADE_BY, PROVENANCE, SPEC, RunFolder, failure_recorded
from mlet_bench.spec import DatasetSchema


@dataclass(frozen=True)
class Source:
    """A prepared data set, some of its splits loaded."""

    folder: Path
    schema: DatasetSchema
    splits: dict[str, Rows]

    @classmethod
    def load(cls, folder: Path, splits: Sequence[str], device: torch.device) -> "Source":
        """Read the schema and load splits to a device.

        Raises:
            BenchError: the folder is no prepared data set, or is damaged.
        """
        schema = DatasetSchema.read(folder)
        return cls(folder, schema, {split: load_split(folder, schema, split, device) for split in splits})


def each_run(
    stage: str | None, folders: Sequence[Path], data: Path | None, splits: Sequence[str], device: torch.device
) -> Iterator[tuple[Path, Source]]:
    """Each run folder with its data set; a data set that several runs share is read once.

    A failure is recorded as one of ``stage``; None leaves the run as it is.
    """
    loaded: dict[Path, Source] = {}
    for folder in folders:
        with failure_recorded([folder], stage) if stage else nullcontext():
            source = (data or data_of(folder)).resolve()
            if source not in loaded:
                loaded = {source: Source.load(source, splits, device)}
        yield folder, loaded[source]


def data_of(folder: Path) -> Path:
    """The data set that a run was trained on, where it was then."""
    content = read_json(folder / DATA, "not a trained run; train it with 'mlet-bench train', or give --data")
    return folder / content["data"]


def made_by(folder: Path) -> dict[str, str]:
    """Stage → the sum of the code that made its result, of the stages whose result is known to be whole."""
    run = RunFolder(folder)
    made = read_json(folder / MADE_BY, f"delete {folder / MADE_BY}") if run.has(MADE_BY) else {}
    # A training may be cut off between two seeds, so each run says so itself, in the file that it writes last.
    trained = {"train": run.document(PROVENANCE)["code"]} if run.has(PROVENANCE) and run.has(SPEC) else {}
    return made | trained


def note_made_by(folder: Path, stage: str, code: str) -> None:
    """Remember the code that made a stage's result, after it was made."""
    write_json(folder / MADE_BY, made_by(folder) | {stage: code})


def forget(folder: Path, stages: Iterable[str]) -> None:
    """Remove what some stages left in a run's folder, and what is known of it."""
    made = made_by(folder)
    RunFolder(folder).drop(*stages, "compare")
    if made:
        write_json(folder / MADE_BY, {stage: code for stage, code in made.items() if stage not in stages})


def run_options(parser: argparse.ArgumentParser) -> None:
    """The runs that a stage works on, and their data set."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folder")
    parser.add_argument("--data", type=Path, help="data set, where it is no longer where the run was trained on it")


def recipe_options(parser: argparse.ArgumentParser) -> None:
    """The recipe, and what overrides single settings of it."""
    recipes = "; ".join(f"{name}: " + ", ".join(f"{k} {v}" for k, v in r.items()) for name, r in RECIPES.items())
    parser.add_argument("--recipe", default="authors", help=recipes)
    parser.add_argument("--optimizer", help="sgd or adagrad; this and --lr override the recipe")
    parser.add_argument("--lr", type=float)


def device_options(parser: argparse.ArgumentParser) -> None:
    """Where a stage runs."""
    parser.add_argument("--device", default="auto", help="auto (cuda where there is a GPU), cpu or cuda")
    parser.add_argument("--threads", type=int, help="CPU threads")


def device_of(arguments: argparse.Namespace) -> torch.device:
    """The device that was asked for; sets the number of CPU threads."""
    return resolve_device(arguments.device, arguments.threads)
