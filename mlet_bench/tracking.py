"""Finished run folders into MLflow; the only file that imports it.

Files are the truth and MLflow is a sink: the store can be thrown away and filled again. A run is looked up by its id,
a hash of its files says whether it is up to date, and that hash is written last, so that a run without it is
half-written and is replaced by the next sync.
"""

import logging
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlet_bench.errors import BenchError
from mlet_bench.files import canonical_json, digest, file_digest, read_json
from mlet_bench.reporting.collect import RunFiles, is_finished, read_run

RUN_ID = "mlet_bench.run_id"
CONTENT = "mlet_bench.content"
ARTIFACTS = ("spec.json", "metrics.json", "collapsed.json", "provenance.json")
# Raised when the mapping below changes, so that runs already in a store are written anew.
LAYOUT = 1
LOCK_SECONDS = 1800
# MLflow takes no more metrics than this in one request.
BATCH = 1000


@dataclass(frozen=True)
class SyncReport:
    """How many finished runs a sync wrote for the first time, replaced, and left as they were."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0


def sync(results: Path | str, progress: Callable[[str], None] | None = None) -> SyncReport:
    """Write every finished run below ``results/<profile>/runs`` to MLflow; doing it again changes nothing.

    The store is ``MLFLOW_TRACKING_URI`` where that is set, else ``mlflow.db`` beside the profile's folder. One
    experiment a data set and profile, ``<profile>/<dataset>``; one run a run id. Safe while other syncs run on this
    machine: one lock file a store. A replaced run is deleted in MLflow's sense (``mlflow gc`` frees its space).

    Args:
        results: ``results/<profile>``.
        progress: called with one line for each run written.

    Raises:
        BenchError: a run folder is unreadable, or the store cannot be reached or written.
    """
    results = Path(results).resolve()
    profile = read_json(results / "config.json", "not a results folder; run the workflow first")["profile"]
    folders = [folder for folder in sorted((results / "runs").glob("*/*/*/seed*")) if is_finished(folder)]
    # The hash comes first: files that change between the two readings then differ from it at the next sync.
    runs = [(folder, _content(folder), read_run(folder)) for folder in folders]
    if not runs:
        return SyncReport()
    chosen = os.environ.get("MLFLOW_TRACKING_URI")
    uri = chosen or f"sqlite:///{results.parent / 'mlflow.db'}"
    # Telemetry is on by default and is read at import; a server that does not answer is otherwise asked for minutes.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    from filelock import FileLock, Timeout
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    lock = _lock_file(uri, results)
    counts = {"created": 0, "updated": 0, "unchanged": 0}
    try:
        # The lock covers the first client as well: processes that migrate a fresh database together crash.
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=LOCK_SECONDS):
            store = _Store(uri, None if chosen else results.parent / "mlflow-artifacts")
            for folder, content, run in runs:
                experiment = store.experiment(f"{profile}/{run.spec.dataset}")
                outcome = store.put(experiment, folder, run, content, _dataset_source(results, run))
                counts[outcome] += 1
                if progress and outcome != "unchanged":
                    progress(f"{outcome} {run.spec.id} {run.spec.cell} seed {run.spec.seed}")
    except Timeout:
        raise BenchError(
            f"{lock} has been held by another sync for {LOCK_SECONDS // 60} minutes: wait for it, or end it"
        ) from None
    except (MlflowException, SQLAlchemyError, OSError) as error:
        shown = _without_password(uri)
        reason = str(error).replace(uri, shown).strip().splitlines()[0]
        raise BenchError(
            f"the MLflow store {shown} cannot be written ({reason}): check MLFLOW_TRACKING_URI, or move "
            "the store away; the run folders hold everything and the next sync fills a fresh one"
        ) from None
    return SyncReport(**counts)


class _Store:
    """An MLflow client, its experiments, and which runs they hold already."""

    def __init__(self, uri: str, artifacts: Path | None):
        """``artifacts``: where artifacts go; None leaves it to the server."""
        from mlflow import MlflowClient

        self.client = MlflowClient(tracking_uri=uri)
        self.artifacts = artifacts
        self.known: dict[str, dict[str, list[tuple[str, str | None]]]] = {}
        self.ids: dict[str, str] = {}

    def experiment(self, name: str) -> str:
        """The id of the experiment of that name, made if need be; its runs are listed once."""
        if name in self.ids:
            return self.ids[name]
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            location = (self.artifacts / name).as_uri() if self.artifacts else None
            self.ids[name] = self.client.create_experiment(name, artifact_location=location)
        elif experiment.lifecycle_stage != "active":
            raise BenchError(
                f"the MLflow experiment {name!r} was deleted: bring it back with "
                f"'mlflow experiments restore -x {experiment.experiment_id}', or purge it with 'mlflow gc'"
            )
        else:
            self.ids[name] = experiment.experiment_id
        self.known[self.ids[name]] = self._runs_of(self.ids[name])
        return self.ids[name]

    def _runs_of(self, experiment: str) -> dict[str, list[tuple[str, str | None]]]:
        """Run id → the (MLflow id, content) of each of its MLflow runs: one, unless something went wrong."""
        runs: dict[str, list[tuple[str, str | None]]] = {}
        token = None
        while True:
            page = self.client.search_runs([experiment], max_results=BATCH, page_token=token)
            for run in page:
                if run_id := run.data.tags.get(RUN_ID):
                    runs.setdefault(run_id, []).append((run.info.run_id, run.data.tags.get(CONTENT)))
            token = page.token
            if not token:
                return runs

    def put(self, experiment: str, folder: Path, run: RunFiles, content: str, source: dict[str, Any]) -> str:
        """Make the store hold exactly one run with this id and content; say what had to be done."""
        present = self.known[experiment].get(run.spec.id, [])
        kept = next((mlflow_id for mlflow_id, its_content in present if its_content == content), None)
        # Old ones go first: a crash in between then leaves one run too few, which the next sync makes, never two.
        for mlflow_id, _ in present:
            if mlflow_id != kept:
                self.client.delete_run(mlflow_id)
        if kept:
            return "unchanged"
        self._write(experiment, folder, run, content, source)
        return "updated" if present else "created"

    def _write(self, experiment: str, folder: Path, run: RunFiles, content: str, source: dict[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, Metric, Param

        spec, client = run.spec, self.client
        start, end = _times(run.provenance)
        name = f"{spec.cell} seed{spec.seed}"
        mlflow_id = client.create_run(experiment, start_time=start, run_name=name, tags=_tags(run)).info.run_id
        params = [Param(name, _text(value)) for name, value in asdict(spec).items()]
        client.log_batch(mlflow_id, params=params)
        metrics = [Metric(*point) for point in _metrics(run, start, end)]
        for first in range(0, len(metrics), BATCH):
            client.log_batch(mlflow_id, metrics=metrics[first : first + BATCH])
        data = Dataset(spec.dataset, spec.fingerprint, source_type="local", source=canonical_json(source))
        client.log_inputs(mlflow_id, [DatasetInput(data)])
        for file in ARTIFACTS:
            if (folder / file).is_file():
                client.log_artifact(mlflow_id, str(folder / file))
        client.set_terminated(mlflow_id, status="FINISHED", end_time=end)
        client.set_tag(mlflow_id, CONTENT, content)


def _content(folder: Path) -> str:
    """A hash of the files that a run in MLflow is made of."""
    names = (*ARTIFACTS, "curve.parquet", "spectrum.parquet")
    files = {name: file_digest(folder / name) for name in names if (folder / name).is_file()}
    return digest({"layout": LAYOUT, "files": files}, 32)


def _tags(run: RunFiles) -> dict[str, str]:
    provenance, spec = run.provenance, run.spec
    tags = {
        RUN_ID: spec.id,
        "mlet_bench.arm": spec.arm,
        "mlet_bench.cell": spec.cell,
        "mlet_bench.fingerprint": spec.fingerprint,
        "mlet_bench.commit": provenance.get("commit"),
        "mlet_bench.dirty": provenance.get("dirty"),
        "mlet_bench.device": provenance.get("device"),
        "mlet_bench.collapsed_sha256": run.metrics.get("collapsed_sha256"),
        "mlflow.source.name": "mlet-bench",
        "mlflow.source.git.commit": provenance.get("commit"),
    }
    return {name: _text(value) for name, value in tags.items() if value is not None}


def _metrics(run: RunFiles, start: int, end: int) -> list[tuple[str, float, int, int]]:
    """(name, value, time in ms, step) of every point; a value that was not measured gives no point."""
    last = int(run.curve["step"].max()) if len(run.curve) else 0
    points = {}
    for row in run.curve.to_dict("records"):
        when = start + round((end - start) * row["step"] / max(last, 1))
        for name in ("train_loss", "val_auc", "val_logloss"):
            points[name, int(row["step"])] = (row[name], when)
    finals = {f"{split}_{name}": value for split in ("val", "test") for name, value in run.metrics[split].items()}
    finals |= {f"authors_{name}": value for name, value in run.metrics.get("authors_selection", {}).items()}
    finals |= {f"bytes_{name}": value for name, value in run.metrics["bytes"].items()}
    finals |= {name: run.provenance[name] for name in ("rows_per_second", "seconds", "peak_memory_bytes")}
    if run.spectrum is not None:
        trained = run.spectrum[run.spectrum["stage"] == "trained"]
        for weighting, table in trained.groupby("weighting"):
            finals[f"effective_rank_{weighting}"] = table["effective_rank"].mean()
    # The final score, that of the collapsed model, replaces the curve's last point: one value a name and step.
    points |= {(name, last): (value, end) for name, value in finals.items()}
    return [
        (name, float(value), when, step)
        for (name, step), (value, when) in points.items()
        if value is not None and not math.isnan(value)
    ]


def _times(provenance: dict[str, Any]) -> tuple[int, int]:
    """Start and end of a run in ms since 1970."""
    start = datetime.fromisoformat(provenance["started"]).timestamp()
    return round(start * 1000), round((start + provenance["seconds"]) * 1000)


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "-".join(map(str, value))
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return str(value)


def _dataset_source(results: Path, run: RunFiles) -> dict[str, Any]:
    """What is known of the raw file behind a run's data set."""
    path = results / "data" / run.spec.dataset / "schema.json"
    if not path.is_file():
        return {}
    return read_json(path, "prepare the data set anew with 'mlet-bench prepare'").get("source", {})


def _lock_file(uri: str, results: Path) -> Path:
    """Beside the database where the store is a file, so that all who write to it share one lock."""
    database = Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else results.parent / "mlflow"
    return database.resolve().with_suffix(".lock")


def _without_password(uri: str) -> str:
    parts = urlsplit(uri)
    return uri.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1) if "@" in parts.netloc else uri
