"""The command line: one cell by hand from raw file to metrics, and sentences instead of tracebacks."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from mlet_bench.cli import main
from mlet_bench.evaluation import deploy as evaluation
from mlet_bench.files import read_json, write_sealed
from mlet_bench.stages import deploy


def call(*words) -> int:
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A prepared data set of 600 planted Criteo rows."""
    folder = tmp_path_factory.mktemp("cli")
    assert call("synthesize", "criteo-kaggle", "--rows", 600, "--seed", 3, "--out", folder / "raw.txt") == 0
    assert call("prepare", "criteo-kaggle", "--raw", folder / "raw.txt", "--out", folder / "data") == 0
    return folder / "data"


def train(data, out, *options) -> int:
    return call("train", "--data", data, "--arm", "mlet", "--dim", 4, "--inner-dim", 8, "--out", out, *options)


def test_one_cell_by_hand(data, tmp_path, capsys):
    run = tmp_path / "RUN"
    assert train(data, run, "--model", "dlrm", "--seed", 0) == 0
    for command in ("deploy", "evaluate", "spectrum"):
        assert call(command, run) == 0
    ranks = {name: (run / name).read_bytes() for name in ("spectrum.parquet", "factors.parquet", "deployed.json")}
    for name in ranks:
        (run / name).unlink()
    assert call("deploy", run, "--spectrum") == 0
    assert {name: (run / name).read_bytes() for name in ranks} == ranks  # one command, the same files
    assert not (run / "metrics.json").exists()  # of the model that stood there before
    assert call("evaluate", run) == 0
    metrics = json.loads((run / "metrics.json").read_text())
    names = {"auc", "logloss", "ne", "pr_auc", "accuracy", "calibration"}
    assert set(metrics["val"]) == set(metrics["test"]) == names
    assert all(np.isfinite(value) for value in metrics["test"].values())
    sizes = json.loads((data / "schema.json").read_text())["fields"]
    assert metrics["bytes"]["deployed_tables"] == 4 * 4 * sum(field["size"] for field in sizes)
    assert metrics["bytes"]["training"] > metrics["bytes"]["deployed"]
    assert "test auc" in capsys.readouterr().out

    edit(run / "provenance.json", commit="abc", dirty=False)  # known in a checkout alone
    assert call("verify", run) == 0
    found = capsys.readouterr().out.splitlines()
    assert len(found) == 16 and all(f"{run}: ok: " in line for line in found)
    edit(run / "metrics.json", test=metrics["test"] | {"auc": 0.9})
    assert call("verify", run) == 2
    captured = capsys.readouterr()
    assert f"{run}: FAILED: test auc: " in captured.out and f"1 checks failed: {run}: test auc" in captured.err
    (run / "deployed.safetensors").unlink()
    assert call("verify", run) == 2
    assert "keep: deployed" in capsys.readouterr().err
    assert not (run / "failed.json").exists()  # verify judges, it changes nothing


def edit(path, **changes):
    write_sealed(path, read_json(path, "make it") | changes)


def test_several_seeds_share_one_call(data, tmp_path, capsys):
    assert train(data, tmp_path / "seed{seed}", "--seed", 0, 1) == 0
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock") == ["seed0", "seed1"]
    assert train(data, tmp_path / "same", "--seed", 0, 1) == 2
    assert "'{seed}'" in capsys.readouterr().err


def test_a_moved_data_set_is_given_by_hand(data, tmp_path, capsys):
    assert train(data, tmp_path / "run") == 0
    (tmp_path / "run" / "data.json").write_text('{"data": "../nowhere"}')
    assert call("deploy", tmp_path / "run") == 2
    assert "not a prepared data set" in capsys.readouterr().err
    assert call("deploy", tmp_path / "run", "--data", data) == 0


def test_a_failed_run_says_why_in_its_folder(data, tmp_path, capsys):
    assert train(data, tmp_path / "run", "--lr", 1e30) == 2
    failed = json.loads((tmp_path / "run" / "failed.json").read_text())
    assert failed["stage"] == "train" and failed["kind"] == "diverged"
    assert train(data, tmp_path / "run") == 0
    assert not (tmp_path / "run" / "failed.json").exists()


def test_deploy_with_spectrum_reads_and_draws_the_factors_once(data, tmp_path, monkeypatch):
    assert train(data, tmp_path / "run") == 0
    calls = []
    for name in ("load_file", "build_model"):
        for module in (deploy, evaluation):
            if hasattr(module, name):
                original = getattr(module, name)
                noting = lambda *given, name=name, original=original: calls.append(name) or original(*given)  # noqa: E731
                monkeypatch.setattr(module, name, noting)
    assert call("deploy", tmp_path / "run", "--spectrum") == 0
    assert sorted(calls) == ["build_model", "load_file"]


def test_no_stage_of_a_run_waits_for_pandas_or_needs_what_a_workflow_needs(data, tmp_path):
    """pandas takes 0.4 s to import, in each process of the smoke run; pyarrow imports it where it must know a type."""
    run, settings = tmp_path / "run", ("--dims", 4, "--inner-dims", 8, "--pairs", 2, "--steps", 1, "--batch-sizes", 64)
    commands = [
        ("train", "--data", data, "--arm", "mlet", "--dim", 4, "--inner-dim", 8, "--out", run),
        ("deploy", run, "--spectrum"),
        ("evaluate", run),
        ("verify", run),
        (
            "cell",
            "--data",
            data,
            "--arm",
            "single",
            "--dim",
            4,
            "--out",
            tmp_path / "cell",
            "--index",
            tmp_path / "i.json",
        ),
        ("overhead", "--data", data, "--out", tmp_path / "overhead.parquet", *settings),
    ]
    code = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {{"mlflow", "snakemake", "polars", "jsonschema", "matplotlib", "requests"}}:
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
from mlet_bench.cli import main
for words in {[[str(word) for word in words] for words in commands]}:
    print(words[0], main(words), "pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    for command in commands:
        assert f"{command[0]} 0 False" in done.stdout, done.stdout + done.stderr


def test_recipes_and_their_overrides(data, tmp_path, capsys):
    def spec(*options):
        run = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        assert train(data, run, *options) == 0
        return json.loads((run / "spec.json").read_text())

    assert (spec()["lr"], spec()["hyper"]) == (0.2, {"bottom": [256, 64], "top": [512, 256]})
    found = spec("--recipe", "dlrm", "--top", 32)
    assert (found["lr"], found["hyper"], found["recipe"]) == (0.1, {"bottom": [512, 256, 64], "top": [32]}, "dlrm")
    assert train(data, tmp_path / "run", "--recipe", "paper") == 2
    assert "unknown recipe 'paper': the recipes are authors, authors-b, dlrm" in capsys.readouterr().err


def test_the_authors_selection_stands_beside_the_sound_number(data, tmp_path):
    run = tmp_path / "run"
    assert train(data, run, "--authors-selection", "--validations", 3, "--batch-size", 16) == 0
    for command in ("deploy", "evaluate"):
        assert call(command, run) == 0
    metrics = json.loads((run / "metrics.json").read_text())
    curve = pd.read_parquet(run / "curve.parquet")
    assert len(curve) == 3
    assert metrics["authors_selection"]["accuracy"] == curve.test_accuracy.max()
    row = curve[curve.step == metrics["authors_selection"]["step"]].iloc[0]
    assert metrics["authors_selection"]["auc"] == row.test_auc
    assert metrics["test"]["auc"] == pytest.approx(curve.test_auc.iloc[-1], abs=1e-3)


@pytest.mark.parametrize("arm", [("single-lr-tuned",), ("mlet-lr-tuned", "--inner-dim", 8)])
def test_a_tuned_cell_by_hand(data, tmp_path, arm):
    options = ("--arm", *arm, "--dim", 4, "--seed", 0, 1, "--embedding-lr-factors", 1, 64)
    assert call("train", "--data", data, *options, "--out", tmp_path / "seed{seed}") == 0
    records = [json.loads((tmp_path / f"seed{seed}" / "tuning.json").read_text()) for seed in (0, 1)]
    kept = ("chosen", "by", "candidates")
    assert [records[0][key] for key in kept] == [records[1][key] for key in kept]
    for command in ("deploy", "evaluate", "spectrum"):
        assert call(command, tmp_path / "seed0", tmp_path / "seed1") == 0


def test_overhead_by_hand(data, tmp_path, capsys):
    out = tmp_path / "overhead.parquet"
    small = ("--pairs", 2, "--steps", 1, "--batch-sizes", 64)
    assert call("overhead", "--data", data, "--dims", 4, "--inner-dims", 8, "--out", out, *small) == 0
    assert out.exists() and "median overhead" in capsys.readouterr().out
    assert call("overhead", "--data", data, "--dims", 16, "--inner-dims", 8, "--out", out, *small) == 2
    assert "no pair with k >= d" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("train", "--data", "DATA", "--arm", "mlet", "--dim", "16", "--inner-dim", "8"), "k=8 below d=16"),
        (("train", "--data", "DATA", "--arm", "mlt", "--dim", "16"), "unknown arm 'mlt': there are single, mlet"),
        (("train", "--data", "DATA", "--arm", "single", "--dim", "4", "--model", "dcm"), "unknown model 'dcm'"),
        (
            ("train", "--data", "DATA", "--arm", "single", "--dim", "4", "--optimizer", "adam"),
            "unknown optimizer 'adam'",
        ),
        (("train", "--data", "DATA", "--arm", "single", "--dim", "4", "--device", "tpu"), "unknown device 'tpu'"),
        (("train", "--data", "NOWHERE", "--arm", "single", "--dim", "4"), "not a prepared data set"),
        (("prepare", "criteo-kaggle", "--raw", "NOWHERE"), "NOWHERE"),
        (("prepare", "criteo-kaggle", "--raw", "NOWHERE", "--authors-hour"), "has no option 'authors_hour'"),
        (("prepare", "criteo-kaggle", "--raw", "DATA/schema.json"), "schema.json"),
        (("prepare", "avazu", "--raw", "DATA/schema.json", "--split", "blocks"), "blocks"),
    ],
)
def test_mistakes_get_a_sentence_and_status_2(words, sentence, data, tmp_path, capsys):
    out = tmp_path / "out"
    words = [word.replace("DATA", str(data)).replace("NOWHERE", str(tmp_path / "NOWHERE")) for word in words]
    assert call(*words, "--out", out) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"mlet-bench {words[0]}: error: ") and sentence in error
    assert not out.exists() or {path.name for path in out.iterdir()} <= {"failed.json"}


@pytest.mark.parametrize(
    "words",
    [
        ("synthesize", "avazu", "--rows", 500),
        ("prepare", "criteo-kaggle", "--raw", "DATA/../raw.txt"),
        ("train", "--data", "DATA", "--arm", "single", "--dim", 4),
        ("overhead", "--data", "DATA", "--dims", 4, "--inner-dims", 8, "--pairs", 1, "--steps", 1),
    ],
)
def test_the_root_is_no_place_for_a_result(words, data, capsys):
    words = [str(word).replace("DATA", str(data)) for word in words]
    assert call(*words, "--out", "/") == 2
    assert ": error: / is " in capsys.readouterr().err


@pytest.mark.parametrize("command", ["deploy", "evaluate", "spectrum"])
def test_a_folder_that_is_no_run_is_named(command, tmp_path, capsys):
    assert call(command, tmp_path / "empty") == 2
    assert "not a trained run" in capsys.readouterr().err
