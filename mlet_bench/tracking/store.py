"""An MLflow client that knows which runs its experiments hold already."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from mlet_bench.errors import BenchError
from mlet_bench.tracking.database import check_database
from mlet_bench.tracking.mapping import CONTENT, RUN_ID

BATCH = 1000  # MLflow takes no more metrics in one request
# Run id → the (MLflow id, content) of each of its MLflow runs: one, unless something went wrong.
KnownRuns = dict[str, list[tuple[str, str | None]]]


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
            return self.client.create_experiment(name, artifact_location=location)
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
                    runs.setdefault(run_id, []).append((run.info.run_id, run.data.tags.get(CONTENT)))
            token = page.token
            if not token:
                return runs

    def put(self, experiment: str, run_id: str, content: str, write: Callable[[], str | None]) -> str | None:
        """Make the store hold exactly one run with this id and content; say what had to be done.

        Args:
            write: makes the run, without its content, and gives its MLflow id; None if it cannot be made now.
        """
        present = self.known[experiment].get(run_id, [])
        kept = next((mlflow_id for mlflow_id, its_content in present if its_content == content), None)
        # Old ones go first: a crash in between then leaves one run too few, which the next sync makes, never two.
        for mlflow_id, _ in present:
            if mlflow_id != kept:
                self.client.delete_run(mlflow_id)
        if kept:
            return "unchanged"
        mlflow_id = write()
        if mlflow_id is None:
            return None
        self.client.set_tag(mlflow_id, CONTENT, content)
        return "updated" if present else "created"

    def drop(self, experiment: str, wanted: Callable[[str], bool]) -> None:
        """Delete the runs whose id is not wanted."""
        for run_id, present in self.known[experiment].items():
            if not wanted(run_id):
                for mlflow_id, _ in present:
                    self.client.delete_run(mlflow_id)


def prepare_mlflow() -> None:
    """What must be set before MLflow is imported: no telemetry, and no minutes of asking a server that is down."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)


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
        reason = str(error).replace(uri, shown).strip().splitlines()[0]
        raise BenchError(f"the MLflow store {shown} cannot be {doing} ({reason}): {advice}") from None


def without_password(uri: str) -> str:
    """A store's address as messages may show it."""
    parts = urlsplit(uri)
    return uri.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1) if "@" in parts.netloc else uri
