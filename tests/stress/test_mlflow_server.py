"""A real mlflow server on a real PostgreSQL: eight syncs at once into a fresh database, again, and back."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pandas as pd
import pytest
from fake_results import make_results, small_config

from mlet_bench.report.page import all_tables
from mlet_bench.tables.read import read_results
from mlet_bench.tracking import SyncReport, restore, sync

pytestmark = pytest.mark.stress
pytest.importorskip("mlflow", reason="MLflow comes with the 'workflow' extra")
pytest.importorskip("psycopg2", reason="psycopg2 comes with the 'postgres' extra")
SYNCS = 8


def binaries() -> Path:
    """PostgreSQL's own programs; Debian keeps initdb off the PATH."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not places or not (places[-1] / "initdb").exists():
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    return places[-1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """The address of an empty database of a server of our own, on the loopback."""
    programs, folder, port = binaries(), Path(tmp_path_factory.mktemp("postgres")), free_port()
    as_user = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        user = pwd.getpwnam("nobody")
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "cwd": "/"}
        for place in (folder, *folder.parents):
            if place.owner() == "root" and "pytest" in str(place):
                place.chmod(0o755)
        os.chown(folder, user.pw_uid, user.pw_gid)
    data = folder / "data"
    words = [programs / "initdb", "-D", data, "-U", "mlflow", "--auth=trust", "--no-sync", "-E", "UTF8"]
    subprocess.run(words, check=True, capture_output=True, **as_user)
    options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off"
    control = [programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log"]
    subprocess.run([*control, "-o", options, "start"], check=True, capture_output=True, **as_user)
    try:
        words = [programs / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "mlflow", "mlflow"]
        subprocess.run(words, check=True, capture_output=True, **as_user)
        yield f"postgresql://mlflow@127.0.0.1:{port}/mlflow"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], capture_output=True, **as_user)


@pytest.fixture(scope="module")
def server(postgres, tmp_path_factory):
    """The address of an mlflow server on that database, which serves artifacts too."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    words = [Path(sys.executable).parent / "mlflow", "server", "--backend-store-uri", postgres, "--workers", "1"]
    words += ["--artifacts-destination", folder / "artifacts", "--host", "127.0.0.1", "--port", str(port)]
    quiet = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, env=quiet, start_new_session=True)
    uri = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=1)
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.5)
        yield uri
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def test_eight_syncs_at_once_through_a_server_lose_and_double_nothing(server, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    results = make_results(tmp_path, small_config(profile="team", seeds=[0, 1, 2]))
    code = f"from mlet_bench.tracking import sync; print(sync({str(results)!r}).created)"
    racers = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(SYNCS)]
    created = [int(racer.communicate(timeout=600)[0]) for racer in racers]
    assert sum(created) == max(created) == 6
    client = MlflowClient(server)
    counts = {e.name: len(client.search_runs([e.experiment_id])) for e in client.search_experiments()}
    assert counts == {"Default": 0, "team": 1, "team/avazu": 6}
    assert sync(results) == SyncReport(unchanged=6)
    restore("team", tmp_path / "again")
    first, second = (all_tables(read_results(folder)) for folder in (results, tmp_path / "again"))
    for name, frame in first.items():
        pd.testing.assert_frame_equal(second[name], frame, check_exact=True, obj=name)
    print(f"\n{SYNCS} syncs at once: one wrote 6 runs, {created.count(0)} found them; {len(first)} tables equal")


def test_two_profiles_on_postgresql_directly(postgres, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    address = postgres.replace("/mlflow", "/direct").replace("//direct@", "//mlflow@")
    import psycopg2

    connection = psycopg2.connect(postgres)
    connection.autocommit = True
    connection.cursor().execute("CREATE DATABASE direct")
    connection.close()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    for profile in ("one", "two"):
        results = make_results(tmp_path / profile, small_config(profile=profile, seeds=[0]))
        assert sync(results) == SyncReport(created=2)
        assert sync(results) == SyncReport(unchanged=2)
    client = MlflowClient(address)
    counts = {e.name: len(client.search_runs([e.experiment_id])) for e in client.search_experiments()}
    assert counts == {"Default": 0, "one": 1, "one/avazu": 2, "two": 1, "two/avazu": 2}
