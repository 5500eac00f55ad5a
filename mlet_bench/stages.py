"""The stages of a run, each a function of folders: what the command line and the DAG call."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path

import pyarrow as pa
import torch

from mlet_bench.analysis.overhead import measure_overhead
from mlet_bench.analysis.rank import Spectrum, spectrum_run
from mlet_bench.data.dataset import Rows, load_split, training_counts
from mlet_bench.errors import BenchError, RunsFailed
from mlet_bench.evaluation.collapse import collapse_run, load_collapsed, load_trained
from mlet_bench.evaluation.evaluate import evaluate_run
from mlet_bench.evaluation.verify import Check, verify_run
from mlet_bench.failures import failure_recorded
from mlet_bench.files import read_json, write_json
from mlet_bench.models import build_model
from mlet_bench.owned import owned
from mlet_bench.parquet import read_table, write_table
from mlet_bench.spec import DatasetSchema, RunSpec
from mlet_bench.stopping import stop_requests
from mlet_bench.training.loop import train_together
from mlet_bench.training.memory import check_memory, pack_size
from mlet_bench.training.tuning import train_tuned
from mlet_bench.training.unfinished import drop_if_empty, is_trained, publish, unfinished


def train_runs(
    data: Path,
    out: str,
    seeds: Sequence[int],
    device: torch.device,
    settings: dict,
    embedding_lr_factors: Sequence[float] = (),
    pack: int | None = None,
    checkpoint_seconds: float = 600.0,
    eager: bool = False,
) -> Iterator[tuple[Path, dict]]:
    """Train one run a seed; yield each folder with the last point of its curve (empty without validation).

    Args:
        data: a prepared data set.
        out: the run folder; with several seeds it holds ``{seed}``.
        settings: the fields of RunSpec except dataset, fingerprint and seed.
        embedding_lr_factors: the candidates of an arm that tunes, see ``train_tuned``.
        pack: how many seeds are trained together; None: as many as fit on a GPU, one on a CPU.
        checkpoint_seconds: least time between two checkpoints of a run.
        eager: on a GPU, launch each operation by itself instead of replaying a CUDA graph.

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
            stack.enter_context(owned(folder, "training"))
        asked = stack.enter_context(stop_requests())
        with failure_recorded(folders.values(), "train"):
            shape = next(iter(specs.values()))
            check_memory(shape, schema, device)
            size = pack if pack is not None else pack_size(shape, schema, device, len(seeds))
            splits = _load(data, schema, needed, device)
            runs = [(specs[seed], unfinished(folder)) for seed, folder in folders.items()]
        for _, place in runs:
            stack.callback(drop_if_empty, place)

        def train_all(group: Sequence[tuple[RunSpec, Path]]) -> None:
            train_together(group, schema, splits, size, checkpoint_seconds, asked=asked, eager=eager)

        with failure_recorded(folders.values(), "train"):
            try:
                if shape.settings.tunes_lr:
                    train_tuned(runs, embedding_lr_factors, train_all)
                else:
                    train_all([(spec, place) for spec, place in runs if not is_trained(place, spec)])
            except RunsFailed as error:
                raise RunsFailed({place.parent: reason for place, reason in error.reasons.items()}) from None
        for (_, place), folder in zip(runs, folders.values(), strict=True):
            publish(place, folder)
            # Relative, so that a results folder can move as a whole.
            write_json(folder / "data.json", {"data": os.path.relpath(data, folder)})
            curve = read_table(folder / "curve.parquet", "train the run anew")
            yield folder, (curve.slice(len(curve) - 1).to_pylist()[0] if len(curve) else {})
        for _, place in runs:
            shutil.rmtree(place)


def collapse_runs(folders: Sequence[Path], data: Path | None, spectrum: bool = False) -> Iterator[tuple[Path, dict]]:
    """Collapse runs and check each on validation rows; yield its ``collapsed.json``.

    Args:
        spectrum: also take the ranks, as ``spectrum_runs`` does, while the factors are there: nothing later needs them.
    """
    for folder, source, schema, splits in _each_run("collapse", folders, data, ("val",), torch.device("cpu")):
        with failure_recorded([folder], "collapse"):
            if spectrum:
                description = _collapse_with_spectrum(folder, schema, source, splits)
            else:
                description = collapse_run(folder, schema, splits)
        yield folder, description


def _collapse_with_spectrum(folder: Path, schema: DatasetSchema, source: Path, splits: dict[str, Rows]) -> dict:
    """What ``collapse_run`` and ``spectrum_run`` write, with one drawing and one reading of W1, up to 17 GB each."""
    spec, taken = RunSpec.read(folder), Spectrum(schema, source)
    model = build_model(spec, schema)
    taken.take_initial(model)
    load_trained(spec, schema, folder, model)
    description = collapse_run(folder, schema, splits, model)
    taken.take_trained(model, load_collapsed(folder)[0])
    taken.write(folder)
    return description


def evaluate_runs(folders: Sequence[Path], data: Path | None, device: torch.device) -> Iterator[tuple[Path, dict]]:
    """Score collapsed runs; yield the content of each ``metrics.json``."""
    for folder, source, schema, splits in _each_run("evaluate", folders, data, ("val", "test"), device):
        with failure_recorded([folder], "evaluate"):
            counts = [training_counts(source, field.name) for field in schema.fields]
            metrics = evaluate_run(folder, schema, splits, counts)
        yield folder, metrics


def spectrum_runs(folders: Sequence[Path], data: Path | None) -> Iterator[tuple[Path, pa.Table]]:
    """Compute the ranks of collapsed runs; yield the content of each ``spectrum.parquet``."""
    for folder, source, schema, _ in _each_run("spectrum", folders, data, (), torch.device("cpu")):
        with failure_recorded([folder], "spectrum"):
            table = spectrum_run(folder, schema, source)
        yield folder, table


def verify_runs(folders: Sequence[Path], data: Path | None, device: torch.device) -> Iterator[tuple[Path, list[Check]]]:
    """Recompute what runs report; yield the checks of each."""
    for folder, _, schema, splits in _each_run(None, folders, data, ("val", "test"), device):
        yield folder, verify_run(folder, schema, splits)


def overhead(data: Path, out: Path, device: torch.device, **settings) -> pa.Table:
    """Time MLET against the baseline on a data set and write the pairs to a Parquet file.

    Args:
        settings: the arguments of ``measure_overhead`` after ``rows``.
    """
    schema = DatasetSchema.read(data)
    rows = load_split(data, schema, "train", device)
    table = measure_overhead(schema, rows, device=device, **settings)
    write_table(out, table)
    return table


def _each_run(
    stage: str | None, folders: Sequence[Path], data: Path | None, splits: Sequence[str], device: torch.device
) -> Iterator[tuple[Path, Path, DatasetSchema, dict[str, Rows]]]:
    """Each run folder with its data set, schema and splits; a data set that several runs share is read once.

    A failure is recorded as one of ``stage``; None leaves the run as it is.
    """
    loaded: dict[Path, tuple[DatasetSchema, dict[str, Rows]]] = {}
    for folder in folders:
        with failure_recorded([folder], stage) if stage else nullcontext():
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
