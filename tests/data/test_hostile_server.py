"""A server that answers in bad faith: a sentence, status 2, nothing that passes for the file, and the pieces stay."""

import gzip
import resource
from dataclasses import replace

import pytest
from data.test_download import REMOTE, assert_whole
from hub import CONTENT, HOSTILE
from staged import call

from mlet_bench.data import DATASETS, piece
from mlet_bench.data.download import fetch
from mlet_bench.errors import BenchError

PIECE = len(CONTENT) // 4


@pytest.fixture
def command(monkeypatch):
    """``mlet-bench download`` of the test's file; what it returns."""
    monkeypatch.setattr(piece, "PATIENCE", 0.5)
    avazu = DATASETS["avazu"]
    monkeypatch.setattr(avazu, "downloads", {REMOTE.source: (REMOTE,)})
    return lambda folder: call("download", REMOTE.source, "--out", folder)


@pytest.mark.parametrize("trouble", sorted(HOSTILE.keys() - {"packed"}))
def test_a_server_of_bad_faith(hub, impatient, command, tmp_path, capsys, trouble):
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    hub.troubles = [None, *[trouble] * 10_000]
    status = command(tmp_path)
    said = capsys.readouterr().err
    assert status == 2 and "Traceback" not in said and "data.gz could not be fetched (" in said, said
    assert "it goes on where it broke off" in said and "give its path in the configuration" in said
    assert {path.name for path in tmp_path.iterdir()} == {"data.gz.lock", "data.gz.part"}
    assert (tmp_path / "data.gz.part").read_bytes() == CONTENT[:PIECE]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 60_000  # kB
    hub.troubles = []
    assert command(tmp_path) == 0
    assert_whole(tmp_path / "data.gz")


@pytest.mark.parametrize("size", [-1, 1 << 62, "many", None, len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_size_that_is_wrong(hub, impatient, command, tmp_path, capsys, size):
    hub.sizes["data.gz"] = size
    assert command(tmp_path) == 2
    assert "Traceback" not in capsys.readouterr().err and not (tmp_path / "data.gz").exists()
    hub.sizes.clear()
    assert command(tmp_path) in (0, 2)  # what was fetched by a wrong size may have to be removed first
    assert command(tmp_path) == 0
    assert_whole(tmp_path / "data.gz")


@pytest.mark.parametrize("md5", [REMOTE.md5, None])
def test_content_that_changes_between_resumes(hub, tmp_path, md5):
    """The sum tells, or without one gzip's own; the mixture is removed and the next call fetches the new file."""
    versions = [gzip.compress(bytes([number]) * 10 + CONTENT, 0)[: len(CONTENT)] for number in (1, 2)]
    whole = gzip.compress(CONTENT, 0)
    hub.files["owner/set/data.gz"] = versions[0]
    hub.troubles = [None, None, "missing"]
    remote = replace(REMOTE, md5=md5)
    with pytest.raises(BenchError, match="could not be fetched"):
        fetch(remote, tmp_path)
    hub.files["owner/set/data.gz"] = whole if md5 is None else CONTENT
    with pytest.raises(BenchError, match=r"is not the file of source 'test' .* and was removed: try again"):
        fetch(remote, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"data.gz.lock"}
    assert_whole(fetch(remote, tmp_path), hub.files["owner/set/data.gz"])


def test_a_compressed_transfer_of_the_right_bytes_is_taken(hub, tmp_path):
    hub.troubles = ["packed"] * 4
    assert_whole(fetch(REMOTE, tmp_path))
