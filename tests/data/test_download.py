"""Downloads, against a small Hugging Face on this machine that misbehaves on request."""

import gzip
import hashlib
import io
import json
import threading
import zipfile
from dataclasses import replace

import pytest
from hub import CONTENT

from mlet_bench.data import DATASETS
from mlet_bench.data.download import download, downloads, fetch
from mlet_bench.data.remote import RemoteFile
from mlet_bench.errors import BenchError

HALF = len(CONTENT) // 2
MD5 = hashlib.md5(CONTENT).hexdigest()
REMOTE = RemoteFile("test", "data.gz", hub="owner/set", md5=MD5)
LAST = len(CONTENT) - 1


def assert_whole(path, content=CONTENT):
    assert path.read_bytes() == content
    left = {file.name for file in path.parent.iterdir()}
    assert left == {"data.gz", "data.gz.lock", "data.gz.verified.json"}


def test_fresh_download_is_recorded(hub, tmp_path, capfd):
    path = fetch(REMOTE, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "data.gz"
    assert_whole(path)
    assert hub.asked == [(start, start + HALF // 2 - 1) for start in range(0, len(CONTENT), HALF // 2)]
    record = json.loads((path.parent / "data.gz.verified.json").read_text())
    assert (record["md5"], record["size"], record["order"]) == (MD5, len(CONTENT), "original")
    assert record["url"] == "https://huggingface.co/datasets/owner/set"
    assert "%" not in capfd.readouterr().err  # no bar in a pipe


def test_partial_file_is_gone_on_with(hub, tmp_path):
    (tmp_path / "data.gz.part").write_bytes(CONTENT[: HALF + 5])
    assert_whole(fetch(REMOTE, tmp_path))
    assert hub.asked[0][0] == HALF + 5 and len(hub.asked) == 2


def test_complete_partial_file_is_not_fetched_again(hub, tmp_path):
    (tmp_path / "data.gz.part").write_bytes(CONTENT)
    assert_whole(fetch(REMOTE, tmp_path))
    assert hub.asked == []


@pytest.mark.parametrize("kept", [b"x" * HALF, CONTENT + b"more"])
def test_partial_file_of_another_content_is_removed(hub, tmp_path, kept):
    (tmp_path / "data.gz.part").write_bytes(kept)
    with pytest.raises(BenchError, match=f"expected {MD5}.*was removed: try again"):
        fetch(REMOTE, tmp_path)
    assert not list(tmp_path.glob("data.gz.part*"))
    assert_whole(fetch(REMOTE, tmp_path))


@pytest.mark.parametrize("trouble", ["cut", "busy"])
def test_a_piece_that_fails_is_asked_for_again(hub, impatient, tmp_path, trouble):
    hub.troubles = [None, trouble, trouble]
    assert_whole(fetch(REMOTE, tmp_path))
    starts = [start for start, _ in hub.asked]
    assert starts == [HALF // 2 * i for i in (0, 1, 1, 1, 2, 3)]


@pytest.mark.parametrize("trouble", ["cut", "busy", "missing"])
def test_a_server_that_keeps_failing_is_given_up_and_the_pieces_stay(hub, impatient, tmp_path, trouble):
    hub.troubles = [None, None, *[trouble] * 100]
    with pytest.raises(BenchError) as error:
        fetch(REMOTE, tmp_path)
    for part in ("data.gz could not be fetched (", "goes on where it broke off", "owner/set", "source: file"):
        assert part in str(error.value)
    assert (tmp_path / "data.gz.part").read_bytes() == CONTENT[:HALF]
    hub.troubles = []
    assert_whole(fetch(REMOTE, tmp_path))


def test_a_file_that_is_not_there(hub, tmp_path):
    for remote in (replace(REMOTE, hub="owner/other"), replace(REMOTE, file="other.gz")):
        with pytest.raises(BenchError, match=f"{remote.file} could not be fetched .*/datasets/{remote.hub} and give"):
            fetch(remote, tmp_path)
        assert not list(tmp_path.glob("*.part"))


def test_no_server(hub, impatient, tmp_path):
    hub.close()
    with pytest.raises(BenchError, match=r"could not be fetched .*refused.*source: file"):
        fetch(REMOTE, tmp_path)


def test_existing_file_is_hashed_once_and_fetched_never(hub, tmp_path, monkeypatch):
    path = tmp_path / "data.gz"
    path.write_bytes(CONTENT)
    assert_whole(fetch(REMOTE, tmp_path))
    monkeypatch.setattr(RemoteFile, "check", lambda *_: pytest.fail("hashed again"))
    assert fetch(REMOTE, tmp_path) == path
    monkeypatch.undo()
    path.write_bytes(CONTENT[::-1])
    with pytest.raises(BenchError, match=f"expected {MD5}.*left as it is"):
        fetch(REMOTE, tmp_path)
    assert path.read_bytes() == CONTENT[::-1]
    assert hub.asked == []


def test_without_a_known_md5_the_gzip_must_be_whole(hub, tmp_path):
    hub.files["owner/set/data.gz"] = gzip.compress(CONTENT)[:-9]
    with pytest.raises(BenchError, match="cannot be unpacked"):
        fetch(replace(REMOTE, md5=None), tmp_path)
    hub.files["owner/set/data.gz"] = whole = gzip.compress(CONTENT)
    assert_whole(fetch(replace(REMOTE, md5=None), tmp_path), whole)


def test_members_of_an_archive_are_checked(hub, tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("folder/train.csv", CONTENT)
    hub.files["owner/set/data.gz"] = packed.getvalue()
    for member, md5, problem in (("train.csv", "0000", f"train.csv has md5 {MD5}, expected 0000"),
                                 ("test.csv", MD5, r"no 'test\.csv'")):  # fmt: skip
        with pytest.raises(BenchError, match=problem):
            fetch(replace(REMOTE, md5=None, unpacked=((member, md5),)), tmp_path)
    path = fetch(replace(REMOTE, md5=None, unpacked=(("train.csv", MD5),)), tmp_path)
    assert_whole(path, packed.getvalue())


def test_no_room(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(BenchError, match="10 bytes free"):
        fetch(REMOTE, tmp_path)


def test_two_at_once_fetch_it_once(hub, tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(fetch(REMOTE, tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [tmp_path / "data.gz"] * 2 and len(hub.asked) == 4
    assert_whole(found[0])


def test_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="cannot be made"):
        fetch(REMOTE, tmp_path / "file")


def test_sources():
    found = downloads()
    assert {"criteo-kaggle", "criteo-kaggle-sample", "avazu", "avazu-kaggle", "avazu-mirror"} <= set(found)
    entries = {entry.source: entry for files in found.values() for entry in files}
    assert set(entries) == set(found) - {"avazu"}
    assert len({entry.file for entry in entries.values()}) == len(entries)
    for entry in entries.values():
        assert bool(entry.hub) != bool(entry.kaggle) and entry.page.startswith("https://")
        assert all(len(md5) == 32 for md5 in (entry.md5, *dict(entry.unpacked).values()) if md5)


def test_unknown_source(tmp_path):
    with pytest.raises(BenchError, match=r"'avazoo'.*avazu-mirror"):
        download("avazoo", tmp_path)


@pytest.fixture
def no_credentials(monkeypatch, tmp_path):
    """No token anywhere: variables, home folder, and what kagglehub read at import."""
    config = pytest.importorskip("kagglehub.config")
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "KAGGLE_API_V1_TOKEN", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "home" / ".kaggle"))
    monkeypatch.setattr(config, "_kaggle_credentials", None)


def test_kaggle_without_credentials(no_credentials, tmp_path):
    with pytest.raises(BenchError) as error:
        download("avazu-kaggle", tmp_path)
    for part in (
        "there is none",
        "KAGGLE_API_TOKEN",
        "~/.kaggle/access_token",
        "/rules",
        "source: file",
        "avazu-mirror",
        "shuffled",
    ):
        assert part in str(error.value)


def avazu_entries(monkeypatch, hub, unpacked_md5=MD5):
    avazu = DATASETS["avazu"]
    kaggle, mirror = avazu.downloads["avazu"]
    kaggle = replace(kaggle, unpacked=(("", unpacked_md5),))
    mirror = replace(mirror, md5=MD5, unpacked=())
    hub.files["reczoo/Avazu_x4/Avazu_x4.zip"] = CONTENT
    monkeypatch.setattr(avazu, "downloads", {"avazu": (kaggle, mirror), "avazu-mirror": (mirror,)})


def test_avazu_without_credentials_takes_the_mirror_and_says_so(no_credentials, hub, tmp_path, monkeypatch, caplog):
    avazu_entries(monkeypatch, hub)
    path = download("avazu", tmp_path)
    assert path.name == "Avazu_x4.zip" and path.read_bytes() == CONTENT
    assert json.loads((tmp_path / "Avazu_x4.zip.verified.json").read_text())["order"] == "shuffled"
    assert "shuffled" in caplog.text and "KAGGLE_API_TOKEN" in caplog.text
    assert download("avazu", tmp_path) == path and len(hub.asked) == 4


def test_of_several_files_the_one_that_is_there_is_taken(no_credentials, hub, tmp_path, monkeypatch, caplog):
    avazu_entries(monkeypatch, hub)
    (tmp_path / "train.gz").write_bytes(gzip.compress(CONTENT))
    assert download("avazu", tmp_path) == tmp_path / "train.gz"
    assert hub.asked == [] and not caplog.text


def test_avazu_mirror_that_fails_names_the_token(hub, tmp_path, monkeypatch):
    avazu_entries(monkeypatch, hub)
    hub.files["reczoo/Avazu_x4/Avazu_x4.zip"] = CONTENT[:-1]
    with pytest.raises(BenchError, match="KAGGLE_API_TOKEN"):
        download("avazu-mirror", tmp_path)


def test_avazu_with_credentials_takes_kaggle(no_credentials, hub, tmp_path, monkeypatch):
    import kagglehub

    cached = tmp_path / "cache.gz"
    cached.write_bytes(gzip.compress(CONTENT))
    asked = []
    monkeypatch.setenv("KAGGLE_API_TOKEN", "a-token")
    monkeypatch.setattr(kagglehub, "competition_download", lambda name, path: asked.append((name, path)) or str(cached))
    avazu_entries(monkeypatch, hub)
    path = download("avazu", tmp_path / "data")
    assert path.name == "train.gz" and gzip.decompress(path.read_bytes()) == CONTENT
    assert asked == [("avazu-ctr-prediction", "train.gz")] and hub.asked == []
    assert download("avazu", tmp_path / "data") == path and len(asked) == 1

    avazu_entries(monkeypatch, hub, unpacked_md5="0" * 32)
    with pytest.raises(BenchError, match="is not the file of source 'avazu-kaggle'"):
        download("avazu", tmp_path / "other")
    assert not (tmp_path / "other" / "train.gz").exists() and not cached.exists()

    monkeypatch.setattr(kagglehub, "competition_download", lambda name, path: 1 / 0)
    with pytest.raises(BenchError, match=r"ZeroDivisionError.*/rules.*avazu-mirror"):
        download("avazu", tmp_path / "other")
