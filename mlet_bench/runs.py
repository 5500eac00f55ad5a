"""THE run folder: its files, their columns, how each is written and read. Nobody else spells a file's name.

Every file of a stage carries the id of the run that it was made from, and a reader refuses one of another run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlet_bench.errors import BenchError, RunsFailed, out_of_memory
from mlet_bench.files import read_json, write_sealed
from mlet_bench.parquet import read_table, write_table
from mlet_bench.spec import RunSpec

SPEC, DATA, FAILED, MADE_BY = "spec.json", "data.json", "failed.json", "made_by.json"
MODEL, DEPLOYED_MODEL, CHECKPOINT = "model.safetensors", "deployed.safetensors", "checkpoint.pt"


@dataclass(frozen=True)
class Table:
    """A Parquet file of a run.

    Attributes:
        columns: those that a reader may count on; there may be more.
        again: what to do when it is absent or damaged, as the second half of a sentence.
    """

    file: str
    columns: pa.Schema
    again: str


@dataclass(frozen=True)
class Document:
    """A JSON file of a run, with a sum over its content.

    Attributes:
        keys: those that a reader may count on.
        again: as of ``Table``.
    """

    file: str
    keys: tuple[str, ...]
    again: str


_TEXT, _WHOLE, _REAL = pa.string(), pa.int64(), pa.float64()
CURVE = Table(
    "curve.parquet",
    pa.schema({"step": _WHOLE, "rows": _WHOLE} | dict.fromkeys(("train_loss", "val_auc", "val_logloss"), _REAL)),
    "train the run again",
)
AUTHORS_CURVE = {"test_auc": _REAL, "test_accuracy": _REAL}  # more columns, with RunSpec.authors_selection alone
FACTORS = Table(
    "factors.parquet",
    pa.schema({"field": _TEXT, "stage": _TEXT, "factor": _TEXT, "index": _WHOLE, "singular_value": _REAL}),
    "run 'mlet-bench spectrum' again",
)
SPECTRUM = Table(
    "spectrum.parquet",
    pa.schema(
        {"field": _TEXT, "size": _WHOLE, "stage": _TEXT, "weighting": _TEXT}
        | dict.fromkeys(("effective_rank", "stable_rank"), _REAL)
    ),
    "run 'mlet-bench spectrum' again",
)
BY_FREQUENCY = Table(
    "rare.parquet",
    pa.schema(
        {"grouping": _TEXT, "group": _WHOLE, "low": _REAL, "high": _REAL, "rows": _WHOLE, "clicks": _WHOLE}
        | dict.fromkeys(("auc", "logloss"), _REAL)
        | {"deviations": pa.list_(pa.float32())}  # of the AUC over its rows: statistics.delong
    ),
    "evaluate the run again",
)
SCORES = Table(
    "scores.parquet",
    pa.schema({"label": pa.int8(), "logit": pa.float32()}),
    "evaluate the run with 'mlet-bench evaluate'",
)
# One file a data set, beside the runs: no run made it.
OVERHEAD = Table(
    "overhead.parquet",
    pa.schema(
        {"dataset": _TEXT, "model": _TEXT, "dim": _WHOLE, "inner_dim": _WHOLE, "batch_size": _WHOLE}
        | {"device": _TEXT, "software": _TEXT, "pair": _WHOLE, "single_ms": _REAL, "mlet_ms": _REAL}
    ),
    "remove it and run 'mlet-bench overhead' again",
)

NOT_TIMED = "not timed"  # among the notes of a file of timings that has none: why

PROVENANCE = Document(
    "provenance.json",
    (
        "started",
        "seconds",
        "rows_per_second",
        "peak_memory_bytes",
        "device",
        "threads",
        "commit",
        "dirty",
        "versions",
        "code",
    ),
    "train the run again with 'mlet-bench train'",
)
TUNING = Document("tuning.json", ("chosen", "candidates"), "train the cell again with 'mlet-bench train'")
DEPLOYED = Document(
    "deployed.json",
    (
        *("fingerprint", "model", "hyper", "embedding", "fields", "dense", "sha256", "bytes"),
        *("max_logit_difference", "logit_tolerance"),
    ),
    "deploy the run first with 'mlet-bench deploy'",
)
METRICS = Document(
    "metrics.json", ("val", "test", "bytes", "deployed_sha256"), "evaluate the run with 'mlet-bench evaluate'"
)
PLAIN = "fp32"  # the format that a run is deployed in to begin with
LOOKUPS = (1, 2048)  # rows looked up at a time, for the speed of what is served
FORMATS = Document("formats.json", ("deployed_sha256", "formats"), "make it with 'mlet-bench formats'")

# Of METRICS and DEPLOYED, under "bytes". A linear part's numbers, 4 n bytes a field whatever d, are not in the tables'.
BYTES = ("training", "deployed", "training_tables", "deployed_tables", "deployed_linear")
TABLES: tuple[Table, ...] = (CURVE, SPECTRUM, BY_FREQUENCY, FACTORS)  # small ones, which the report reads
DOCUMENTS: tuple[Document, ...] = (METRICS, DEPLOYED, PROVENANCE, TUNING, FORMATS)


def served_file(name: str) -> str:
    """The model that is served in a format; ``*`` for those of all formats."""
    return f"served-{name}.safetensors"


def overhead_file(results: Path, dataset: str, model: str) -> Path:
    """Where the timings of a data set and model are, columns ``OVERHEAD``."""
    return results / "overhead" / dataset / f"{model}.parquet"


# What each stage makes in a run's folder; what is older than its result goes when it begins.
STAGES: dict[str, tuple[str, ...]] = {
    "train": (SPEC, CURVE.file, PROVENANCE.file, TUNING.file, MODEL),
    "deploy": (DEPLOYED.file, DEPLOYED_MODEL),
    "spectrum": (SPECTRUM.file, FACTORS.file),
    "evaluate": (METRICS.file, BY_FREQUENCY.file, SCORES.file),
    "formats": (FORMATS.file, served_file("*")),
}
# A stage that passes takes away the failures of those that run after it on its result, and no other's.
FOLLOWING = {
    "train": ("train", "deploy", "evaluate", "formats", "spectrum"),
    "deploy": ("deploy", "evaluate", "formats", "spectrum"),
    "evaluate": ("evaluate", "formats"),
    "formats": ("formats",),
    "spectrum": ("spectrum",),
}


UNKNOWN = "unknown stage"  # of a damaged failed.json, which goes with the first stage that passes


@dataclass(frozen=True)
class Failure:
    """The content of ``failed.json``: which stage failed, the ``BenchError.kind``, and the sentence for a reader."""

    stage: str
    kind: str
    error: str


@dataclass(frozen=True)
class Status:
    """How far a run is.

    Attributes:
        state: ``done``, ``failed`` or ``missing``.
        kind: of a failed run, the ``BenchError.kind``; empty otherwise.
        reason: why it is not done, in words.
    """

    state: str
    kind: str = ""
    reason: str = ""


@dataclass(frozen=True)
class RunFolder:
    """A run's folder.

    Example::

        run = RunFolder(Path("results/smoke/runs/avazu/dlrm/mlet-d16-k64/seed0"))
        run.spec.id, run.document(METRICS)["test"]["auc"], run.table(CURVE).num_rows
    """

    path: Path

    @property
    def spec(self) -> RunSpec:
        """What was trained.

        Raises:
            BenchError: the folder is no run, or its spec was edited.
        """
        return RunSpec.read(self.path)

    def has(self, part: Table | Document | str) -> bool:
        """Whether there is such a file."""
        return (self.path / (part if isinstance(part, str) else part.file)).is_file()

    def table(self, table: Table, spec: RunSpec | None = None) -> pa.Table:
        """Read a Parquet file of the run.

        Args:
            spec: of the run, where it was read already.

        Raises:
            BenchError: it is absent, damaged, of another version, or of another run.
        """
        path = self.path / table.file
        content = read_table(path, table.again)
        require_columns(path, content, table)
        self._check_id(path, (content.schema.metadata or {}).get(b"run_id", b"").decode(), spec, table.again)
        return content

    def write_table(self, table: Table, content: pa.Table, run_id: str, compression: str = "snappy") -> None:
        """Write a Parquet file of the run ``run_id``, whole or not at all."""
        write_table(self.path / table.file, content, compression, {"run_id": run_id})

    def document(self, document: Document, spec: RunSpec | None = None) -> dict[str, Any]:
        """Read a JSON file of the run; as ``table``."""
        path = self.path / document.file
        content = read_json(path, document.again)
        require_keys(path, content, document.keys)
        self._check_id(path, content.get("run_id", ""), spec, document.again)
        return content

    def is_whole(self, part: Table | Document, spec: RunSpec) -> bool:
        """Whether there is such a file and a reader would take it for one of the run ``spec``."""
        try:
            self.table(part, spec) if isinstance(part, Table) else self.document(part, spec)
        except BenchError:
            return False
        return True

    def write_document(self, document: Document, content: dict[str, Any], run_id: str) -> dict[str, Any]:
        """Write a JSON file of the run ``run_id`` with a sum over it; returns what a reader will get."""
        whole = {"run_id": run_id} | content
        write_sealed(self.path / document.file, whole)
        return whole

    def failure(self) -> Failure | None:
        """What ``failed.json`` says; None where nothing failed. A damaged one says so itself, of ``UNKNOWN``."""
        if not self.has(FAILED):
            return None
        path = self.path / FAILED
        try:
            said = read_json(path, "run the job again")
            require_keys(path, said, ("stage", "kind", "error"))
        except BenchError as error:
            return Failure(UNKNOWN, BenchError.kind, f"not readable: {error}")
        return Failure(*(str(said[name]) for name in ("stage", "kind", "error")))

    def status(self, wanted: RunSpec) -> Status:
        """How far the run that is wanted is, from what stands in the folder; a damaged ``failed.json`` is a failure.

        Raises:
            BenchError: a file that was looked into is damaged.
        """
        if failure := self.failure():
            return Status("failed", failure.kind, f"{failure.stage}: {failure.error}")
        if not self.has(SPEC):
            return Status("missing", reason="not trained")
        if differing := differences(self.spec, wanted):
            return Status("missing", reason=f"the folder holds another run: {', '.join(differing)}")
        for part, stage in ((CURVE, "trained"), (PROVENANCE, "trained"), (METRICS, "evaluated")):
            if not self.has(part):
                return Status("missing", reason=f"not {stage} to the end ({part.file} is absent)")
        test = self.document(METRICS)["test"]
        if bad := [name for name, value in test.items() if value is None or not math.isfinite(value)]:
            return Status("failed", "diverged", f"evaluate: test {' and '.join(bad)} is not a number")
        return Status("done")

    def holds(self, spec: RunSpec) -> bool:
        """Whether this very run was trained here to its end: provenance.json is written last."""
        return all(map(self.has, (PROVENANCE, CURVE, SPEC))) and self.spec == spec

    def is_finished(self) -> bool:
        """Whether a run was trained and evaluated here, with no failure on record."""
        return all(map(self.has, (SPEC, CURVE, METRICS, PROVENANCE))) and not self.has(FAILED)

    def drop(self, *stages: str) -> None:
        """Remove what stages left, later ones first, so that nothing stands that lacks what it was made from."""
        for stage in reversed([stage for stage in STAGES if stage in stages]):
            for file in STAGES[stage]:
                for path in self.path.glob(file):
                    path.unlink(missing_ok=True)

    def _check_id(self, path: Path, found: str, spec: RunSpec | None, again: str) -> None:
        expected = (spec or self.spec).id
        if found != expected:
            raise BenchError(f"{path} is of run {found or 'unknown'}, the folder holds run {expected}: {again}")


def require_columns(path: Path, content: pa.Table, table: Table) -> None:
    """Refuse a Parquet file of another layout.

    Raises:
        BenchError: names the columns that it lacks.
    """
    if absent := [name for name in table.columns.names if name not in content.column_names]:
        raise BenchError(f"{path} lacks the columns {', '.join(absent)}, so it is of another version: {table.again}")


def require_keys(path: Path, content: Any, keys: Iterable[str], again: str = "run its job again") -> None:
    """Refuse a JSON file, or a part of one, of another layout.

    Args:
        again: what to do, as the second half of a sentence.

    Raises:
        BenchError: names the keys that it lacks.
    """
    if absent := [name for name in keys if not isinstance(content, dict) or name not in content]:
        raise BenchError(f"{path} lacks {', '.join(absent)}: it is of another version; {again}")


def refuse_another_run(folder: Path, spec: RunSpec) -> None:
    """Refuse to train where another run's files are: later stages would take them for this one's.

    Raises:
        BenchError: says which run is there, and how to go on.
    """
    run = RunFolder(folder)
    if run.has(SPEC) and (held := run.spec) != spec:
        differing = differences(held, spec)
        raise BenchError(
            f"{folder} holds another run, {held.id} ({', '.join(differing)}): give another folder, or remove this one"
        )


def differences(held: RunSpec, wanted: RunSpec) -> list[str]:
    """What differs between the run that a folder holds and the one that is wanted, in words; empty if nothing does.

    The factor that an arm has tuned is its own choice, and an empty fingerprint fits every data set.
    """
    ignored = {"embedding_lr_factor"} if wanted.settings.tunes_lr else set()
    ignored |= set() if wanted.fingerprint else {"fingerprint"}
    pairs = zip(asdict(held).items(), asdict(wanted).values(), strict=True)
    return [
        f"{name} {ours} instead of {theirs}" for (name, ours), theirs in pairs if ours != theirs and name not in ignored
    ]


@contextmanager
def failure_recorded(folders: Iterable[Path], stage: str) -> Iterator[None]:
    """Leave ``failed.json`` in run folders whose stage raised, for the report; take it away once the stage passes."""
    folders = list(folders)
    reasons: dict[Path, Failure] = {}
    try:
        yield
    except Exception as error:
        errors = error.reasons if isinstance(error, RunsFailed) else dict.fromkeys(folders, error)
        reasons = {folder: _failure(stage, each) for folder, each in errors.items()}
        with suppress(BenchError, OSError):  # where the disk is full, say, the error itself is what counts
            for folder, failure in reasons.items():
                write_sealed(folder / FAILED, asdict(failure))
        raise
    finally:
        for folder in folders:
            found = RunFolder(folder).failure() if folder not in reasons else None
            if found and found.stage in (*FOLLOWING[stage], UNKNOWN):
                (folder / FAILED).unlink()


def _failure(stage: str, error: Exception) -> Failure:
    known = error if isinstance(error, BenchError) else out_of_memory(error)
    if known is None:
        return Failure(stage, "other", f"{type(error).__name__}: {error}")
    return Failure(stage, known.kind, str(known))
