"""Kills: whichever stage is cut off, the same command ends in the same bits and leaves nothing else behind."""

import json
import random

import pytest
from fake_results import make_results
from kill_at import killed, numbers
from staged import STEPS, call, commands, give, made

from mlet_bench.owned import owned

SEEDED = random.Random(20260123)
ENDS = {"SIGKILL": -9, "SIGTERM": 143}
RENAME = "mlet_bench.files:os.replace"
STEP = "mlet_bench.training.step:TrainStep.__call__"


MOMENTS = [
    ("synthesize", RENAME, 2),
    ("prepare", "mlet_bench.data.encode:parse", 1),
    ("prepare", "mlet_bench.data.vocabulary:_write_vocabulary", SEEDED.randint(2, 21)),
    ("prepare", "mlet_bench.data.assemble:_write_group", 2),
    ("prepare", "shutil:rmtree", 4),
    ("train", STEP, SEEDED.randint(2, STEPS)),
    ("train", STEP, STEPS + SEEDED.randint(2, STEPS)),
    ("collapse", RENAME, SEEDED.randint(1, 4)),
    ("evaluate", RENAME, SEEDED.randint(1, 4)),
    ("compare", RENAME, SEEDED.randint(1, 2)),
    ("spectrum", RENAME, SEEDED.randint(1, 4)),
]
# Trained to the end, and being put in its place: there SIGTERM comes too late to stop anything.
LATE = [
    ("train", "mlet_bench.training.unfinished:os.link", SEEDED.randint(1, 8)),
    ("train", "mlet_bench.stages:shutil.rmtree", 2),
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


def test_a_stopped_training_says_where_and_goes_on_from_there(whole, tmp_path):
    give(whole, tmp_path, "prepare")
    words = [word for word in commands(tmp_path)["train"]]
    words[words.index("--checkpoint-seconds") + 1] = 3600  # no checkpoint by itself
    done = killed(STEP, 25, "SIGTERM", *words)
    assert done.returncode == 143 and "Traceback" not in done.stderr
    assert "mlet-bench train: stopped at step 30 of 60 and stored; the same command goes on" in done.stderr
    run = tmp_path / "runs" / "seed0"
    assert [file.name for file in (run / "unfinished").iterdir() if file.suffix == ".pt"] == ["checkpoint.pt"]
    assert not (run / "failed.json").exists()  # a stop is no failure
    again = killed(STEP, 31, "SIGKILL", *words)  # 30 steps are left of seed 0: the 31st is seed 1's first
    assert again.returncode == -9
    assert (run / "unfinished" / "model.safetensors").exists()  # kept until the whole cell is done


def test_seeds_that_were_done_are_not_trained_again(whole, tmp_path):
    """Snakemake deletes a failed job's files, those of finished seeds too."""
    give(whole, tmp_path, "prepare")
    words = commands(tmp_path)["train"]
    assert killed(STEP, STEPS + 1, "SIGKILL", *words).returncode == -9
    for file in (tmp_path / "runs" / "seed0").glob("*.*"):
        file.unlink()
    again = killed(STEP, STEPS + 1, "SIGKILL", *words)
    assert again.returncode == 0, "seed 0 was trained again"
    assert "seed0: trained" in again.stdout
    expected = {name: found for name, found in numbers(whole).items() if name in made("train")}
    assert numbers(tmp_path / "runs").items() <= {name.removeprefix("runs/"): f for name, f in expected.items()}.items()


def test_what_other_code_trained_is_not_gone_on_with(whole, tmp_path):
    give(whole, tmp_path, "prepare")
    words = commands(tmp_path)["train"]
    assert killed(STEP, STEPS + 20, "SIGKILL", *words).returncode == -9
    for seed in (0, 1):
        note = tmp_path / "runs" / f"seed{seed}" / "unfinished" / "code.json"
        note.write_text(json.dumps({"code": "of last week"}))
    assert killed(STEP, STEPS + 1, "SIGKILL", *words).returncode == -9  # both seeds begin anew


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
