"""A results folder that was moved, copied, or lost its artifacts: the next sync mends it, and restore goes on."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from fake_results import make_results, small_config

from mlet_bench.errors import BenchError
from mlet_bench.report.page import all_tables
from mlet_bench.tables.read import read_results
from mlet_bench.tracking import SyncReport, artifacts, restore, sync

pytest.importorskip("mlflow", reason="MLflow comes with the 'workflow' extra")

UNCHANGED = SyncReport(unchanged=2)


@pytest.fixture(scope="module")
def synced(tmp_path_factory):
    """``results/one`` beside its store. Nobody changes it."""
    place = tmp_path_factory.mktemp("synced")
    assert sync(make_results(place / "results", small_config(profile="one", seeds=[0]))) == SyncReport(created=2)
    return place / "results"


@pytest.fixture
def moved(synced, tmp_path):
    """The same in another place, as if it had been moved: the first is gone while the test runs."""
    place = shutil.copytree(synced, tmp_path / "other place")
    aside = synced.rename(synced.with_name("aside"))
    yield place
    assert not synced.exists(), "something was written where the results were before"
    aside.rename(synced)


def runs_of(place):
    """Folder → MLflow id of each run of an experiment, as MLflow shows them."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{place / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("one/avazu")
    assert experiment
    found = client.search_runs([experiment.experiment_id])
    for run in found:
        assert {"metrics.json", "curve.parquet"} <= {file.path for file in client.list_artifacts(run.info.run_id)}
    return {run.info.run_name: run.info.run_id for run in found}


def assert_restored(place, again):
    assert restore("one", again) == 2
    first, second = (all_tables(read_results(folder)) for folder in (place / "one", again))
    assert first["runs"].equals(second["runs"]) and len(first["runs"]) == 2


def test_a_moved_folder_keeps_its_runs(synced, moved):
    assert sync(moved / "one") == UNCHANGED
    assert_restored(moved, moved / "again")
    assert len(runs_of(moved)) == 2


def test_a_moved_store_is_restored_without_the_run_folders(moved):
    shutil.move(moved / "one", moved / "away")
    restore("one", moved / "one")
    assert (moved / "one/runs/avazu/dlrm/single-d4/seed0/metrics.json").exists()


def test_a_copy_has_artifacts_of_its_own(synced, tmp_path):
    copy = shutil.copytree(synced, tmp_path / "copy")
    before = sorted(path for path in synced.rglob("*") if path.is_file())
    shutil.rmtree(copy / "mlflow-artifacts/one/avazu")
    assert sync(copy / "one") == SyncReport(updated=2)
    assert sync(copy / "one") == UNCHANGED
    assert sorted(path for path in synced.rglob("*") if path.is_file()) == before
    assert_restored(copy, copy / "again")


def test_artifacts_that_were_lost_are_written_again(synced, tmp_path):
    place = shutil.copytree(synced, tmp_path / "place")
    sync(place / "one")
    folder = place / "mlflow-artifacts/one"
    for lose, expected in (
        (lambda: shutil.rmtree(folder.parent), SyncReport(updated=2)),
        (lambda: shutil.rmtree(next(folder.glob("avazu/*"))), SyncReport(updated=1, unchanged=1)),
        (lambda: next(folder.rglob("curve.parquet")).unlink(), SyncReport(updated=1, unchanged=1)),
        (lambda: flip(next(folder.rglob("metrics.json"))), SyncReport(updated=1, unchanged=1)),
        (lambda: next(folder.glob("*/artifacts/index.json")).unlink(), UNCHANGED),
    ):
        for left in set(folder.glob("avazu/*")) - {folder / "avazu" / each for each in runs_of(place).values()}:
            shutil.rmtree(left)  # of runs that were replaced
        lose()
        with pytest.raises(BenchError, match="sync again where the run folders are"):
            restore("one", place / "again")
        assert sync(place / "one") == expected
    assert_restored(place, place / "again")
    assert sync(place / "one") == UNCHANGED


def flip(path):
    path.write_bytes(path.read_bytes().replace(b"0.7", b"0.8", 1))


def test_artifacts_of_a_store_elsewhere_are_left_while_they_can_be_reached(synced, tmp_path, monkeypatch):
    """A store that several results folders share has its artifacts where the first that was synced put them."""
    other = shutil.copytree(synced, tmp_path / "other")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shutil.copy(synced / 'mlflow.db', tmp_path / 'shared.db')}")
    shutil.rmtree(other / "mlflow-artifacts")
    assert sync(other / "one") == UNCHANGED and not (other / "mlflow-artifacts").exists()
    aside = synced.rename(synced.with_name("aside"))
    try:
        assert sync(other / "one") == SyncReport(updated=2)
        assert sync(other / "one") == UNCHANGED and not synced.exists()
    finally:
        aside.rename(synced)


def test_what_a_server_holds_is_known_by_names_and_sizes(synced, monkeypatch):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{synced / 'mlflow.db'}")
    (mlflow_id, *_) = runs_of(synced).values()
    folder = Path(str(client.get_run(mlflow_id).info.artifact_uri).removeprefix("file://"))
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    monkeypatch.setattr(artifacts, "_folder_of", lambda place: None)
    assert artifacts.are_whole(client, mlflow_id, "mlflow-artifacts:/x", "", files)
    for other in ({}, files | {"more.json": 1}, files | {"spec.json": 1}):
        assert not artifacts.are_whole(client, mlflow_id, "mlflow-artifacts:/x", "", other)


def test_experiments_of_others_are_left_where_they_are(synced, tmp_path):
    place = shutil.copytree(synced, tmp_path / "place")
    with sqlite3.connect(place / "mlflow.db") as database:
        database.execute("UPDATE experiments SET artifact_location = 'file:///gone/mlruns/0' WHERE name = 'Default'")
    sync(place / "one")
    with sqlite3.connect(place / "mlflow.db") as database:
        places = dict(database.execute("SELECT name, artifact_location FROM experiments").fetchall())
    assert places["Default"] == "file:///gone/mlruns/0"
    assert places["one/avazu"] == (place / "mlflow-artifacts/one/avazu").as_uri()
