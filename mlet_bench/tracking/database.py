"""A tracking store that is a database, looked at before MLflow opens it.

MLflow asks a database that is down for minutes, and makes its tables in whatever database it is given.
"""

from pathlib import Path
from urllib.parse import urlsplit

from mlet_bench.errors import BenchError
from mlet_bench.files import atomic

SECONDS = 5
# What each database calls the time to wait for it.
TIMEOUTS = {"sqlite": "timeout", "postgresql": "connect_timeout", "mysql": "connect_timeout", "mssql": None}


def check_database(uri: str, shown: str) -> None:
    """Open a database within seconds, and refuse one that holds something else; other stores pass.

    Args:
        shown: the store's address as messages show it.

    Raises:
        BenchError: the database has tables, and none of MLflow's; or the package that speaks with it is absent.
        sqlalchemy.exc.SQLAlchemyError: it is down, locked or unreadable.
    """
    kind = urlsplit(uri).scheme.split("+")[0]
    if kind not in TIMEOUTS:
        return
    from sqlalchemy import create_engine, inspect

    try:
        engine = create_engine(uri, connect_args={TIMEOUTS[kind]: SECONDS} if TIMEOUTS[kind] else {})
    except ModuleNotFoundError as absent:
        raise BenchError(
            f"{shown} needs the Python package {absent.name}: install it (for PostgreSQL with 'mlet-bench[postgres]')"
        ) from None
    try:
        with engine.connect() as connection:
            tables = set(inspect(connection).get_table_names())
            if kind == "sqlite":  # a reader would not notice that somebody else keeps it from being written
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                connection.rollback()
    finally:
        engine.dispose()
    if tables and not {"experiments", "runs"} <= tables:
        raise BenchError(
            f"{shown} is a database of something else (tables {', '.join(sorted(tables)[:3])}, ...), not of MLflow: "
            "nothing was written to it; set MLFLOW_TRACKING_URI to a database of its own"
        )


def make_database(uri: str) -> None:
    """Make MLflow's tables in a SQLite file that is not there yet, whole or not at all; of another store nothing.

    MLflow makes its tables and then brings them up to date: cut off in between it refuses the file for good.
    """
    from mlflow import MlflowClient

    path = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not (path.exists() and path.stat().st_size):  # to look at it makes it, empty
        with atomic(path) as partial:
            MlflowClient(tracking_uri=f"sqlite:///{partial}").search_experiments(max_results=1)
