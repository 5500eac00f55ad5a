"""What the stages share: options of the command line, runs with their data sets, and what a stage was made by."""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from mlet_bench.arms import RECIPES
from mlet_bench.data.dataset import Rows, load_split, training_counts
from mlet_bench.device import be_deterministic, resolve_device
from mlet_bench.errors import BenchError
from mlet_bench.evaluation.frequency import row_frequencies
from mlet_bench.files import read_json, write_json
from mlet_bench.runs import DATA, MADE_BY, PROVENANCE, SPEC, STAGES, RunFolder, failure_recorded, require_keys
from mlet_bench.spec import SPLITS, DatasetSchema
from mlet_bench.stages.numbers import count, positive

RECIPE = ("recipe", "optimizer", "lr", "loss", "w2_std")  # options of ``recipe_options``


@dataclass(frozen=True)
class Source:
    """A prepared data set, some of its splits loaded; what all runs on it need is made once, when it is asked for."""

    folder: Path
    schema: DatasetSchema
    splits: dict[str, Rows]

    @cached_property
    def counts(self) -> dict[str, np.ndarray]:
        """Of each field how many training rows have each id, (n,) int64."""
        return {field.name: training_counts(self.folder, self.schema, field.name) for field in self.schema.fields}

    @cached_property
    def frequencies(self) -> dict[str, np.ndarray]:
        """What test rows are grouped by, (N,) by name of the grouping: as ``row_frequencies``."""
        return row_frequencies(self.splits["test"].ids.cpu().numpy(), list(self.counts.values()))

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


@contextmanager
def set_aside(failures: dict[Path, BenchError], folder: Path, stage: str) -> Iterator[None]:
    """Record the failure of one run of ``stage`` and keep it in ``failures``: those beside it are gone on with.

    Whoever calls this raises ``RunsFailed(failures)`` after the last run, if there are any.
    """
    try:
        with failure_recorded([folder], stage):
            yield
    except BenchError as error:
        failures[folder] = error.with_traceback(None)  # whose frames would keep a model in memory


def require_both_classes(folder: Path, schema: DatasetSchema, splits: Iterable[str] = SPLITS) -> None:
    """Refuse a data set with a split of one class, by its schema alone: nothing can be ranked on it.

    Raises:
        BenchError: names the split and what to do.
    """
    for split in splits:
        rows, clicks = schema.rows[split], schema.clicks[split]
        if not 0 < clicks < rows:
            raise BenchError(
                f"{folder}: the {split} split has {rows:,} rows with {clicks:,} clicks, and metrics need rows of both "
                "classes: prepare more rows (max_rows), or another split, with 'mlet-bench prepare'"
            )


def data_of(folder: Path) -> Path:
    """The data set that a run was trained on, where it was then."""
    path, hint = folder / DATA, "not a trained run; train it with 'mlet-bench train', or give --data"
    damaged = "train it again with 'mlet-bench train', which keeps what is done and writes this file, or give --data"
    content = read_json(path, hint, damaged)
    require_keys(path, content, ("data",), damaged)
    return folder / content["data"]


def made_by(folder: Path) -> dict[str, str]:
    """Stage → the sum of the code that made its result, of the stages whose result is known to be whole.

    What a damaged file says is not known, and its stages are due again.
    """
    run, made, trained = RunFolder(folder), {}, {}
    with suppress(BenchError):
        made = noted(folder)
    if run.has(PROVENANCE) and run.has(SPEC):
        # A training may be cut off between two seeds, so each run says so itself, in the file that it writes last.
        with suppress(BenchError):
            trained = {"train": run.document(PROVENANCE)["code"]}
    return made | trained


def noted(folder: Path) -> dict[str, str]:
    """What ``made_by.json`` says; nothing where it is absent.

    Raises:
        BenchError: it is damaged.
    """
    path = folder / MADE_BY
    if not path.exists():
        return {}
    noted = read_json(path, f"delete {path}")
    known = isinstance(noted, dict) and noted.keys() <= STAGES.keys()
    if not known or not all(isinstance(code, str) for code in noted.values()):
        raise BenchError(f"{path} does not say which code made what: delete it")
    return noted


def note_made_by(folder: Path, stage: str, code: str) -> None:
    """Remember the code that made a stage's result, after it was made."""
    made = made_by(folder) | {stage: code}
    write_json(folder / MADE_BY, {stage: made[stage] for stage in STAGES if stage in made})


def forget(folder: Path, stages: Iterable[str]) -> None:
    """Remove what some stages left in a run's folder, and what is known of it."""
    made = made_by(folder)
    RunFolder(folder).drop(*stages)
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
    parser.add_argument("--optimizer", help="sgd or adagrad; this and what follows overrides the recipe")
    parser.add_argument("--lr", type=positive)
    parser.add_argument("--loss", help="mean or sum over the batch")
    parser.add_argument("--w2-std", type=positive, help="standard deviation of W2's initial values")


def device_options(parser: argparse.ArgumentParser) -> None:
    """Where a stage runs."""
    parser.add_argument("--device", default="auto", help="auto (cuda where there is a GPU), cpu or cuda")
    parser.add_argument(
        "--deterministic", action="store_true",
        help="on a GPU, only operations that give the same bits each time: slower; a CPU always does",
    )  # fmt: skip
    parser.add_argument("--threads", type=count, help="CPU threads, at most the cores that are free")


def device_of(arguments: argparse.Namespace) -> torch.device:
    """The device that was asked for; sets the number of CPU threads."""
    if arguments.deterministic:
        be_deterministic()
    return resolve_device(arguments.device, arguments.threads)
