"""Faults: a full disk, damaged files, no memory. Each is a sentence, and nothing is left half-written."""

import json
import os
import resource
import shutil
import subprocess
import sys

import forked
import pyarrow as pa
import pytest
import torch
from full import with_full
from kill_at import numbers
from staged import call, commands, give

from mlet_bench import files, parquet, runs
from mlet_bench.data.dataset import load_split
from mlet_bench.errors import BenchError, out_of_memory
from mlet_bench.files import atomic, writing
from mlet_bench.spec import DatasetSchema
from mlet_bench.stages import train
from mlet_bench.training.checkpoint import save_checkpoint

STAGES = ("synthesize", "prepare", "train", "deploy", "evaluate", "spectrum")


@pytest.fixture
def place(whole, tmp_path):
    """Make a folder where a stage is about to run."""

    def before(stage):
        folder = tmp_path / "place"
        folder.mkdir()
        for earlier in STAGES[: STAGES.index(stage)]:
            give(whole, folder, earlier)
        return folder

    return before


@pytest.mark.parametrize(
    ("stage", "limit"), [("synthesize", 1 << 16), ("prepare", 1 << 13), ("train", 1 << 16), ("deploy", 1 << 16)]
)
def test_a_file_that_cannot_grow_is_named(place, stage, limit):
    """The limit of a file's size stands for the disk's: writes fail in the same place, in each library's own way."""
    folder = place(stage)
    before = numbers(folder)
    done = forked.run(*commands(folder)[stage], largest_file=limit)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "cannot be written" in done.stderr and "bytes free" in done.stderr and "make room" in done.stderr
    left = numbers(folder).keys() - before.keys()
    assert {name.rpartition("/")[2] for name in left} <= {"failed.json"}, left
    assert call(*commands(folder)[stage]) == 0  # and once there is room, it goes


def test_a_full_disk(tmp_path, place):
    """The same on a disk of one megabyte, where one can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True).returncode:
        pytest.skip("no right to mount a small disk here")
    try:
        folder = place("train")
        words = [str(word).replace(str(folder / "runs"), str(disk)) for word in commands(folder)["train"]]
        done = forked.run(*words)
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
        assert f"{disk}/seed" in done.stderr and "bytes" in done.stderr and "make room" in done.stderr
        assert not list(disk.rglob("*.partial*"))
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        done = forked.run(*words)
        assert done.returncode == 2 and "Read-only file system" in done.stderr and str(disk) in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_full_dev_shm_and_a_full_tmp_change_nothing(place, whole):
    """Libraries may use them for what processes share, or for files of an hour."""
    folder = place("train")
    (folder / "temporary").mkdir()
    full = [*with_full("/dev/shm"), *with_full(folder / "temporary")]
    words = [sys.executable, "-m", "mlet_bench", *map(str, commands(folder)["cell"])]
    temporary = os.environ | {"TMPDIR": str(folder / "temporary")}
    done = subprocess.run([*full, *words], capture_output=True, text=True, env=temporary)
    assert done.returncode == 0, done.stderr
    right = {name: found for name, found in numbers(whole).items() if name.startswith("cell/")}
    assert right and {name: found for name, found in numbers(folder).items() if name.startswith("cell/")} == right


def test_a_disk_that_is_full_at_any_byte_of_a_checkpoint(tmp_path):
    """torch words the last bytes in another way than the first."""
    state = {"model": {"weight": torch.arange(3000.0)}, "step": {}, "progress": {"curve": [0.5] * 50}}
    save_checkpoint(tmp_path, state)
    size = (tmp_path / "checkpoint.pt").stat().st_size
    (tmp_path / "checkpoint.pt").unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    refused = 0
    for limit in (*range(0, size, size // 20), *range(size - 100, size)):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            save_checkpoint(tmp_path, state)
        except BenchError as error:
            refused += "checkpoint.pt cannot be written" in str(error) and "make room" in str(error)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert list(tmp_path.iterdir()) == [], f"at {limit} of {size} bytes"
    assert refused >= 120


@pytest.mark.parametrize(
    "words",
    [
        ("synthesize", "avazu", "--rows", 600, "--out", "FILE/raw.txt"),
        ("prepare", "avazu", "--raw", "PLACE/raw.txt", "--out", "FILE/data"),
        ("train", "--data", "PLACE/data", "--arm", "single", "--dim", 4, "--out", "FILE/run"),
    ],
)
def test_a_file_in_place_of_the_folder(place, words, capsys):
    folder = place("train")
    (folder / "file").write_text("somebody's")
    words = [str(word).replace("FILE", f"{folder}/file").replace("PLACE", str(folder)) for word in words]
    assert call(*words) == 2
    assert str(folder / "file") in capsys.readouterr().err
    assert (folder / "file").read_text() == "somebody's"


def test_room_is_asked_for_before_a_large_file_is_begun(tmp_path, monkeypatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 99}))
    with (
        pytest.raises(BenchError, match=r"model needs 100 bytes \(.* has 99 bytes free\): make room"),
        atomic(tmp_path / "model", 100),
    ):
        pytest.fail("begun")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_about_writing_is_passed_on(tmp_path):
    for error in (
        ValueError("3"),
        FileNotFoundError(2, "none", "elsewhere"),
        PermissionError(13, "no", "/elsewhere/x"),
    ):
        with pytest.raises(type(error)), writing(tmp_path / "out"):
            raise error


def flip(path, place=0.5):
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0x10
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


SEED = "runs/seed0"


@pytest.mark.parametrize("damage", [flip, cut])
@pytest.mark.parametrize(
    ("stage", "file", "advice"),
    [
        ("train", "data/train.parquet", "prepare it again"),
        ("train", "data/schema.json", "schema.json"),
        ("deploy", f"{SEED}/model.safetensors", "train the run"),
        ("deploy", f"{SEED}/spec.json", "spec.json"),
        ("evaluate", "data/vocabulary/site_id.parquet", "prepare it again"),
        ("evaluate", f"{SEED}/deployed.safetensors", "deploy"),
        ("evaluate", f"{SEED}/deployed.json", "deploy"),
    ],
)
def test_a_damaged_file_is_named(place, capsys, stage, file, advice, damage):
    folder = place(stage)
    damage(folder / file)
    before = numbers(folder)
    assert call(*commands(folder)[stage]) == 2
    error = capsys.readouterr().err
    assert str(folder / file) in error.replace("/runs/seed0/../../", "/") and advice in error
    made = {name for name in numbers(folder).keys() - before.keys() if not name.startswith("runs/seed1/")}
    assert made <= {f"{SEED}/failed.json"}  # the other seed, whose files are whole, is gone on with


def test_a_flipped_bit_of_the_data_is_refused_or_changes_no_number(whole, tmp_path):
    """Anywhere in the file: what is not refused lies in notes that nothing reads."""
    give(whole, tmp_path, "prepare")
    schema = DatasetSchema.read(tmp_path / "data")
    right, path = load_split(tmp_path / "data", schema, "val"), tmp_path / "data" / "val.parquet"
    content, refused = path.read_bytes(), 0
    for spot in range(100):
        flip(path, spot / 100)
        try:
            found = load_split(tmp_path / "data", schema, "val")
        except BenchError:
            refused += 1
        else:
            assert torch.equal(found.ids, right.ids) and torch.equal(found.dense, right.dense)
            assert torch.equal(found.label, right.label)
        path.write_bytes(content)
    assert refused > 30


def test_a_flipped_bit_of_a_table_of_a_run_is_refused_or_changes_no_number(tmp_path):
    path = tmp_path / "curve.parquet"
    right = pa.table({"step": range(50), "val_auc": [0.7 + 0.001 * step for step in range(50)]})
    parquet.write_table(path, right)
    content, refused = path.read_bytes(), 0
    for spot in range(100):
        flip(path, spot / 100)
        try:
            found = parquet.read_table(path, "train the run again")
        except BenchError as error:
            assert str(path) in str(error) and "train the run again" in str(error)
            refused += 1
        else:
            assert [column.to_pylist() for column in found.columns] == [column.to_pylist() for column in right.columns]
        path.write_bytes(content)
    assert refused > 30


def test_a_flipped_bit_of_sealed_numbers_is_refused_or_changes_none(tmp_path):
    path, right = (
        tmp_path / "metrics.json",
        {"test": {"auc": 0.7512345, "rows": 150}, "by_seed": {0: 1e-7, 10: 0.5, 2: None}},
    )
    files.write_sealed(path, right)
    plain = files.read_json(path, "evaluate the run again")
    assert plain == json.loads(json.dumps(right))
    content, accepted = path.read_bytes(), 0
    for spot in range(len(content)):
        path.write_bytes(content[:spot] + bytes([content[spot] ^ 0x04]) + content[spot + 1 :])
        try:
            found = files.read_json(path, "evaluate the run again")
        except BenchError as error:
            assert str(path) in str(error) and "evaluate the run again" in str(error)
        else:
            accepted += 1
            assert plain.items() <= found.items()
    assert accepted < 10  # the name of the seal itself


@pytest.mark.parametrize("damage", [flip, cut])
def test_a_damaged_raw_file_is_named(whole, tmp_path, capsys, damage):
    give(whole, tmp_path, "synthesize")
    damage(tmp_path / "raw.txt")
    assert call(*commands(tmp_path)["prepare"]) == 2
    assert str(tmp_path / "raw.txt") in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("damage", [flip, cut])
def test_a_damaged_checkpoint_is_named(place, capsys, damage):
    from kill_at import killed

    folder = place("train")
    words = commands(folder)["train"]
    assert killed("mlet_bench.training.step:TrainStep.__call__", 40, "SIGKILL", *words).returncode == -9
    checkpoint = folder / SEED / "checkpoint.pt"
    damage(checkpoint)
    assert call(*words) == 2
    assert f"{checkpoint} is damaged" in capsys.readouterr().err
    checkpoint.unlink()
    assert call(*words) == 0


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to"),
            "out of memory on the GPU (CUDA out of",
        ),
        (MemoryError("Unable to allocate 17.3 GiB"), "out of memory on this machine (Unable to allocate 17.3 GiB)"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory on this machine"),
    ],
)
def test_no_memory_is_a_sentence_and_the_reason_of_the_failure(place, monkeypatch, capsys, error, sentence):
    def full(*_, **__):
        raise error

    folder = place("train")
    monkeypatch.setattr(train, "train_together", full)
    assert call(*commands(folder)["train"]) == 2
    said = capsys.readouterr().err
    assert sentence in said and "use a smaller k" in said
    assert ("device: cpu" in said) == ("GPU" in sentence)
    failed = json.loads((folder / SEED / "failed.json").read_text())
    assert sentence in failed["error"] and failed["kind"] == "memory"
    assert [file.name for file in (folder / SEED).iterdir()] == ["failed.json"]


def test_other_errors_of_torch_are_none_of_memory():
    assert out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None


def test_a_stage_that_passes_leaves_the_failure_of_its_sibling(whole, place, capsys):
    folder = place("spectrum")
    (folder / SEED / "metrics.json").unlink()
    cut(folder / "data" / "test.parquet")
    stages_of = commands(folder)
    assert call(*stages_of["evaluate"]) == 2
    assert call(*stages_of["spectrum"]) == 0  # needs no test rows
    assert json.loads((folder / SEED / "failed.json").read_text())["stage"] == "evaluate"
    shutil.copy(whole / "data" / "test.parquet", folder / "data")
    assert call(*stages_of["evaluate"]) == 0
    assert not (folder / SEED / "failed.json").exists()


def test_a_failure_is_told_although_it_cannot_be_recorded(place, capsys, monkeypatch):
    def no_room(path, value):
        raise BenchError("no room")

    folder = place("deploy")
    cut(folder / SEED / "model.safetensors")
    monkeypatch.setattr(runs, "write_sealed", no_room)
    assert call(*commands(folder)["deploy"]) == 2
    assert "model.safetensors" in capsys.readouterr().err
