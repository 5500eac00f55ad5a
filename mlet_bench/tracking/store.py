"""An MLflow client that knows which runs its experiments hold already."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus, urlsplit

from mlet_bench.errors import BenchError
from mlet_bench.tracking.artifacts import are_whole
from mlet_bench.tracking.database import check_database
from mlet_bench.tracking.mapping import CONTENT, EXPERIMENT_TAGS, RUN_ID

BATCH = 1000  # MLflow takes no more metrics in one request


class Known(NamedTuple):
    """An MLflow run of ours: its id, the content that it was written from, where its artifacts are."""

    mlflow_id: str
    content: str | None
    artifacts: str


# By run id: one each, unless something went wrong.
KnownRuns = dict[str, list[Known]]


class Store:
    """An MLflow client, its experiments, and which runs they hold already."""

    def __init__(self, uri: str, artifacts: Path | None):
        """``artifacts``: where artifacts go; None leaves it to the server."""
        from mlflow import MlflowClient

        self.client = MlflowClient(tracking_uri=uri)
        self.artifacts = artifacts
        self.ids: dict[str, str] = {}  # of experiments, by name
        self.known: dict[str, KnownRuns] = {}  # by the experiment's id

    def experiment(self, name: str) -> str:
        """The id of the experiment of that name, made if need be; its runs are listed once."""
        if name in self.ids:
            return self.ids[name]
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            location = (self.artifacts / name).as_uri() if self.artifacts else None
            self.ids[name] = self._create(name, location)
        elif experiment.lifecycle_stage != "active":
            raise BenchError(
                f"the MLflow experiment {name!r} was deleted: bring it back with "
                f"'mlflow experiments restore -x {experiment.experiment_id}', or purge it with 'mlflow gc'"
            )
        else:
            self.ids[name] = experiment.experiment_id
        self.known[self.ids[name]] = self.runs_of(self.ids[name])
        return self.ids[name]

    def _create(self, name: str, location: str | None) -> str:
        from mlflow.exceptions import MlflowException

        try:
            return self.client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS)
        except MlflowException:  # another machine was faster
            found = self.client.get_experiment_by_name(name)
            if found is None:
                raise
            return found.experiment_id

    def runs_of(self, experiment: str) -> KnownRuns:
        """The runs of an experiment, by its id."""
        runs, token = {}, None
        while True:
            page = self.client.search_runs([experiment], max_results=BATCH, page_token=token)
            for run in page:
                if run_id := run.data.tags.get(RUN_ID):
                    known = Known(run.info.run_id, run.data.tags.get(CONTENT), run.info.artifact_uri or "")
                    runs.setdefault(run_id, []).append(known)
            token = page.token
            if not token:
                return runs

    def put(
        self,
        experiment: str,
        run_id: str,
        content: str,
        write: Callable[[], str | None],
        files: dict[str, int] | None = None,
    ) -> str | None:
        """Make the store hold exactly one run with this id and content, artifacts included; say what had to be done.

        Args:
            write: makes the run, without its content, and gives its MLflow id; None if it cannot be made now.
            files: the sizes of its artifacts by name, where it has any; ``content`` is then theirs.
        """
        present = self.known[experiment].get(run_id, [])
        kept = next((run for run in present if run.content == content and self._is_whole(run, files)), None)
        # Old ones go first: a crash in between then leaves one run too few, which the next sync makes, never two.
        for run in present:
            if run != kept:
                self.client.delete_run(run.mlflow_id)
        if kept:
            return "unchanged"
        mlflow_id = write()
        if mlflow_id is None:
            return None
        self.client.set_tag(mlflow_id, CONTENT, content)
        return "updated" if present else "created"

    def _is_whole(self, run: Known, files: dict[str, int] | None) -> bool:
        if files is None:
            return True
        return are_whole(self.client, run.mlflow_id, run.artifacts, run.content or "", files)

    def drop(self, experiment: str, wanted: Callable[[str], bool]) -> None:
        """Delete the runs whose id is not wanted."""
        for run_id, present in self.known[experiment].items():
            if not wanted(run_id):
                for run in present:
                    self.client.delete_run(run.mlflow_id)


def prepare_mlflow() -> None:
    """What must be set before MLflow is imported: no telemetry, and no minutes of asking a server that is down."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    # It logs the traceback of an error that it raises too, which store_errors turns into a sentence.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def store_uri(results: Path) -> str:
    """``MLFLOW_TRACKING_URI`` where that is set, else ``mlflow.db`` beside the profile's folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{results.parent / 'mlflow.db'}"


@contextmanager
def store_errors(uri: str, doing: str, advice: str) -> Iterator[None]:
    """Look at the store if it is a database; turn what it and MLflow raise into a sentence without its password.

    Args:
        doing: "written" or "read".
    """
    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        check_database(uri, without_password(uri))
        yield
    except (MlflowException, SQLAlchemyError, CommandError, OSError) as error:
        shown = without_password(uri)
        reason = str(error).replace(uri, shown)
        for secret in _secrets(uri):  # a library may show parts of the address
            reason = reason.replace(secret, "***")
        reason = reason.strip().splitlines()[0]
        raise BenchError(f"the MLflow store {shown} cannot be {doing} ({reason}): {advice}") from None


def without_password(uri: str) -> str:
    """A store's address as messages may show it: drivers take a password before the host and among the options."""
    parts = urlsplit(uri)
    shown = uri.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1) if "@" in parts.netloc else uri
    return shown.replace(f"?{parts.query}", "?...", 1) if parts.query else shown


def _secrets(uri: str) -> list[str]:
    """What of a store's address nobody is shown, as it is written there and as it is meant."""
    parts = urlsplit(uri)
    written = [parts.password or "", *(option.partition("=")[2] for option in parts.query.split("&"))]
    found = {text for each in written for text in (each, unquote(each), unquote_plus(each)) if len(text) > 2}
    return sorted(found, key=len, reverse=True)
