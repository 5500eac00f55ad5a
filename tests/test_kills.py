"""Kills: whichever stage is cut off, the same command ends in the same bits and leaves nothing else behind."""

import os
import random
import signal

import pytest
import torch
from fake_results import make_results
from kill_at import killed, numbers
from staged import STEPS, call, commands, give, made

from mlet_bench.files import read_json, write_sealed
from mlet_bench.locks import owned
from mlet_bench.signals import stop_at_once, stop_requests

SEEDED = random.Random(20260123)
ENDS = {"SIGKILL": -9, "SIGTERM": 143, "SIGHUP": 129}
RENAME = "mlet_bench.files:os.replace"
STEP = "mlet_bench.training.step:TrainStep.__call__"
STORED = 5  # checkpoints of a run before its own files are written


MOMENTS = [
    ("synthesize", RENAME, 2),
    ("prepare", "mlet_bench.data.base:DataSet.rows", 1),
    ("prepare", "mlet_bench.data.encode:Vocabulary.write", SEEDED.randint(2, 21)),
    ("prepare", "mlet_bench.data.encode:SplitFile.write", 2),
    ("prepare", "shutil:rmtree", 2),
    ("train", STEP, SEEDED.randint(2, STEPS)),
    ("train", STEP, STEPS + SEEDED.randint(2, STEPS)),
    ("deploy", RENAME, SEEDED.randint(1, 4)),
    ("evaluate", RENAME, SEEDED.randint(1, 4)),
    ("spectrum", RENAME, SEEDED.randint(1, 4)),
    ("cell", STEP, STEPS + SEEDED.randint(2, STEPS)),
    ("cell", "mlet_bench.evaluation.deploy:save_arrays", 2),
    ("cell", "mlet_bench.evaluation.spectrum:Spectrum.write", 1),
    ("cell", "mlet_bench.stages.evaluate:predict_run", 2),
    ("cell", "mlet_bench.stages.evaluate:judge_run", 2),
    ("cell", "mlet_bench.stages.cell:note_made_by", SEEDED.randint(1, 6)),
    ("cell", "mlet_bench.stages.cell:write_index", 1),
]
# Trained to the end, its files being written: there SIGTERM comes too late to stop anything.
LATE = [
    ("train", RENAME, STORED + SEEDED.randint(1, 4)),
    ("train", "mlet_bench.training.loop:drop_checkpoint", 1),
]


@pytest.mark.parametrize(
    ("how", "stage", "place", "at"),
    [(how, *moment) for how in ("SIGKILL", "SIGTERM") for moment in MOMENTS]
    + [("SIGKILL", *moment) for moment in LATE],
)
def test_a_stage_that_was_cut_off_ends_in_the_same_bits(whole, tmp_path, how, stage, place, at):
    cut = tmp_path / "cut"
    stages = commands(cut)
    cut.mkdir()
    for earlier in list(stages)[: list(stages).index(stage)]:
        give(whole, cut, earlier)
    done = killed(place, at, how, *stages[stage])
    assert done.returncode == ENDS[how], done.stderr
    assert call(*stages[stage]) == 0
    assert numbers(cut) == {name: found for name, found in numbers(whole).items() if name in made(stage)}


@pytest.mark.parametrize(("how", "status"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_stopped_training_says_where_and_goes_on_from_there(whole, tmp_path, how, status):
    if signal.getsignal(signal.Signals[how]) is signal.SIG_IGN:
        pytest.skip(f"{how} is ignored here, as under nohup, and so by what is started")
    give(whole, tmp_path, "prepare")
    words = [word for word in commands(tmp_path)["train"]]
    words[words.index("--checkpoint-seconds") + 1] = 3600  # no checkpoint by itself
    done = killed(STEP, 25, how, *words)
    assert done.returncode == status and "Traceback" not in done.stderr
    assert "mlet-bench train: stopped at step 30 of 60 and stored; the same command goes on" in done.stderr
    run = tmp_path / "runs" / "seed0"
    assert [file.name for file in run.iterdir()] == ["checkpoint.pt"]
    again = killed(STEP, 31, "SIGKILL", *words)  # 30 steps are left of seed 0: the 31st is seed 1's first
    assert again.returncode == -9
    assert (run / "model.safetensors").exists() and not (
        run / "checkpoint.pt"
    ).exists()  # done, whatever becomes of the next


@pytest.mark.parametrize(("command", "place"), [("train", "runs"), ("cell", "cell")])
def test_seeds_that_were_done_are_not_trained_again(whole, tmp_path, command, place):
    give(whole, tmp_path, "prepare")
    words = commands(tmp_path)[command]
    assert killed(STEP, STEPS + 1, "SIGKILL", *words).returncode == -9
    again = killed(STEP, STEPS + 1, "SIGKILL", *words)
    assert again.returncode == 0, "seed 0 was trained again"
    assert "seed1: trained" in again.stdout
    found, expected = numbers(tmp_path / place), numbers(whole / place)
    assert found and found.items() <= expected.items()


def test_what_other_code_trained_is_not_gone_on_with(whole, tmp_path):
    give(whole, tmp_path, "prepare")
    words = commands(tmp_path)["train"]
    assert killed(STEP, STEPS + 20, "SIGKILL", *words).returncode == -9
    done, begun = tmp_path / "runs" / "seed0" / "provenance.json", tmp_path / "runs" / "seed1" / "checkpoint.pt"
    write_sealed(done, read_json(done, "train it") | {"code": "of last week"})
    torch.save(torch.load(begun, weights_only=True) | {"code": "of last week"}, begun)
    assert killed(STEP, 2 * STEPS, "SIGKILL", *words).returncode == -9  # both seeds begin again, from their first step


@pytest.mark.parametrize(
    ("place", "at"),
    [("mlet_bench.training.tuning:shutil.rmtree", 3), ("mlet_bench.training.tuning:drop_candidates", 2)],
)
def test_a_tuned_cell_that_was_cut_off_while_tidying_leaves_nothing_more(whole, tmp_path, place, at):
    give(whole, tmp_path, "prepare")
    words = ("train", "--data", tmp_path / "data", "--arm", "single-lr-tuned", "--dim", 4, "--seed", 0, 1)
    words += ("--embedding-lr-factors", 1, 4, "--device", "cpu", "--validations", 2, "--batch-size", 64)
    assert call(*words, "--out", tmp_path / "undisturbed" / "seed{seed}") == 0
    words = (*words, "--out", tmp_path / "cut" / "seed{seed}")
    assert killed(place, at, "SIGKILL", *words).returncode == -9
    assert call(*words) == 0
    assert numbers(tmp_path / "cut") == numbers(tmp_path / "undisturbed")


def test_a_training_under_nohup_outlives_its_terminal():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with stop_requests() as asked, stop_at_once():
            os.kill(os.getpid(), signal.SIGHUP)
            assert asked() is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_two_trainings_do_not_share_a_folder(whole, tmp_path, capsys):
    give(whole, tmp_path, "prepare")
    words = commands(tmp_path)["train"]
    with owned(tmp_path / "runs" / "seed1", "training"):
        assert call(*words) == 2
    assert "another process is training in" in capsys.readouterr().err
    assert call(*words) == 0


@pytest.mark.parametrize(
    ("how", "command", "place", "at"),
    [
        ("SIGKILL", "sync", "mlflow:MlflowClient.log_batch", 3),
        ("SIGTERM", "sync", "mlflow:MlflowClient.log_batch", 2),
        ("SIGKILL", "report", RENAME, SEEDED.randint(1, 20)),
        pytest.param("SIGTERM", "report", RENAME, SEEDED.randint(1, 20), marks=pytest.mark.stress),
    ],
)
def test_report_and_sync_that_were_cut_off(tmp_path, how, command, place, at):
    results = make_results(tmp_path)
    assert killed(place, at, how, command, results).returncode == ENDS[how]
    assert call(command, results) == 0
    assert not list(results.rglob("*.partial*"))
    if command == "sync":
        again = killed("mlet_bench.tracking.sync:sync", 99, "SIGKILL", "sync", results)
        assert "0 runs created, 0 updated, 4 unchanged" in again.stdout
