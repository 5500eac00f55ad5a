"""A tracking store that cannot be used: a sentence and exit code 2, soon, and nothing written that was not there."""

import socket
import sqlite3

import forked
import pytest
from fake_results import make_results, small_config
from kill_at import killed

pytest.importorskip("mlflow", reason="MLflow comes with the 'workflow' extra")
# A command that asks a store again and again would take many times as long.
PATIENCE = 90


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return make_results(tmp_path_factory.mktemp("trouble"), small_config(profile="one", seeds=[0]))


@pytest.fixture(params=["sync", "restore"])
def command(request, results, tmp_path):
    """Both commands, on a store of any address; gives what it wrote to stderr, and it must fail."""
    words = {"sync": ["sync", results], "restore": ["restore", "one", "--out", tmp_path / "again"]}[request.param]

    def run(monkeypatch, uri):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        done = forked.run(*words, imported=forked.STORE, seconds=PATIENCE)
        assert done.returncode == 2 and not done.stdout and "Traceback" not in done.stderr
        assert not (tmp_path / "again").exists()
        return done.stderr

    return run


@pytest.fixture
def closed_port():
    """A port of the loopback that nobody listens on while the test runs."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_a_server_that_is_down(command, monkeypatch, closed_port):
    said = command(monkeypatch, f"http://127.0.0.1:{closed_port}")
    assert f"the MLflow store http://127.0.0.1:{closed_port} cannot be" in said and "Connection refused" in said


def test_a_server_that_does_not_answer(command, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = command(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert "cannot be" in said and "timed out" in said


def test_a_database_server_that_is_down(command, monkeypatch, closed_port):
    pytest.importorskip("psycopg2", reason="psycopg2 comes with the 'postgres' extra")
    said = command(monkeypatch, f"postgresql://me:secret@127.0.0.1:{closed_port}/mlflow")
    assert f"store postgresql://127.0.0.1:{closed_port}/mlflow cannot be" in said and "secret" not in said


def test_a_folder_in_the_place_of_the_database(command, monkeypatch, tmp_path):
    (tmp_path / "mlflow.db").mkdir()
    assert "unable to open database file" in command(monkeypatch, f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_a_database_of_something_else_is_left_as_it_is(command, monkeypatch, tmp_path):
    path = tmp_path / "books.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE books (title TEXT)")
    before = path.read_bytes()
    assert "is a database of something else (tables books" in command(monkeypatch, f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_locked_database(command, monkeypatch, tmp_path):
    path = tmp_path / "mlflow.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE experiments (a INT)")
    database.commit()
    database.execute("BEGIN EXCLUSIVE")
    try:
        assert "database is locked" in command(monkeypatch, f"sqlite:///{path}")
    finally:
        database.close()


def test_a_database_of_a_later_mlflow(command, monkeypatch, tmp_path, whole_database):
    path = tmp_path / "mlflow.db"
    path.write_bytes(whole_database.read_bytes())
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    said = command(monkeypatch, f"sqlite:///{path}")
    assert "cannot be" in said and "ffffffffffff" in said


@pytest.fixture(scope="module")
def whole_database(tmp_path_factory):
    """An MLflow database without a run of ours."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("whole") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_a_first_sync_that_is_cut_off_leaves_no_half_made_database(tmp_path, how):
    """MLflow makes its tables, then marks their version: a file without the mark it refuses for good."""
    results = make_results(tmp_path, small_config(profile="one", seeds=[0]))
    cut = killed("mlflow.store.db.utils:_upgrade_db", 1, how, "sync", results)
    database = tmp_path / "mlflow.db"
    assert cut.returncode != 0 and not (database.exists() and database.stat().st_size)
    again = forked.run("sync", results, imported=forked.STORE, seconds=PATIENCE)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("2 runs created")
