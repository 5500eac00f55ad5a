"""No number of one run is taken for another's: a folder that holds another run, a file of another run in a folder."""

import os
import shutil

import pandas as pd
import pytest
from fake_results import make_results
from staged import FILES, call, commands, give

from mlet_bench.errors import BenchError
from mlet_bench.tables.read import read_results
from mlet_bench.tracking import sync


@pytest.fixture
def done(whole, tmp_path):
    """The runs of two seeds after every stage."""
    for stage in FILES:
        if stage != "cell":
            give(whole, tmp_path, stage)
    return tmp_path


def stamps(folder):
    """File → what would change if it were written again."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    found = {path.relative_to(folder).as_posix(): path.stat() for path in files}
    return {name: (stat.st_ino, stat.st_mtime_ns, stat.st_size) for name, stat in found.items()}


@pytest.mark.parametrize(
    ("option", "value", "difference"),
    [
        ("--inner-dim", 16, "inner_dim 8 instead of 16"),
        ("--lr", 2, "lr 0.2 instead of 2"),
        ("--arm", "mlet-unit", "arm"),
    ],
)
def test_training_into_the_folder_of_another_run_is_refused_and_leaves_it(done, capsys, option, value, difference):
    words = [str(word) for word in commands(done)["train"]]
    words = [*words, option, str(value)]  # the last one counts
    before = stamps(done / "runs")
    assert call(*words) == 2
    said = capsys.readouterr().err
    assert f"{done}/runs/seed0 holds another run, " in said and difference in said
    assert "give another folder, or remove this one" in said
    assert stamps(done / "runs") == before
    assert call("verify", done / "runs" / "seed0") == 0


def test_training_the_same_run_again_keeps_it(done, capsys):
    before = stamps(done / "runs")
    assert call(*commands(done)["train"]) == 0
    after = stamps(done / "runs")
    assert {name for name in before if after[name] != before[name]} <= {f"seed{seed}/data.json" for seed in (0, 1)}


@pytest.mark.parametrize(
    ("stage", "files"),
    [
        ("deploy", ["model.safetensors"]),
        ("deploy", ["model.safetensors", "provenance.json"]),
        ("evaluate", ["deployed.json"]),
        ("evaluate", ["deployed.safetensors"]),
        ("evaluate", ["deployed.json", "deployed.safetensors"]),
        ("spectrum", ["deployed.json", "deployed.safetensors"]),
        ("verify", ["metrics.json"]),
        ("verify", ["deployed.json", "deployed.safetensors"]),
    ],
)
def test_a_stage_refuses_the_files_of_another_run(done, capsys, stage, files):
    one, other = done / "runs" / "seed0", done / "runs" / "seed1"
    for file in files:
        shutil.copy(other / file, one / file)
    metrics = (one / "metrics.json").read_bytes()
    assert call(stage, one) == 2
    said = capsys.readouterr().err
    assert str(one / files[0]) in said or str(one / files[-1]) in said
    assert "is of run" in said or "has sha256" in said
    if stage in ("evaluate", "verify"):
        assert (one / "metrics.json").read_bytes() == metrics


@pytest.mark.parametrize("file", ["metrics.json", "rare.parquet", "scores.parquet"])
def test_a_stage_makes_its_own_files_again_in_the_place_of_another_run_s(done, file):
    """To refuse them would be for good: the advice would be to do what is being done."""
    one, other = done / "runs" / "seed0", done / "runs" / "seed1"
    right = (one / file).read_bytes()
    shutil.copy(other / file, one / file)
    assert call("evaluate", one) == 0
    assert (one / file).read_bytes() == right


PARTS = ("metrics.json", "rare.parquet", "deployed.json", "curve.parquet", "spectrum.parquet", "factors.parquet")


@pytest.mark.parametrize("file", [*PARTS, "provenance.json"])
def test_the_report_shows_no_number_of_another_run(tmp_path, file):
    results = make_results(tmp_path)
    one, other = (results / f"runs/avazu/dlrm/mlet-d4-k16/seed{seed}" for seed in (0, 1))
    shutil.copy(other / file, one / file)
    runs = read_results(results).runs.set_index(["cell", "seed"])
    mixed = runs.loc[("mlet-d4-k16", 0)]
    assert mixed["status"] == "failed" and pd.isna(mixed["test_auc"])
    assert f"{one / file} is of run" in mixed["reason"]
    assert (runs.drop(("mlet-d4-k16", 0))["status"] == "done").all()


def test_mlflow_gets_no_number_of_another_run(tmp_path):
    pytest.importorskip("mlflow", reason="MLflow comes with the 'workflow' extra")
    results = make_results(tmp_path)
    one, other = (results / f"runs/avazu/dlrm/mlet-d4-k16/seed{seed}" for seed in (0, 1))
    shutil.copy(other / "metrics.json", one)
    with pytest.raises(BenchError, match=r"1 runs cannot be read, the other 3 are synced: .*metrics\.json is of run"):
        sync(results)


def test_a_run_that_was_trained_again_has_nothing_of_before(done):
    """By hand, as a folder is removed and trained with another rate: the later stages' files do not come back."""
    shutil.rmtree(done / "runs")
    words = [*map(str, commands(done)["train"]), "--lr", "0.05"]
    assert call(*words) == 0
    assert {name for name in os.listdir(done / "runs/seed0")} == {
        *("spec.json", "curve.parquet", "model.safetensors", "provenance.json", "data.json"),
    }
    assert call("evaluate", done / "runs/seed0") == 2
