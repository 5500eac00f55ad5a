"""Benchmarks measure what they say: rows of the real sizes, the peer's own time, the bytes of a step, no lost table."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import BENCHMARKS, same_tables, step
from benchmarks.__main__ import main
from benchmarks.base import Settings, benchmark
from benchmarks.dlrm_script import DlrmScript
from benchmarks.full_scale import full_scale_rows
from benchmarks.measure import Measure, as_markdown, read_measures, write_measures
from benchmarks.page import MARKS, update_page
from benchmarks.timed import step_bytes
from mlet_bench.errors import BenchError
from mlet_bench.spec import RunSpec

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
HYPER = {"bottom": [256, 64], "top": [512, 256]}
version = DlrmScript.version.fget


def measure(**changes):
    given = {"benchmark": "step", "case": "B=128", "ours": 2.0, "unit": "ms", "against": "peer", "theirs": 5.0}
    given |= {"ratio": 2.5, "target": "2 or more", "device": "CPU, 2 of 2 threads", "software": "torch 2.13.0"}
    return Measure(**given | changes)


@pytest.mark.parametrize("uniform", [True, False])
def test_made_rows_have_the_real_sizes(uniform):
    schema, rows = full_scale_rows("criteo-kaggle", 20_000, CPU, uniform)
    assert sum(schema.table_sizes) == 33_762_577
    assert rows.ids.shape == (20_000, 26) and rows.dense.shape == (20_000, 13)
    assert (rows.ids >= 0).all() and (rows.ids < torch.tensor(schema.table_sizes)).all()
    assert rows.label.mean().item() == pytest.approx(0.256, abs=0.01)
    in_first_half = (rows.ids[:, 2] < schema.table_sizes[2] // 2).double().mean().item()
    assert in_first_half == pytest.approx(0.5, abs=0.02) if uniform else in_first_half > 0.9


def test_bytes_of_a_step_by_hand():
    """One field, one dense feature, B = 2, d = 1, k = 3: counted term by term."""
    schema, _ = full_scale_rows("avazu", 10, CPU)
    schema = type(schema)(**vars(schema) | {"fields": schema.fields[:1], "dense": ("I1",)})
    weights = 1 * 256 + 256 * 64 + 64 * 1 + (1 + 1) * 512 + 512 * 256 + 256 * 1
    activations = 2 * ((1 + 256 + 64 + 1) + (2 + 512 + 256 + 1) + 1)
    data = 2 * (1 + 1 + 2)
    assert step_bytes(schema, 1, None, 2) == 4 * (3 * 2 * 1 + 4 * weights + 4 * activations + data)
    mlet = 4 * (3 * 2 * 3 + 4 * (weights + 3) + 4 * (activations + 2 * 3) + data)
    assert step_bytes(schema, 1, 3, 2) == mlet


def checkout(folder, script):
    (folder / "dlrm_s_pytorch.py").write_text(script)
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", folder, *words], check=True)
    return DlrmScript(folder, sys.executable)


def test_the_peers_own_time_is_read_and_its_first_group_left_out(tmp_path):
    script = """
import os, sys
assert os.environ["OMP_NUM_THREADS"] == "3"
given = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
assert given["--arch-embedding-size"] == "7-9" and given["--arch-mlp-bot"] == "13-256-64-16", given
assert given["--arch-mlp-top"] == "512-256-1" and given["--mini-batch-size"] == "128", given
for ms in (90.0, 5.0, 6.0, 7.0):
    print(f"Finished training it 1/4 of epoch 0, {ms:.2f} ms/it, loss 0.69")
"""
    peer = checkout(tmp_path, script)
    spec = RunSpec("criteo-kaggle", "x", "dlrm", "single", 16, None, 0, hyper=HYPER)
    assert peer.step_ms(spec, (7, 9), 13, 200, 3, False) == 6.0
    assert len(peer.version) == 7


def test_a_peer_that_fails_is_an_error_with_its_last_line(tmp_path):
    peer = checkout(tmp_path, "raise SystemExit('no tensorboard here')")
    spec = RunSpec("criteo-kaggle", "x", "dlrm", "single", 16, None, 0, hyper=HYPER)
    with pytest.raises(BenchError, match=r"dlrm_s_pytorch\.py failed: no tensorboard here"):
        peer.step_ms(spec, (7, 9), 13, 200, 3, False)
    with pytest.raises(BenchError, match="git clone"):
        assert DlrmScript(tmp_path / "absent", sys.executable).version


def test_a_peer_without_a_commit_is_asked_before_anything_is_timed(tmp_path, monkeypatch, schema, splits):
    """A copy of the checkout without .git, as a GPU host has it: its commit is unknown, and all rounds are kept."""
    (tmp_path / "dlrm_s_pytorch.py").write_text("for ms in (9.0, 5.0): print(f'{ms} ms/it')")
    asked = []
    monkeypatch.setattr(DlrmScript, "version", property(lambda peer: asked.append(version(peer)) or asked[-1]))
    monkeypatch.setattr(step, "full_scale_rows", lambda *_, **__: asked.append("rows") or (schema, splits["train"]))
    found = BENCHMARKS["step"](Settings(CPU, DlrmScript(tmp_path, sys.executable)), rounds=1, batches=2)
    assert asked == ["unknown", "rows"]
    assert [one.against.split()[1] for one in found] == ["unknown,", "unknown,"]


def test_only_preparation_needs_polars():
    """On a GPU host's image there is none; every other benchmark must be importable, and its rows made."""
    code = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"polars", "snakemake", "mlflow", "jsonschema", "matplotlib"}:
            raise ImportError(name)
import torch
sys.meta_path.insert(0, Absent())
import benchmarks.__main__
from benchmarks import BENCHMARKS
from benchmarks.full_scale import full_scale_rows
full_scale_rows("avazu", 10, torch.device("cpu"))
needy = []
for name in BENCHMARKS:
    try:
        BENCHMARKS[name]
    except ImportError:
        needy.append(name)
print(*needy)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) <= {"preparation", "preparation-memory", "coverage"}  # two of rows, one of verdicts


def test_the_command_prints_and_stores_the_table_of_its_benchmark(tmp_path, monkeypatch, capsys):
    @benchmark("toy")
    def toy(settings: Settings) -> list[Measure]:
        return [measure(case=f"{settings.rows} rows, {settings.batch_sizes}")]

    try:
        words = ["toy", "--device", "cpu", "--rows", "3", "4", "--out", str(tmp_path / "toy.csv")]
        assert main(words) == 0
    finally:
        BENCHMARKS.remove("toy")
    assert "| step: (3, 4) rows, (128,) |" in capsys.readouterr().out
    assert [one.ours for one in read_measures(tmp_path)] == [2.0]


def test_the_command_says_what_is_missing_in_a_sentence(capsys):
    assert main(["step", "--device", "cpu"]) == 2
    assert "benchmarks step: error: this benchmark needs a peer: give --dlrm" in capsys.readouterr().err


def test_tables_are_stored_and_read_again(tmp_path):
    one, other = measure(), measure(benchmark="overhead", ratio=0.124)
    write_measures([one], tmp_path / "a.csv")
    write_measures([other], tmp_path / "b.csv")
    read = read_measures(tmp_path)
    assert as_markdown(read) == as_markdown([one, other])
    assert "| 2.50 |" in as_markdown(read) and "| +12.4% |" in as_markdown(read)
    with pytest.raises(BenchError, match="has no tables"):
        read_measures(tmp_path / "empty")


def test_two_results_folders_are_compared_to_the_bit(tmp_path, capsys, monkeypatch):
    frame = pd.DataFrame({"dataset": ["avazu", "avazu"], "cell": ["a", "b"], "auc": [0.5, 0.7], "seconds": [1.0, 2.0]})
    changed = frame.assign(auc=[0.5, np.nextafter(0.7, 1)], seconds=[3.0, 4.0])[::-1]
    for name, table in (("before", frame), ("same", frame.assign(auc=frame["auc"])[::-1]), ("after", changed)):
        (tmp_path / name / "tables").mkdir(parents=True)
        table.to_parquet(tmp_path / name / "tables" / "cells.parquet")

    def compared(*words) -> int:
        monkeypatch.setattr(sys, "argv", ["same_tables", *map(str, words)])
        return same_tables.main()

    assert compared(tmp_path / "before", tmp_path / "same") == 0
    assert compared(tmp_path / "before", tmp_path / "after", "--skip", "seconds") == 1
    assert "auc differs in 1 of 2 rows" in (said := capsys.readouterr().out) and "seconds" not in said


def test_the_page_says_what_is_not_measured(tmp_path):
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{MARKS[0]}old\n{MARKS[1]}\nafter\n")
    write_measures([measure(), measure(benchmark="pack", device="NVIDIA H200")], tmp_path / "a.csv")
    update_page(page, tmp_path)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    missing = text.partition("Not measured yet: ")[2].partition(".\n")[0]
    assert "training step against facebookresearch/dlrm on a GPU" in missing and "exact AUC" in missing
    assert "pack" not in missing and "on a CPU;" not in missing.partition("overhead")[0]
    page.write_text("no marks")
    with pytest.raises(BenchError, match="has no lines"):
        update_page(page, tmp_path)
