"""Files outlive a power cut: written, fsync, renamed, fsync of the folder, for whatever a command writes."""

import errno
import os
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from staged import call, commands, give

from mlet_bench import files
from mlet_bench.errors import BenchError
from mlet_bench.files import atomic, fsync_tree, link_or_copy, rename, write_json
from mlet_bench.parquet import write_table
from mlet_bench.training.checkpoint import save_checkpoint


@pytest.fixture
def calls(monkeypatch):
    """What is done to the disk, in order: ("fsync", path, bytes), ("rename", source, target)."""
    done, fsync, replace, plain = [], os.fsync, os.replace, os.rename

    def noting_fsync(descriptor):
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        done.append(("fsync", path, path.stat().st_size if path.is_file() else None))
        fsync(descriptor)

    def noting(original):
        def renaming(source, target):
            done.append(("rename", Path(source), Path(target)))
            original(source, target)

        return renaming

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "replace", noting(replace))
    monkeypatch.setattr(os, "rename", noting(plain))
    return done


def assert_safe(done):
    """Each rename of a file has its whole content on the disk before, and its folder after."""
    renamed = [place for place, (kind, *_) in enumerate(done) if kind == "rename"]
    for place in renamed:
        _, source, target = done[place]
        before = [size for kind, path, size in done[:place] if kind == "fsync" and path == source]
        assert before, f"{target} was renamed before it was on the disk"
        if target.is_file() and not any(done[later][2] == target for later in renamed if later > place):
            assert before[-1] == target.stat().st_size, f"{target} was written to after its fsync"
        kind, path, _ = done[place + 1]
        assert (kind, path) == ("fsync", target.parent), f"{target}'s folder was not"
    return len(renamed)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_json(path, {"a": 1}),
        lambda path: write_table(path, pa.table({"a": [1, 2]})),
        lambda path: link_or_copy(Path(__file__), path),
        lambda path: save_checkpoint(path, {"model": {"w": torch.zeros(9)}}),
    ],
)
def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_name_before_it_counts(tmp_path, calls, write):
    write(tmp_path / "new" / "folder" / "file.out")
    assert assert_safe(calls) == 1
    made = [path for kind, path, _ in calls if kind == "fsync" and path.is_dir()]
    assert {tmp_path, tmp_path / "new"} <= set(made), "the folders' own names"
    first = next(place for place, (kind, *_) in enumerate(calls) if kind == "rename")
    assert [kind for kind, *_ in calls[first - 1 :]] == ["fsync", "rename", "fsync"]


@pytest.mark.parametrize("stage", ["synthesize", "train", "deploy", "evaluate", "spectrum", "cell"])
def test_whatever_a_command_writes(whole, tmp_path, calls, stage):
    for earlier in list(commands(tmp_path))[: list(commands(tmp_path)).index(stage)]:
        give(whole, tmp_path, earlier)
    calls.clear()
    assert call(*commands(tmp_path)[stage]) == 0
    written = {target for kind, _, target in calls if kind == "rename"}
    assert assert_safe(calls) >= len(written) > 0
    found = {path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"}
    before = {tmp_path / path.relative_to(whole) for path in whole.rglob("*")}
    assert found - before <= written, "a file that was not renamed into its place"


def test_a_folder_that_is_renamed_as_a_whole(tmp_path, calls):
    work = tmp_path / "work"
    (work / "new" / "vocabulary").mkdir(parents=True)
    for name in ("train.parquet", "vocabulary/C1.parquet"):
        (work / "new" / name).write_text(name)
    fsync_tree(work / "new")
    rename(work / "new", tmp_path / "data")
    kinds = [(kind, path.relative_to(tmp_path).as_posix()) for kind, path, _ in calls]
    at = kinds.index(("rename", "work/new"))
    assert set(kinds[:at]) == {
        ("fsync", f"work/new{name}") for name in ("", "/train.parquet", "/vocabulary", "/vocabulary/C1.parquet")
    }
    assert set(kinds[at + 1 :]) == {("fsync", "."), ("fsync", "work")}


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_what_the_disk_did_not_take_is_not_renamed(tmp_path, monkeypatch, number):
    def failing(descriptor):
        raise OSError(number, os.strerror(number))

    (tmp_path / "out.json").write_text("as it was")
    monkeypatch.setattr(files.os, "fsync", failing)
    with pytest.raises(BenchError, match=r"out\.json cannot be written"):
        write_json(tmp_path / "out.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]
    assert (tmp_path / "out.json").read_text() == "as it was"


def test_a_file_system_that_knows_no_fsync(tmp_path, monkeypatch):
    def unknown(descriptor):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(files.os, "fsync", unknown)
    write_json(tmp_path / "out.json", {})
    assert (tmp_path / "out.json").exists()


def test_what_is_unreadable_is_a_sentence(tmp_path):
    path = tmp_path / "some.json"
    for content, reason in ((b"", "it is empty"), (b"\xff", "codec"), (b"[" * 100_000, "recursion")):
        path.write_bytes(content)
        with pytest.raises(BenchError, match=rf"some\.json is not valid JSON \(.*{reason}.*\): do that"):
            files.read_json(path, "do this", "do that")
    path.unlink()
    path.mkdir()
    with pytest.raises(BenchError, match=r"some\.json cannot be read \(Is a directory\)"):
        files.read_json(path, "do this")


def test_a_failed_write_is_known_by_the_words_of_torch(tmp_path):
    for said in ("basic_ios::clear: iostream error", "[enforce fail at inline_container.cc:858] . unexpected pos 64"):
        with (
            pytest.raises(BenchError, match=r"checkpoint\.pt cannot be written .* bytes free.*make room"),
            atomic(tmp_path / "checkpoint.pt"),
        ):
            raise RuntimeError(said)
