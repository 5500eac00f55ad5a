"""Run folders into MLflow."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mlet_bench.config import run_folders
from mlet_bench.errors import BenchError
from mlet_bench.files import canonical_json, digest, read_json
from mlet_bench.reporting.collect import RunFiles, is_finished, read_run
from mlet_bench.tracking.mapping import (
    RUN_ID,
    artifacts_of,
    content_of,
    dataset_source,
    metrics_of,
    tags_of,
    text_of,
    times_of,
)
from mlet_bench.tracking.store import BATCH, Store, prepare_mlflow, store_errors, store_uri

LOCK_SECONDS = 1800
FAILED = "failed:"  # begins the id of a run that failed: its folder follows, since it may have no spec
PROFILE = "profile:"  # begins the id of the one run that holds what belongs to no run alone
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
    the configuration, the data sets' schemas, the timings and which runs there are, for ``restore``. Safe while other
    syncs run on this machine: one lock file a store. A replaced run is deleted in MLflow's sense (``mlflow gc`` frees
    its space).

    Args:
        results: ``results/<profile>``.
        progress: called with one line for each run written.

    Raises:
        BenchError: a run folder is unreadable, or the store cannot be reached or written.
    """
    results = Path(results).resolve()
    config = read_json(results / "config.json", "not a results folder; run the workflow first")
    profile = config["profile"]
    folders = [folder for folder in sorted((results / "runs").glob("*/*/*/seed*")) if is_finished(folder)]
    # The hash comes first: files that change between the two readings then differ from it at the next sync.
    runs = [(folder, content_of(artifacts_of(folder)), read_run(folder)) for folder in folders]
    failed = {
        str(folder.relative_to(results / "runs")): read_json(folder / "failed.json", "run the job again")
        for _, _, folder in run_folders(config, results)
        if (folder / "failed.json").is_file()
    }
    if not runs and not failed:
        return SyncReport()
    uri = store_uri(results)
    prepare_mlflow()
    from filelock import FileLock, Timeout

    lock = _lock_file(uri, results)
    counts = {"created": 0, "updated": 0, "unchanged": 0}
    try:
        # The lock covers the first client as well: processes that migrate a fresh database together crash.
        lock.parent.mkdir(parents=True, exist_ok=True)
        with store_errors(uri, "written", ADVICE), FileLock(lock, timeout=LOCK_SECONDS):
            # A server has a place for artifacts; a database alone has none.
            artifacts = None if uri.startswith(("http", "databricks")) else results.parent / "mlflow-artifacts"
            store = Store(uri, artifacts)
            for folder, content, run in runs:
                experiment = store.experiment(f"{profile}/{run.spec.dataset}")
                source = dataset_source(results, run)
                write = partial(_write, store, experiment, folder, run, source)
                outcome = store.put(experiment, run.spec.id, content, write)
                counts[outcome] += 1
                if progress and outcome != "unchanged":
                    progress(f"{outcome} {run.spec.id} {run.spec.cell} seed {run.spec.seed}")
            for name in config["datasets"]:
                experiment = store.experiment(f"{profile}/{name}")
                _put_failed(store, experiment, {f: why for f, why in failed.items() if f.startswith(f"{name}/")})
            ids = {str(folder.relative_to(results / "runs")): run.spec.id for folder, _, run in runs}
            _put_profile(store, results, profile, ids, failed)
    except Timeout:
        raise BenchError(
            f"{lock} has been held by another sync for {LOCK_SECONDS // 60} minutes: wait for it, or end it"
        ) from None
    return SyncReport(**counts, failed=len(failed))


def _write(store: Store, experiment: str, folder: Path, run: RunFiles, source: dict[str, Any]) -> str:
    from mlflow.entities import Dataset, DatasetInput, Metric, Param

    spec, client = run.spec, store.client
    start, end = times_of(run.provenance)
    name = f"{spec.cell} seed{spec.seed}"
    mlflow_id = client.create_run(experiment, start_time=start, run_name=name, tags=tags_of(run)).info.run_id
    params = [Param(name, text_of(value)) for name, value in asdict(spec).items()]
    client.log_batch(mlflow_id, params=params)
    metrics = [Metric(*point) for point in metrics_of(run, start, end)]
    for first in range(0, len(metrics), BATCH):
        client.log_batch(mlflow_id, metrics=metrics[first : first + BATCH])
    data = Dataset(spec.dataset, spec.fingerprint, source_type="local", source=canonical_json(source))
    client.log_inputs(mlflow_id, [DatasetInput(data)])
    store.log_files(mlflow_id, artifacts_of(folder))
    client.set_terminated(mlflow_id, status="FINISHED", end_time=end)
    return mlflow_id


def _put_failed(store: Store, experiment: str, failed: dict[str, dict[str, Any]]) -> None:
    """One run of status FAILED for each run folder that failed; those that no longer fail go."""
    ids = {FAILED + place: (place, why) for place, why in failed.items()}
    store.drop(experiment, lambda run_id: run_id in ids or not run_id.startswith(FAILED))
    for run_id, (place, why) in ids.items():

        def write(run_id: str = run_id, place: str = place, why: dict[str, Any] = why) -> str:
            _, _, cell, seed = place.split("/")
            tags = {RUN_ID: run_id, "mlet_bench.cell": cell, "mlet_bench.stage": str(why.get("stage"))}
            tags |= {"mlet_bench.reason": str(why.get("error")), "mlflow.source.name": "mlet-bench"}
            mlflow_id = store.client.create_run(experiment, run_name=f"{cell} {seed}", tags=tags).info.run_id
            store.client.set_terminated(mlflow_id, status="FAILED")
            return mlflow_id

        store.put(experiment, run_id, digest(why, 32), write)


def _put_profile(store: Store, results: Path, profile: str, runs: dict[str, str], failed: dict[str, Any]) -> None:
    """The run of the profile: what belongs to no run alone, and ``index.json``, which runs the profile has."""
    index = {"runs": runs, "failed": failed}
    common = [results / "config.json"]
    schemas = sorted((results / "data").glob("*/schema.json"))
    timings = sorted((results / "overhead").glob("*.parquet"))
    hashes = {str(file.relative_to(results)): content_of([file]) for file in (*common, *schemas, *timings)}
    experiment = store.experiment(profile)

    def write() -> str:
        tags = {RUN_ID: PROFILE + profile, "mlflow.source.name": "mlet-bench"}
        mlflow_id = store.client.create_run(experiment, run_name=profile, tags=tags).info.run_id
        store.log_files(mlflow_id, common)
        for schema in schemas:
            store.log_files(mlflow_id, [schema], f"data/{schema.parent.name}")
        store.log_files(mlflow_id, timings, "overhead")
        store.client.log_dict(mlflow_id, index, "index.json")
        store.client.set_terminated(mlflow_id, status="FINISHED")
        return mlflow_id

    store.put(experiment, PROFILE + profile, digest({"files": hashes, "index": index}, 32), write)


def _lock_file(uri: str, results: Path) -> Path:
    """Beside the database where the store is a file, so that all who write to it share one lock."""
    database = Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else results.parent / "mlflow"
    return database.resolve().with_suffix(".lock")
