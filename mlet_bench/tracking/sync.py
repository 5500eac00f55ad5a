"""Run folders into MLflow."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from mlet_bench.config import Cell, read_config, run_folders
from mlet_bench.errors import BenchError
from mlet_bench.files import canonical_json, digest
from mlet_bench.runs import Failure, RunFolder
from mlet_bench.spec import DatasetSchema
from mlet_bench.tracking.artifacts import FOLDER, follow_artifacts
from mlet_bench.tracking.database import make_database
from mlet_bench.tracking.links import write_links
from mlet_bench.tracking.mapping import (
    LAYOUT,
    RUN_ID,
    TrackedRun,
    content_of_tree,
    metrics_of,
    params_of,
    tags_of,
    text_of,
)
from mlet_bench.tracking.profile import copy_small_files, put_profile
from mlet_bench.tracking.store import BATCH, Store, prepare_mlflow, store_errors, store_uri

LOCK_SECONDS = 1800
FAILED = "failed:"  # begins the id of a run that failed: its folder follows, since it may have no spec
ADVICE = (
    "check MLFLOW_TRACKING_URI, or move the store away; the run folders hold everything and the next sync fills a "
    "fresh one"
)


@dataclass(frozen=True)
class SyncReport:
    """How many finished runs a sync wrote for the first time, replaced, and left as they were; how many failed."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0


def sync(results: Path | str) -> SyncReport:
    """Write every finished or failed run below ``results/<profile>/runs`` to MLflow; again it changes nothing.

    The store is ``MLFLOW_TRACKING_URI`` where that is set, else ``mlflow.db`` beside the profile's folder. One
    experiment a data set and profile, ``<profile>/<dataset>``; one run a run id. One more run, in ``<profile>``, holds
    what belongs to no such run, for ``restore``. Artifacts that were moved with the store, lost or altered are mended.
    Safe while jobs run, and while other syncs run on this machine: one lock file a store. A replaced run is deleted in
    MLflow's sense (``mlflow gc`` frees its space).

    Args:
        results: ``results/<profile>``.

    Raises:
        BenchError: the store cannot be reached or written; or run folders are unreadable, after all others are synced.
    """
    results = Path(results).resolve()
    config = read_config(results)
    runs, unreadable = [], []
    for folder in sorted((results / "runs").glob("*/*/*/seed*")):
        try:
            runs.append(_read(folder))
        except BenchError as error:
            unreadable.append(str(error))
    runs = [run for run in runs if run is not None]
    failed = {
        f"{FAILED}{cell.folder}/seed{seed}": (cell, seed, why)
        for cell, seed, folder in run_folders(config, results)
        if (why := RunFolder(folder).failure())
    }
    counts = {"created": 0, "updated": 0, "unchanged": 0}
    if runs or failed:
        with _locked_store(results) as store, TemporaryDirectory() as copies:
            synced = {}  # place below runs/ → id
            for run in runs:
                experiment = store.experiment(f"{config['profile']}/{run.spec.dataset}")
                write = partial(_write, store, experiment, run, results / "data" / run.spec.dataset)
                outcome = store.put(experiment, run.spec.id, run.content, write, run.files)
                if outcome is None:  # a job is at it: the next sync takes it
                    continue
                synced[run.folder.relative_to(results / "runs").as_posix()] = run.spec.id
                counts[outcome] += 1
            for name in config["datasets"]:
                of_it = {run_id: case for run_id, case in failed.items() if case[0].dataset == name}
                _put_failed(store, store.experiment(f"{config['profile']}/{name}"), of_it)
            put_profile(store, results, config, synced, Path(copies))
            experiments = (store.experiment(f"{config['profile']}/{name}") for name in config["datasets"])
            write_links(results, store_uri(results), {known: store.runs_of(known) for known in experiments})
    if unreadable:
        raise BenchError(
            f"{len(unreadable)} runs cannot be read, the other {sum(counts.values())} are synced: "
            f"{'; '.join(unreadable)}"
        )
    return SyncReport(**counts, failed=len(failed))


@contextmanager
def _locked_store(results: Path) -> Iterator[Store]:
    """The store, which no other sync on this machine writes to meanwhile."""
    uri = store_uri(results)
    prepare_mlflow()
    from filelock import FileLock, Timeout

    lock = _lock_file(uri, results)
    lock.parent.mkdir(parents=True, exist_ok=True)
    # A server has a place for artifacts; a database alone has none.
    artifacts = None if uri.startswith(("http", "databricks")) else results.parent / FOLDER
    try:
        # The lock covers the first client as well: processes that migrate a fresh database together crash.
        with FileLock(lock, timeout=LOCK_SECONDS), store_errors(uri, "written", ADVICE):
            make_database(uri)
            if artifacts:
                follow_artifacts(uri, artifacts, making=True)
            yield Store(uri, artifacts)
    except Timeout:
        raise BenchError(
            f"{lock} has been held by another sync for {LOCK_SECONDS // 60} minutes: wait for it, or end it"
        ) from None


def _read(folder: Path) -> TrackedRun | None:
    """A run; None if it is not finished, or if a job has begun to change it meanwhile."""
    run = RunFolder(folder)
    try:
        return TrackedRun.read(folder) if run.is_finished() else None
    except (BenchError, FileNotFoundError):
        if run.is_finished():
            raise
        return None


def _write(store: Store, experiment: str, run: TrackedRun, data: Path) -> str | None:
    """Make a run and give its MLflow id; None if its files are no longer those of the hash."""
    from mlflow.entities import Dataset, DatasetInput, Metric, Param

    spec, client, (start, end) = run.spec, store.client, run.times
    source = DatasetSchema.read(data).source if (data / "schema.json").is_file() else {}
    with TemporaryDirectory() as copies:  # what is hashed is what is stored, while jobs run
        copy_small_files(run.folder, Path(copies))
        if content_of_tree(Path(copies)) != run.content:
            return None
        name = f"{spec.cell} seed{spec.seed}"
        mlflow_id = client.create_run(experiment, start_time=start, run_name=name, tags=tags_of(run)).info.run_id
        client.log_batch(mlflow_id, params=[Param(*param) for param in params_of(spec).items()])
        metrics = [Metric(*point) for point in metrics_of(run)]
        for first in range(0, len(metrics), BATCH):
            client.log_batch(mlflow_id, metrics=metrics[first : first + BATCH])
        dataset = Dataset(spec.dataset, spec.fingerprint, source_type="local", source=canonical_json(source))
        client.log_inputs(mlflow_id, [DatasetInput(dataset)])
        client.log_artifacts(mlflow_id, copies)
    client.set_terminated(mlflow_id, status="FINISHED", end_time=end)
    return mlflow_id


def _put_failed(store: Store, experiment: str, failed: dict[str, tuple[Cell, int, Failure]]) -> None:
    """One run of status FAILED for each that failed, by its id; those that no longer fail go."""
    store.drop(experiment, lambda run_id: run_id in failed or not run_id.startswith(FAILED))
    for run_id, case in failed.items():
        content = digest({"layout": LAYOUT, "why": asdict(case[2])}, 32)
        store.put(experiment, run_id, content, partial(_write_failed, store, experiment, run_id, *case))


def _write_failed(store: Store, experiment: str, run_id: str, cell: Cell, seed: int, why: Failure) -> str:
    from mlflow.entities import Param

    tags = {RUN_ID: run_id, "mlet_bench.arm": cell.arm, "mlet_bench.cell": cell.name}
    tags |= {"mlet_bench.stage": why.stage, "mlet_bench.kind": why.kind, "mlet_bench.reason": why.error}
    tags |= {"mlflow.source.name": "mlet-bench"}
    mlflow_id = store.client.create_run(experiment, run_name=f"{cell.name} seed{seed}", tags=tags).info.run_id
    params = asdict(cell) | {"seed": seed}
    store.client.log_batch(mlflow_id, params=[Param(n, text_of(v)) for n, v in params.items() if v is not None])
    store.client.set_terminated(mlflow_id, status="FAILED")
    return mlflow_id


def _lock_file(uri: str, results: Path) -> Path:
    """Beside the database where the store is a file, so that all who write to it share one lock."""
    database = Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else results.parent / "mlflow"
    return database.resolve().with_suffix(".lock")
