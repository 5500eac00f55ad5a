"""MLflow as a sink: written once, replaced when files change, never doubled, and safe when two sync at once."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module

import pandas as pd
import pytest
from fake_results import make_results, small_config

from mlet_bench.errors import BenchError
from mlet_bench.files import read_json, write_json, write_sealed
from mlet_bench.report.page import all_tables
from mlet_bench.tables.read import read_results
from mlet_bench.tracking import SyncReport, restore, sync
from mlet_bench.tracking.mapping import ARTIFACTS, CONTENT, RUN_ID, TrackedRun, metrics_of

pytest.importorskip("mlflow", reason="MLflow comes with the 'workflow' extra")

ONE_SEED = small_config(profile="one", seeds=[0])


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """A results folder that two processes synced at once into a database that did not exist."""
    results = make_results(tmp_path_factory.mktemp("with space") / "results", planted=0.8)
    code = f"from mlet_bench.tracking import sync; r = sync({str(results)!r}); print(r.created, r.updated, r.unchanged)"
    racers = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = sorted(racer.communicate(timeout=120)[0].split() for racer in racers)
    assert [racer.returncode for racer in racers] == [0, 0]
    return results, outputs


def client_of(results):
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{results.parent / 'mlflow.db'}")


def runs_of(results, experiment):
    client = client_of(results)
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id])


def cell_of(results, experiment, cell):
    (run,) = [run for run in runs_of(results, experiment) if run.data.tags["mlet_bench.cell"] == cell]
    return run


@pytest.fixture
def store(raced):
    """The shared store with a profile of its own: the database is migrated once."""
    results = make_results(raced[0].parent, ONE_SEED)
    yield results
    client = client_of(results)
    for experiment in ("one/avazu", "one"):
        if client.get_experiment_by_name(experiment):
            for run in runs_of(results, experiment):
                client.delete_run(run.info.run_id)
    shutil.rmtree(results)


def test_two_at_once_on_a_fresh_database(raced):
    results, outputs = raced
    assert outputs == [["0", "0", "4"], ["4", "0", "0"]]
    client = client_of(results)
    counts = {e.name: len(client.search_runs([e.experiment_id])) for e in client.search_experiments()}
    assert counts["toy/avazu"] == 4 and counts["toy"] == 1 and counts["Default"] == 0


def test_what_is_looked_at_first_is_there(raced):
    """The columns of the table of runs, a sentence on each run, and a page that leads from a run's id to it."""
    results, client = raced[0], client_of(raced[0])
    experiment = client.get_experiment_by_name("toy/avazu")
    view = json.loads(experiment.tags["mlflow.sharedViewState.results"])
    assert view["orderByKey"] == view["selectedColumns"][0] == "metrics.`test_auc`"
    assert {"params.`arm`", "params.`dim`", "params.`inner_dim`"} < set(view["selectedColumns"])
    run = runs_of(results, "toy/avazu")[0]
    note, metrics = run.data.tags["mlflow.note.content"], run.data.metrics
    assert f"test AUC {metrics['test_auc']:.5f}, LogLoss {metrics['test_logloss']:.5f}" in note
    address = f"http://127.0.0.1:5000/#/experiments/{experiment.experiment_id}/runs/{run.info.run_id}"
    page = (results / "mlflow.html").read_text()
    assert f'<li id="{run.data.tags[RUN_ID]}"><a href="{address}">' in page and "mlflow ui --backend-store-uri" in page


def test_compare_opens_on_test_auc(raced):
    """MLflow's Compare takes the first metric that was stored."""
    run = TrackedRun.read(raced[0] / "runs/avazu/dlrm/mlet-d4-k16/seed1")
    points = metrics_of(run)
    assert points[0][:2] == ("test_auc", run.metrics["test"]["auc"])
    assert len({(name, step) for name, _, _, step in points}) == len(points)


def test_a_run_holds_its_spec_curve_scores_and_origin(raced):
    results = raced[0]
    (run,) = [run for run in runs_of(results, "toy/avazu") if run.info.run_name == "mlet-d4-k16 seed1"]
    folder = results / "runs/avazu/dlrm/mlet-d4-k16/seed1"
    spec, metrics = (json.loads((folder / f"{name}.json").read_text()) for name in ("spec", "metrics"))
    assert run.data.tags["mlet_bench.run_id"] == spec["id"]
    params = run.data.params
    assert (params["arm"], params["inner_dim"], params["bottom"], params["lr"]) == ("mlet", "16", "256-64", "0.2")
    assert set(params) == set(spec) - {"id", "hyper"} | set(spec["hyper"]) | {"trained_width"}
    assert run.data.metrics["test_auc"] == metrics["test"]["auc"] and run.data.metrics["rows_per_second"] == 1000
    assert run.data.metrics["bytes_deployed_tables"] == metrics["bytes"]["deployed_tables"]
    assert run.data.metrics["effective_rank_uniform"] == pytest.approx(3.2)
    tags = run.data.tags
    assert tags["mlflow.source.git.commit"] == tags["mlet_bench.commit"] == "a" * 40
    assert (tags["mlet_bench.dirty"], tags["mlet_bench.deployed_sha256"]) == ("false", "b" * 64)
    # Started 2026-01-02, 12.5 s long.
    assert (run.info.start_time, run.info.end_time) == (1767312000000, 1767312012500)
    assert run.info.status == "FINISHED"
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("avazu", spec["fingerprint"])
    client = client_of(results)
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {
        name for name in ARTIFACTS if (folder / name).is_file()
    }
    history = client.get_metric_history(run.info.run_id, "val_auc")
    assert [point.step for point in history] == [2, 4, 6, 8, 10]
    assert history[-1].value == metrics["val"]["auc"]


def test_the_axes_of_parallel_coordinates_are_numbers(raced):
    """MLflow's UI makes an axis of words as soon as one value is no number; a missing one leaves it a scale."""
    runs = {run.data.params["arm"]: run for run in runs_of(raced[0], "toy/avazu")}
    assert {arm: run.data.params.get("inner_dim") for arm, run in runs.items()} == {"single": None, "mlet": "16"}
    # Parallel coordinates need an axis that both arms have.
    assert {arm: run.data.params["trained_width"] for arm, run in runs.items()} == {"single": "4", "mlet": "16"}
    for run in runs.values():
        assert run.data.params["dim"] == "4" and 0.5 < run.data.metrics["test_auc"] < 1


def test_again_changes_nothing(store):
    assert sync(store) == SyncReport(created=2)
    before = {run.info.run_id for run in runs_of(store, "one/avazu")}
    assert sync(store) == SyncReport(unchanged=2)
    assert {run.info.run_id for run in runs_of(store, "one/avazu")} == before


def test_a_changed_run_is_replaced_and_not_doubled(store):
    sync(store)
    path = store / "runs/avazu/dlrm/single-d4/seed0/metrics.json"
    metrics = read_json(path, "evaluate it")
    write_sealed(path, metrics | {"test": metrics["test"] | {"auc": 0.9}})
    assert sync(store) == SyncReport(updated=1, unchanged=1)
    assert len(runs_of(store, "one/avazu")) == 2
    assert cell_of(store, "one/avazu", "single-d4").data.metrics["test_auc"] == 0.9


def test_a_half_written_run_is_replaced(store, monkeypatch):
    def crash(self, run_id, *args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        from mlflow import MlflowClient

        patch.setattr(MlflowClient, "log_artifacts", crash)
        sync(store)
    (half,) = runs_of(store, "one/avazu")
    assert CONTENT not in half.data.tags
    assert sync(store) == SyncReport(created=1, updated=1)
    runs = runs_of(store, "one/avazu")
    assert len(runs) == 2 and all(CONTENT in run.data.tags for run in runs)


def test_a_doubled_run_is_made_one(store):
    sync(store)
    original = cell_of(store, "one/avazu", "single-d4")
    client_of(store).create_run(original.info.experiment_id, tags={RUN_ID: original.data.tags[RUN_ID]})
    assert sync(store) == SyncReport(unchanged=2)
    assert len(runs_of(store, "one/avazu")) == 2


def test_unfinished_runs_wait_and_failed_ones_are_there_until_they_pass(store):
    (store / "runs/avazu/dlrm/single-d4/seed0/metrics.json").unlink()
    failed = store / "runs/avazu/dlrm/mlet-d4-k16/seed0/failed.json"
    write_json(failed, {"stage": "train", "kind": "memory", "error": "no memory"})
    for _ in range(2):
        assert sync(store) == SyncReport(failed=1)
        (run,) = runs_of(store, "one/avazu")
        assert (run.info.status, run.info.run_name) == ("FAILED", "mlet-d4-k16 seed0")
        tags = {name: run.data.tags[f"mlet_bench.{name}"] for name in ("stage", "kind", "reason")}
        assert tags == {"stage": "train", "kind": "memory", "reason": "no memory"}
        found = {name: run.data.params[name] for name in ("arm", "dim", "inner_dim", "seed")}
        assert found == {"arm": "mlet", "dim": "4", "inner_dim": "16", "seed": "0"}
    failed.unlink()
    assert sync(store) == SyncReport(created=1)
    assert [run.info.status for run in runs_of(store, "one/avazu")] == ["FINISHED"]


def test_an_experiment_deleted_in_mlflow_is_reported(store):
    client = client_of(store)
    gone = client.create_experiment("gone/avazu")
    client.delete_experiment(gone)
    write_json(store / "config.json", json.loads((store / "config.json").read_text()) | {"profile": "gone"})
    with pytest.raises(BenchError, match=r"'gone/avazu' was deleted.*restore"):
        sync(store)
    sync_back = json.loads((store / "config.json").read_text()) | {"profile": "one"}
    write_json(store / "config.json", sync_back)
    sync(store)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://me:sec%20ret@127.0.0.1:9", "http://127.0.0.1:9"),
        ("http://127.0.0.1:9/?user=me&password=sec%20ret", "http://127.0.0.1:9/?..."),
        ("postgresql://127.0.0.1:9/db?user=me&password=sec+ret&connect_timeout=1", "postgresql://127.0.0.1:9/db?..."),
    ],
)
def test_the_environment_names_the_store_and_passwords_stay_out_of_messages(store, monkeypatch, uri, shown):
    if uri.startswith("postgresql"):
        pytest.importorskip("psycopg2", reason="psycopg2 comes with the 'postgres' extra")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(BenchError, match=f"store {re.escape(shown)} cannot be written") as caught:
        sync(store)
    assert not [way for way in ("sec ret", "sec+ret", "sec%20ret") if way in str(caught.value)]


def test_a_run_that_cannot_be_read_keeps_no_other_out(store):
    (store / "runs/avazu/dlrm/single-d4/seed0/curve.parquet").write_text("cut off")
    with pytest.raises(BenchError, match=r"1 runs cannot be read, the other 1 are synced: .*curve\.parquet is damaged"):
        sync(store)
    assert [run.data.tags["mlet_bench.cell"] for run in runs_of(store, "one/avazu")] == ["mlet-d4-k16"]


def test_a_file_that_is_no_database_is_reported(tmp_path):
    results = make_results(tmp_path, ONE_SEED)
    (tmp_path / "mlflow.db").write_text("no database " * 100)
    with pytest.raises(BenchError, match=r"mlflow\.db cannot be written"):
        sync(results)


def test_telemetry_is_off(store, monkeypatch):
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    sync(store)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_import_is_cheap():
    code = (
        "import sys, mlet_bench.tracking as t; assert 'mlflow' not in sys.modules\n"
        "assert 'matplotlib' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def tables_of(folder):
    return all_tables(read_results(folder))


def assert_equal_tables(one, other):
    first, second = tables_of(one), tables_of(other)
    assert first.keys() == second.keys() and len(first["runs"]) and len(first["overhead"])
    for name, frame in first.items():
        pd.testing.assert_frame_equal(second[name], frame, check_exact=True, obj=name)


def test_every_table_is_the_same_from_the_store_alone(raced, tmp_path, monkeypatch):
    results = raced[0]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{results.parent / 'mlflow.db'}")
    assert restore("toy", tmp_path / "again") == 4
    assert_equal_tables(results, tmp_path / "again")
    assert not list((tmp_path / "again").rglob("*.safetensors"))


def test_a_failed_run_and_a_change_are_restored(store, tmp_path):
    sync(store)
    write_json(
        store / "runs/avazu/dlrm/mlet-d4-k16/seed0/failed.json",
        {"stage": "deploy", "kind": "memory", "error": "no memory"},
    )
    sync(store)
    restore("one", store.parent / "again")
    assert_equal_tables(store, store.parent / "again")
    runs = tables_of(store.parent / "again")["runs"]
    assert runs.loc[runs["status"] == "failed", "reason"].tolist() == ["deploy: no memory"]
    shutil.rmtree(store.parent / "again")


def test_runs_that_are_not_finished_are_restored_with_their_reasons(store):
    """What a report of a grid that still runs says of each run is said by the restored one."""
    runs = store / "runs/avazu/dlrm"
    (runs / "single-d4/seed0/metrics.json").unlink()
    other = json.loads((store / "config.json").read_text())
    write_json(store / "config.json", other | {"training": other["training"] | {"lr": 0.1}})
    for begun, reason in ((False, "holds another run: lr 0.2 instead of 0.1"), (True, "not trained")):
        if begun:
            shutil.rmtree(runs / "single-d4/seed0")
        sync(store)
        again = store.parent / "again"
        restore("one", again)
        assert_equal_tables(store, again)
        table = tables_of(again)["runs"]
        assert set(table["status"]) == {"missing"} and reason in table["reason"].iloc[0]
        shutil.rmtree(again)
    write_json(store / "config.json", other)


def test_a_run_that_a_job_changes_while_it_is_read_waits(store, monkeypatch):
    module = import_module("mlet_bench.tracking.sync")
    changed, read = store / "runs/avazu/dlrm/single-d4/seed0", module.TrackedRun.read

    def read_and_begin_again(folder):
        run = read(folder)
        if folder == changed:  # a job that begins drops what is not up to date
            (folder / "metrics.json").unlink()
        return run

    with monkeypatch.context() as patch:
        patch.setattr(module.TrackedRun, "read", read_and_begin_again)
        assert sync(store) == SyncReport(created=1)
    assert [run.data.tags["mlet_bench.cell"] for run in runs_of(store, "one/avazu")] == ["mlet-d4-k16"]
    restore("one", store.parent / "again")
    assert_equal_tables(store, store.parent / "again")
    shutil.rmtree(store.parent / "again")


def test_artifacts_that_are_not_those_of_the_sync_are_not_restored(store):
    sync(store)
    run = cell_of(store, "one/avazu", "single-d4")
    path = store.parent / "other" / "metrics.json"
    write_json(path, json.loads((store / "runs/avazu/dlrm/mlet-d4-k16/seed0/metrics.json").read_text()))
    client_of(store).log_artifact(run.info.run_id, str(path))
    with pytest.raises(BenchError, match=r"artifacts of run .* are not those that were synced"):
        restore("one", store.parent / "again")
    assert not [path for path in store.parent.iterdir() if "again" in path.name]


def test_nothing_is_overwritten_and_nothing_half_restored(store, tmp_path):
    sync(store)
    with pytest.raises(BenchError, match="is there already"):
        restore("one", store)
    with pytest.raises(BenchError, match="has no experiment 'absent'"):
        restore("absent", store.parent / "again")
    run = cell_of(store, "one/avazu", "single-d4")
    client_of(store).delete_run(run.info.run_id)
    with pytest.raises(BenchError, match=r"has 0 whole runs with id .*: sync again"):
        restore("one", store.parent / "again")
    assert not [path for path in store.parent.iterdir() if "again" in path.name]
    with pytest.raises(BenchError, match=r"mlflow\.db does not exist: set MLFLOW_TRACKING_URI"):
        restore("one", tmp_path / "elsewhere" / "again")
