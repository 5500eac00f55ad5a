"""Run folders into MLflow."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlet_bench.config import Cell, run_folders
from mlet_bench.errors import BenchError
from mlet_bench.files import canonical_json, digest, read_json
from mlet_bench.reporting.collect import RunFiles, is_finished, read_run
from mlet_bench.tracking.mapping import (
    LAYOUT,
    RUN_ID,
    artifacts_of,
    content_of,
    content_of_tree,
    dataset_source,
    metrics_of,
    params_of,
    tags_of,
    text_of,
    times_of,
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


def sync(results: Path | str, progress: Callable[[str], None] | None = None) -> SyncReport:
    """Write every finished or failed run below ``results/<profile>/runs`` to MLflow; again it changes nothing.

    The store is ``MLFLOW_TRACKING_URI`` where that is set, else ``mlflow.db`` beside the profile's folder. One
    experiment a data set and profile, ``<profile>/<dataset>``; one run a run id. One more run, in ``<profile>``, holds
    what belongs to no such run, for ``restore``. Safe while jobs run, and while other syncs run on this machine: one
    lock file a store. A replaced run is deleted in MLflow's sense (``mlflow gc`` frees
    its space).

    Args:
        results: ``results/<profile>``.
        progress: called with one line for each run written.

    Raises:
        BenchError: the store cannot be reached or written; or run folders are unreadable, after all others are synced.
    """
    results = Path(results).resolve()
    config = read_json(results / "config.json", "not a results folder; run the workflow first")
    runs, unreadable = [], []
    for folder in sorted((results / "runs").glob("*/*/*/seed*")):
        try:
            runs += [_read(folder)] if is_finished(folder) else []
        except BenchError as error:
            unreadable.append(str(error))
    runs = [one for one in runs if one is not None]
    failed = {
        folder: (cell, read_json(folder / "failed.json", "run the job again"))
        for cell, _, folder in run_folders(config, results)
        if (folder / "failed.json").is_file()
    }
    report = _write_all(results, config, runs, failed, progress) if runs or failed else SyncReport()
    if unreadable:
        synced = report.created + report.updated + report.unchanged
        raise BenchError(
            f"{len(unreadable)} runs cannot be read, the other {synced} are synced: {'; '.join(unreadable)}"
        )
    return report


def _write_all(
    results: Path,
    config: dict[str, Any],
    runs: list[tuple[Path, str, RunFiles]],
    failed: dict[Path, tuple[Cell, dict[str, Any]]],
    progress: Callable[[str], None] | None,
) -> SyncReport:
    profile, uri = config["profile"], store_uri(results)
    prepare_mlflow()
    from filelock import FileLock, Timeout

    lock = _lock_file(uri, results)
    counts = {"created": 0, "updated": 0, "unchanged": 0}
    try:
        # The lock covers the first client as well: processes that migrate a fresh database together crash.
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=LOCK_SECONDS), store_errors(uri, "written", ADVICE):
            # A server has a place for artifacts; a database alone has none.
            artifacts = None if uri.startswith(("http", "databricks")) else results.parent / "mlflow-artifacts"
            store = Store(uri, artifacts)
            ids = {}
            for folder, content, run in runs:
                experiment = store.experiment(f"{profile}/{run.spec.dataset}")
                write = partial(_write, store, experiment, folder, content, run, dataset_source(results, run))
                outcome = store.put(experiment, run.spec.id, content, write)
                if outcome is None:  # a job is at it: the next sync takes it
                    continue
                ids[folder.relative_to(results / "runs").as_posix()] = run.spec.id
                counts[outcome] += 1
                if progress and outcome != "unchanged":
                    progress(f"{outcome} {run.spec.id} {run.spec.cell} seed {run.spec.seed}")
            for name in config["datasets"]:
                of_it = {folder: case for folder, case in failed.items() if case[0].dataset == name}
                _put_failed(store, store.experiment(f"{profile}/{name}"), of_it)
            with TemporaryDirectory() as copies:
                put_profile(store, results, config, ids, Path(copies))
    except Timeout:
        raise BenchError(
            f"{lock} has been held by another sync for {LOCK_SECONDS // 60} minutes: wait for it, or end it"
        ) from None
    return SyncReport(**counts, failed=len(failed))


def _read(folder: Path) -> tuple[Path, str, RunFiles] | None:
    """A finished run's folder, hash and content; None if a job has begun to change it meanwhile."""
    try:
        # The hash comes first: files that change between the two readings then differ from it.
        return folder, content_of(folder, artifacts_of(folder)), read_run(folder)
    except (BenchError, FileNotFoundError):
        if is_finished(folder):
            raise
        return None


def _write(
    store: Store, experiment: str, folder: Path, content: str, run: RunFiles, source: dict[str, Any]
) -> str | None:
    """Make a run and give its MLflow id; None if its files are no longer those of the hash."""
    from mlflow.entities import Dataset, DatasetInput, Metric, Param

    spec, client = run.spec, store.client
    start, end = times_of(run.provenance)
    with TemporaryDirectory() as copies:  # what is hashed is what is stored, while jobs run
        copy_small_files(folder, Path(copies))
        if content_of_tree(Path(copies)) != content:
            return None
        name = f"{spec.cell} seed{spec.seed}"
        mlflow_id = client.create_run(experiment, start_time=start, run_name=name, tags=tags_of(run)).info.run_id
        client.log_batch(mlflow_id, params=[Param(*param) for param in params_of(spec).items()])
        metrics = [Metric(*point) for point in metrics_of(run, start, end)]
        for first in range(0, len(metrics), BATCH):
            client.log_batch(mlflow_id, metrics=metrics[first : first + BATCH])
        data = Dataset(spec.dataset, spec.fingerprint, source_type="local", source=canonical_json(source))
        client.log_inputs(mlflow_id, [DatasetInput(data)])
        client.log_artifacts(mlflow_id, copies)
    client.set_terminated(mlflow_id, status="FINISHED", end_time=end)
    return mlflow_id


def _put_failed(store: Store, experiment: str, failed: dict[Path, tuple[Cell, dict[str, Any]]]) -> None:
    """One run of status FAILED for each run folder that failed; those that no longer fail go."""
    ids = {f"{FAILED}{cell.folder}/{folder.name}": (folder, cell, why) for folder, (cell, why) in failed.items()}
    store.drop(experiment, lambda run_id: run_id in ids or not run_id.startswith(FAILED))
    for run_id, (folder, cell, why) in ids.items():
        write = partial(_write_failed, store, experiment, run_id, folder, cell, why)
        store.put(experiment, run_id, digest({"layout": LAYOUT, "why": why}, 32), write)


def _write_failed(store: Store, experiment: str, run_id: str, folder: Path, cell: Cell, why: dict[str, Any]) -> str:
    from mlflow.entities import Param

    tags = {RUN_ID: run_id, "mlet_bench.arm": cell.arm, "mlet_bench.cell": cell.name}
    tags |= {"mlet_bench.stage": str(why.get("stage")), "mlet_bench.reason": str(why.get("error"))}
    tags |= {"mlflow.source.name": "mlet-bench"}
    mlflow_id = store.client.create_run(experiment, run_name=f"{cell.name} {folder.name}", tags=tags).info.run_id
    params = asdict(cell) | {"seed": folder.name.removeprefix("seed")}
    store.client.log_batch(mlflow_id, params=[Param(n, text_of(v)) for n, v in params.items() if v is not None])
    store.client.set_terminated(mlflow_id, status="FAILED")
    return mlflow_id


def _lock_file(uri: str, results: Path) -> Path:
    """Beside the database where the store is a file, so that all who write to it share one lock."""
    database = Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else results.parent / "mlflow"
    return database.resolve().with_suffix(".lock")
