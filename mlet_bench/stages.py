"""The stages of a run, each a function of folders: what the command line and the DAG call."""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pandas as pd
import torch

from mlet_bench.analysis.overhead import measure_overhead
from mlet_bench.analysis.rank import spectrum_run
from mlet_bench.data.dataset import Rows, load_split, training_counts
from mlet_bench.errors import BenchError, Stopped, out_of_memory
from mlet_bench.evaluation.collapse import collapse_run
from mlet_bench.evaluation.evaluate import evaluate_run
from mlet_bench.files import atomic, read_json, write_json
from mlet_bench.spec import DatasetSchema, RunSpec
from mlet_bench.stopping import stop_requests
from mlet_bench.training.loop import train
from mlet_bench.training.tuning import train_tuned
from mlet_bench.training.unfinished import drop_if_empty, is_trained, owned, publish, unfinished


def train_runs(
    data: Path,
    out: str,
    seeds: Sequence[int],
    device: torch.device,
    settings: dict,
    embedding_lr_factors: Sequence[float] = (),
    checkpoint_seconds: float = 600.0,
) -> Iterator[tuple[Path, dict]]:
    """Train one run a seed; yield each folder with the last point of its curve (empty without validation).

    Args:
        data: a prepared data set.
        out: the run folder; with several seeds it holds ``{seed}``.
        settings: the fields of RunSpec except dataset, fingerprint and seed.
        embedding_lr_factors: the candidates of an arm that tunes, see ``train_tuned``.
        checkpoint_seconds: least time between two checkpoints of a run.

    A call that was cut off is gone on with by the next one: runs that were done stay (see ``training/unfinished.py``).

    Raises:
        BenchError: several seeds would share a folder, another process trains there; or whatever a run raises.
        Stopped: a signal asked for it, and everything is stored.
    """
    if len(seeds) > 1 and "{seed}" not in out:
        raise BenchError(f"{len(seeds)} seeds but one folder {out!r}: write '{{seed}}' where the seed's number goes")
    schema = DatasetSchema.read(data)
    specs = {seed: RunSpec(schema.name, schema.fingerprint, seed=seed, **settings) for seed in seeds}
    needed = ("train", "val", "test") if settings.get("authors_selection") else ("train", "val")
    folders = {seed: Path(out.replace("{seed}", str(seed))) for seed in seeds}
    with ExitStack() as stack:
        for folder in folders.values():
            stack.enter_context(owned(folder))
        asked = stack.enter_context(stop_requests())
        with _failure_recorded(folders.values(), "train"):
            splits = _load(data, schema, needed, device)
            runs = [(specs[seed], unfinished(folder)) for seed, folder in folders.items()]

        def train_one(spec: RunSpec, place: Path) -> None:
            train(spec, schema, splits, place, checkpoint_seconds, asked=asked)
            if asked() is not None:
                raise Stopped(asked(), f"stopped, {place} is trained and stored; the same command goes on")

        for _, place in runs:
            stack.callback(drop_if_empty, place)
        if runs[0][0].settings.tunes_lr:
            with _failure_recorded(folders.values(), "train"):
                train_tuned(runs, embedding_lr_factors, train_one)
        for (spec, place), folder in zip(runs, folders.values(), strict=True):
            with _failure_recorded([folder], "train"):
                if not spec.settings.tunes_lr and not is_trained(place, spec):
                    train_one(spec, place)
                publish(place, folder)
                # Relative, so that a results folder can move as a whole.
                write_json(folder / "data.json", {"data": os.path.relpath(data, folder)})
                curve = pd.read_parquet(folder / "curve.parquet")
            yield folder, (curve.iloc[-1].to_dict() if len(curve) else {})
        for _, place in runs:
            shutil.rmtree(place)


def collapse_runs(folders: Sequence[Path], data: Path | None) -> Iterator[tuple[Path, dict]]:
    """Collapse runs and check each on validation rows; yield its ``collapsed.json``."""
    for folder, _, schema, splits in _each_run("collapse", folders, data, ("val",), torch.device("cpu")):
        with _failure_recorded([folder], "collapse"):
            description = collapse_run(folder, schema, splits)
        yield folder, description


def evaluate_runs(folders: Sequence[Path], data: Path | None, device: torch.device) -> Iterator[tuple[Path, dict]]:
    """Score collapsed runs; yield the content of each ``metrics.json``."""
    for folder, source, schema, splits in _each_run("evaluate", folders, data, ("val", "test"), device):
        with _failure_recorded([folder], "evaluate"):
            counts = [training_counts(source, field.name) for field in schema.fields]
            metrics = evaluate_run(folder, schema, splits, counts)
        yield folder, metrics


def spectrum_runs(folders: Sequence[Path], data: Path | None) -> Iterator[tuple[Path, pd.DataFrame]]:
    """Compute the ranks of collapsed runs; yield the content of each ``spectrum.parquet``."""
    for folder, source, schema, _ in _each_run("spectrum", folders, data, (), torch.device("cpu")):
        with _failure_recorded([folder], "spectrum"):
            frame = spectrum_run(folder, schema, source)
        yield folder, frame


def overhead(data: Path, out: Path, device: torch.device, **settings) -> pd.DataFrame:
    """Time MLET against the baseline on a data set and write the pairs to a Parquet file.

    Args:
        settings: the arguments of ``measure_overhead`` after ``rows``.
    """
    schema = DatasetSchema.read(data)
    rows = load_split(data, schema, "train", device)
    frame = measure_overhead(schema, rows, device=device, **settings)
    with atomic(out) as partial:
        frame.to_parquet(partial, index=False)
    return frame


def _each_run(
    stage: str, folders: Sequence[Path], data: Path | None, splits: Sequence[str], device: torch.device
) -> Iterator[tuple[Path, Path, DatasetSchema, dict[str, Rows]]]:
    """Each run folder with its data set, schema and splits; a data set that several runs share is read once."""
    loaded: dict[Path, tuple[DatasetSchema, dict[str, Rows]]] = {}
    for folder in folders:
        with _failure_recorded([folder], stage):
            source = (data or _data_of(folder)).resolve()
            if source not in loaded:
                schema = DatasetSchema.read(source)
                loaded = {source: (schema, _load(source, schema, splits, device))}
        yield folder, source, *loaded[source]


def _data_of(folder: Path) -> Path:
    content = read_json(folder / "data.json", "not a trained run; train it with 'mlet-bench train', or give --data")
    return folder / content["data"]


def _load(data: Path, schema: DatasetSchema, splits: Sequence[str], device: torch.device) -> dict[str, Rows]:
    return {split: load_split(data, schema, split, device) for split in splits}


# A stage that passes takes away the failures of those that run after it on its result, and no other's.
FOLLOWING = {
    "train": ("train", "collapse", "evaluate", "spectrum"),
    "collapse": ("collapse", "evaluate", "spectrum"),
    "evaluate": ("evaluate",),
    "spectrum": ("spectrum",),
}


@contextmanager
def _failure_recorded(folders: Iterable[Path], stage: str) -> Iterator[None]:
    """Leave ``failed.json`` in run folders whose stage raised, for the report; take it away once the stage passes."""
    paths = [folder / "failed.json" for folder in folders]
    try:
        yield
    except Exception as error:
        known = error if isinstance(error, BenchError) else out_of_memory(error)
        reason = str(known) if known else f"{type(error).__name__}: {error}"
        with suppress(BenchError, OSError):  # where the disk is full, say, the error itself is what counts
            for path in paths:
                write_json(path, {"stage": stage, "error": reason})
        raise
    for path in paths:
        if path.exists() and read_json(path, "delete it")["stage"] in FOLLOWING[stage]:
            path.unlink()
