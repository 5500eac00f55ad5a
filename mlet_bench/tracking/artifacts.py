"""Where a store's artifacts are, and whether they are there.

MLflow notes the absolute place of each artifact: a store that was moved or copied with its folder shows none of its
own, and none that was lost is missed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlet_bench.tracking.mapping import content_of_tree

if TYPE_CHECKING:
    from mlflow import MlflowClient

FOLDER = "mlflow-artifacts"  # beside a store that is a database


def are_whole(client: "MlflowClient", mlflow_id: str, place: str, content: str, files: dict[str, int]) -> bool:
    """Whether a run's artifacts are there: files of a file system by their hash, a server's by their names and sizes.

    Args:
        place: the run's ``artifact_uri``.
        content: ``content_of`` the files.
        files: their sizes in bytes, by name.
    """
    if folder := _folder_of(place):
        return content_of_tree(folder) == content
    return dict(_listed(client, mlflow_id, None)) == files


def _listed(client: "MlflowClient", mlflow_id: str, folder: str | None) -> Iterator[tuple[str, int]]:
    for found in client.list_artifacts(mlflow_id, folder):
        if found.is_dir:
            yield from _listed(client, mlflow_id, found.path)
        else:
            yield found.path, int(found.file_size or 0)


def follow_artifacts(uri: str, folder: Path, making: bool) -> None:
    """Let the experiments of a SQLite store have their artifacts below ``folder``, if that is where they belong now.

    They do where the store is beside that folder, or where the place that it notes is gone. Another database stays as
    it is: who else writes to it, and from where, cannot be known.

    Args:
        making: whether artifacts that are not there will be written; else ``folder`` must have them.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the store cannot be written.
    """
    database = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or not database.exists():
        return
    from sqlalchemy import create_engine, text

    beside = database.resolve().parent == folder.parent
    engine = create_engine(uri)
    try:
        with engine.begin() as connection:
            noted = connection.execute(text("SELECT experiment_id, name, artifact_location FROM experiments")).all()
            for experiment, name, place in noted:
                old, new = _folder_of(place or ""), folder / name
                if old is None or old == new or not old.as_posix().endswith(f"/{FOLDER}/{name}"):
                    continue  # none of ours, or there already
                if (beside or not old.exists()) and (making or new.exists()):
                    for statement in _MOVE:
                        connection.execute(text(statement), {"id": experiment, "old": place, "new": new.as_uri()})
    finally:
        engine.dispose()


_MOVE = (
    "UPDATE experiments SET artifact_location = :new WHERE experiment_id = :id",
    "UPDATE runs SET artifact_uri = :new || substr(artifact_uri, length(:old) + 1) "
    "WHERE experiment_id = :id AND substr(artifact_uri, 1, length(:old)) = :old",
)


def _folder_of(place: str) -> Path | None:
    """The folder that an artifact's address means; None for one that is no folder of a file system."""
    parts = urlsplit(place)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None
