"""No damaged file of a run blocks it for good: what can be made again is, and advice that is followed helps."""

import shutil

import pytest
from kill_at import killed, numbers
from staged import call, commands

from mlet_bench.stages.cell import lacking

DAMAGES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "flipped": lambda content: content[: len(content) // 3] + b"\x17" + content[len(content) // 3 + 1 :],
    "other": lambda content: b"[]",
}
TRAINED = ("spec.json", "curve.parquet", "provenance.json", "model.safetensors", "data.json", "failed.json")
MADE = ("deployed.json", "deployed.safetensors", "spectrum.parquet", "factors.parquet", "metrics.json", "rare.parquet")


@pytest.fixture
def place(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "place")


def damage(path, how):
    before = path.read_bytes() if path.exists() else b"{}"
    path.write_bytes(DAMAGES[how](before))


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("file", [*TRAINED, *MADE, "scores.parquet", "made_by.json"])
def test_a_cell_makes_again_what_is_damaged(whole, place, capsys, file, how):
    damage(place / "cell/seed0" / file, how)
    assert call(*commands(place)["cell"]) == 0
    said = capsys.readouterr().err
    assert said.count("removed, as a damaged file is made again") <= 1 and "Traceback" not in said
    assert numbers(place / "cell") == numbers(whole / "cell")
    assert call(*commands(place)["cell"]) == 0 and "damaged" not in capsys.readouterr().err


@pytest.mark.parametrize("how", DAMAGES)
def test_several_at_once(whole, place, how):
    for file in (*TRAINED, *MADE):
        damage(place / "cell/seed1" / file, how)
    assert call(*commands(place)["cell"]) == 0
    assert numbers(place / "cell") == numbers(whole / "cell")


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_index_is_lacking_and_written_again(whole, place, how):
    index = place / "cell/runs.json"
    damage(index, how)
    assert lacking(index, "all") == ["runs.json"]
    assert call(*commands(place)["cell"]) == 0
    assert index.read_bytes() == (whole / "cell/runs.json").read_bytes() and lacking(index, "all") == []


def test_an_empty_file_is_lacking(place):
    (place / "cell/seed1/curve.parquet").write_bytes(b"")
    assert lacking(place / "cell/runs.json", "all") == ["seed1/curve.parquet"]


@pytest.mark.parametrize("how", ["empty", "flipped"])
@pytest.mark.parametrize("file", TRAINED)
def test_training_makes_again_what_is_damaged(whole, place, capsys, file, how):
    damage(place / "runs/seed0" / file, how)
    assert call(*commands(place)["train"]) == 0
    kept = {name: found for name, found in numbers(place / "runs").items() if name.rpartition("/")[2] in TRAINED}
    assert kept == {name: found for name, found in numbers(whole / "runs").items() if name in kept} and len(kept) == 8


@pytest.mark.parametrize("how", ["empty", "cut"])
@pytest.mark.parametrize("file", ["tuning.json", "curve.parquet", "candidates"])
def test_a_tuned_cell_too(whole, tmp_path, capsys, file, how):
    words = ["cell", "--data", whole / "data", "--arm", "single-lr-tuned", "--dim", 4, "--seed", 0, 1]
    words += ["--embedding-lr-factors", 1, 4, "--validations", 2, "--batch-size", 64, "--device", "cpu", "--out"]

    def at(name):
        return [*words, tmp_path / name / "seed{seed}", "--index", tmp_path / name / "runs.json"]

    assert call(*at("right")) == 0
    if file == "candidates":
        step = "mlet_bench.training.step:TrainStep.__call__"
        assert killed(step, 24, "SIGKILL", *at("cut")).returncode == -9
        damaged = sorted((tmp_path / "cut").rglob("candidates/*/*.[jp]*"))
        assert damaged
        for path in damaged:
            damage(path, how)
    else:
        assert call(*at("cut")) == 0
        damage(tmp_path / "cut/seed0" / file, how)
    assert call(*at("cut")) == 0
    right, found = numbers(tmp_path / "right"), numbers(tmp_path / "cut")
    assert {name: found[name] for name in found if "data.json" not in name} == {
        name: right[name] for name in right if "data.json" not in name
    }


FOLLOW = ("train", "deploy", "spectrum", "evaluate")


@pytest.mark.parametrize("file", [*TRAINED, *MADE, "scores.parquet"])
@pytest.mark.parametrize("tidied", [False, True])
def test_the_advice_helps(whole, place, capsys, file, tidied):
    """By hand: whichever stage complains, the stages that the sentences name end in the right numbers."""
    if tidied:  # as with keep: metrics
        for model in ("model.safetensors", "deployed.safetensors"):
            (place / "runs/seed0" / model).unlink()
    damage(place / "runs/seed0" / file, "cut")
    stages = commands(place)
    for _ in range(5):
        if call(*stages["evaluate"]) == 0:
            break
        said = capsys.readouterr().err
        advised = [name for name in FOLLOW if f"mlet-bench {name}'" in said or f"{name} the run" in said]
        advised += ["deploy"] * ("deploy it again" in said)
        assert advised, said
        call(*stages[advised[0]])
    else:
        pytest.fail(f"still: {capsys.readouterr().err}")
    for name in ("metrics.json", "scores.parquet", "rare.parquet"):
        assert (place / "runs/seed0" / name).read_bytes() == (whole / "runs/seed0" / name).read_bytes(), name


@pytest.mark.parametrize("how", ["empty", "cut", "other"])
def test_damaged_notes_of_where_the_data_are(place, capsys, how):
    damage(place / "runs/seed0/data.json", how)
    assert call("evaluate", place / "runs/seed0") == 2
    assert "data.json" in (said := capsys.readouterr().err) and "give --data" in said
    assert call("evaluate", place / "runs/seed0", "--data", place / "data") == 0


def test_another_run_s_damaged_files_are_left(place, capsys):
    damage(place / "runs/seed0/metrics.json", "cut")
    before = numbers(place / "runs")
    assert call(*commands(place)["train"], "--lr", 0.05) == 2
    assert "holds another run" in capsys.readouterr().err
    assert numbers(place / "runs") == before


def test_a_damaged_checkpoint_of_a_candidate_is_named_and_its_removal_helps(whole, tmp_path, capsys):
    words = ["train", "--data", whole / "data", "--arm", "single-lr-tuned", "--dim", 4, "--seed", 0]
    words += ["--embedding-lr-factors", 1, 4, "--validations", 6, "--batch-size", 8, "--device", "cpu"]
    words += ["--checkpoint-seconds", 0, "--out", tmp_path / "run"]
    assert killed("mlet_bench.training.step:TrainStep.__call__", 30, "SIGKILL", *words).returncode == -9
    checkpoint = tmp_path / "run/candidates/lr-x1-seed1000000/checkpoint.pt"
    damage(checkpoint, "cut")
    assert call(*words) == 2
    assert f"{checkpoint} is damaged" in (said := capsys.readouterr().err) and "delete it" in said
    checkpoint.unlink()
    assert call(*words) == 0
