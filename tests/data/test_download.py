"""Downloads, against a small server on this machine that misbehaves on request."""

import gzip
import hashlib
import io
import json
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mlet_bench.data import download as downloads
from mlet_bench.data.download import FILES, SOURCES, download, fetch
from mlet_bench.data.remote import RemoteFile
from mlet_bench.data.transfer import Patience
from mlet_bench.errors import BenchError

CONTENT = bytes(range(256)) * 4096  # 1 MiB
HALF = len(CONTENT) // 2
MD5 = hashlib.md5(CONTENT).hexdigest()
IMPATIENT = Patience(connect=1.0, read=0.3, tries=2, pause=0.01)


class Server:
    """Serves ``content`` at every path; the path's first part says how.

    ``ok``, ``etag/<tag>``, ``norange`` (ignores Range), ``missing`` (404), ``busy`` (503), ``cut`` (breaks
    off half-way through what was asked for, four times), ``cut-whole`` (the same, ignoring Range), ``hang``, ``page``
    (HTML), ``wrong``.
    """

    def __init__(self):
        self.content, self.requests = CONTENT, []
        self.stop = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append((self.path, self.headers.get("Range"), self.headers.get("If-Range")))
                outer.answer(self, *self.path.strip("/").split("/"))

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.http.server_port}/{path}"

    def answer(self, handler, how, *rest):
        if how in ("missing", "busy"):
            return handler.send_error({"missing": 404, "busy": 503}[how])
        body = b"wrong" + self.content[5:] if how == "wrong" else self.content
        etag = f'"{rest[0]}"' if how == "etag" else None
        wanted = handler.headers.get("Range") if how not in ("norange", "cut-whole") else None
        if handler.headers.get("If-Range") not in (None, etag):
            wanted = None
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if start >= len(body):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(body)}")
            handler.send_header("Content-Length", "0")
            return handler.end_headers()
        handler.send_response(206 if wanted else 200)
        handler.send_header("Content-Type", "text/html; charset=utf-8" if how == "page" else "application/gzip")
        handler.send_header("Content-Length", str(len(body) - start))
        if wanted:
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if etag:
            handler.send_header("ETag", etag)
        handler.end_headers()
        if how == "hang":
            return self.stop.wait(10)
        cut = how.startswith("cut") and len(self.requests) <= 4
        end = (start + len(body)) // 2 if cut else len(body)
        handler.wfile.write(body[start:end])


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    yield server
    server.stop.set()
    server.http.shutdown()
    server.http.server_close()


def remote(server, *paths, **facts):
    facts = {"size": len(CONTENT), "md5": MD5} | facts
    return RemoteFile("test", "data.gz", tuple(server.url(path) for path in paths), **facts)


def assert_whole(path, content=CONTENT):
    assert path.read_bytes() == content
    left = {file.name for file in path.parent.iterdir()}
    assert left == {"data.gz", "data.gz.lock", "data.gz.verified.json"}


def test_fresh_download_is_recorded(server, tmp_path):
    path = fetch(remote(server, "ok"), tmp_path / "new" / "folder", IMPATIENT)
    assert path == tmp_path / "new" / "folder" / "data.gz"
    assert_whole(path)
    record = json.loads((path.parent / "data.gz.verified.json").read_text())
    assert (record["md5"], record["size"], record["order"]) == (MD5, len(CONTENT), "original")
    assert record["url"] == server.url("ok")


def test_partial_file_is_gone_on_with(server, tmp_path):
    (tmp_path / "data.gz.part").write_bytes(CONTENT[:HALF])
    assert_whole(fetch(remote(server, "ok"), tmp_path, IMPATIENT))
    assert server.requests == [("/ok", f"bytes={HALF}-", None)]


def test_server_that_ignores_range_starts_over(server, tmp_path):
    (tmp_path / "data.gz.part").write_bytes(b"x" * HALF)
    assert_whole(fetch(remote(server, "norange"), tmp_path, IMPATIENT))
    assert len(server.requests) == 1


def test_complete_partial_file_needs_no_request(server, tmp_path):
    (tmp_path / "data.gz.part").write_bytes(CONTENT)
    assert_whole(fetch(remote(server, "ok"), tmp_path, IMPATIENT))
    assert server.requests == []


def test_range_beyond_the_end(server, tmp_path):
    (tmp_path / "data.gz.part").write_bytes(CONTENT)
    assert_whole(fetch(remote(server, "ok", size=None), tmp_path, IMPATIENT))  # whole already: 416 names its length
    assert len(server.requests) == 1
    (tmp_path / "data.gz").unlink()
    (tmp_path / "data.gz.part").write_bytes(CONTENT + b"more")
    assert_whole(fetch(remote(server, "ok"), tmp_path, IMPATIENT))
    assert [wanted for _, wanted, _ in server.requests[1:]] == [f"bytes={len(CONTENT) + 4}-", None]


@pytest.mark.parametrize("first", ["missing", "busy", "page", "hang", "wrong"])
def test_next_mirror(server, tmp_path, first):
    start = time.monotonic()
    assert_whole(fetch(remote(server, first, "ok"), tmp_path, IMPATIENT))
    assert time.monotonic() - start < 8  # the hanging server would take 20
    tried = [path for path, _, _ in server.requests]
    assert tried == [f"/{first}"] * (2 if first in ("busy", "hang") else 1) + ["/ok"]


def test_mirror_with_a_file_of_another_size_costs_no_partial_file(server, tmp_path):
    (tmp_path / "data.gz.part").write_bytes(CONTENT[:HALF])
    server.content = CONTENT + b"more"
    with pytest.raises(BenchError, match=rf"{len(CONTENT) + 4} bytes, expected {len(CONTENT)}"):
        fetch(remote(server, "norange"), tmp_path, IMPATIENT)
    assert (tmp_path / "data.gz.part").read_bytes() == CONTENT[:HALF]


def test_cut_connection_is_resumed(server, tmp_path):
    # Each answer brings half of what is left: without the reset of the count two tries would not do.
    assert_whole(fetch(remote(server, "cut", "missing"), tmp_path, IMPATIENT))
    starts = [int(wanted[6:-1]) for _, wanted, _ in server.requests[1:]]
    assert starts == [len(CONTENT) * (2**i - 1) // 2**i for i in (1, 2, 3, 4)]


def test_cut_connection_without_progress_gives_up(server, tmp_path):
    with pytest.raises(BenchError, match="gave up after 2 attempts that brought nothing new"):
        fetch(remote(server, "cut-whole"), tmp_path, IMPATIENT)
    assert len(server.requests) == 3  # the first one brought something


def test_wrong_content_everywhere(server, tmp_path):
    with pytest.raises(BenchError) as error:
        fetch(remote(server, "wrong", "missing"), tmp_path, IMPATIENT)
    found = hashlib.md5(b"wrong" + CONTENT[5:]).hexdigest()
    message = str(error.value)
    assert f"{server.url('wrong')}: md5 {found}, expected {MD5}" in message
    assert f"{server.url('missing')}: HTTP 404" in message
    assert f"put it at {tmp_path / 'data.gz'}" in message
    assert not list(tmp_path.glob("*.part*"))


def test_no_server(server, tmp_path):
    entry = remote(server, "ok")
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(BenchError, match=r"ok: gave up after 2 attempts .*refused"):
        fetch(entry, tmp_path, IMPATIENT)


def test_existing_file_is_hashed_once_and_fetched_never(server, tmp_path, monkeypatch):
    path = tmp_path / "data.gz"
    path.write_bytes(CONTENT)
    assert_whole(fetch(remote(server, "ok"), tmp_path, IMPATIENT))
    monkeypatch.setattr(RemoteFile, "check", lambda *_: pytest.fail("hashed again"))
    assert fetch(remote(server, "ok"), tmp_path, IMPATIENT) == path
    monkeypatch.undo()
    path.write_bytes(CONTENT[::-1])
    with pytest.raises(BenchError, match=f"expected {MD5}.*left as it is"):
        fetch(remote(server, "ok"), tmp_path, IMPATIENT)
    assert path.read_bytes() == CONTENT[::-1]
    assert server.requests == []


def test_without_a_known_md5_only_an_unchanged_file_is_gone_on_with(server, tmp_path):
    server.content = gzip.compress(CONTENT, 0)
    half = len(server.content) // 2
    part, note = tmp_path / "data.gz.part", tmp_path / "data.gz.part.json"

    def attempt(path, noted):
        server.requests.clear()
        (tmp_path / "data.gz").unlink(missing_ok=True)
        part.write_bytes(server.content[:half] if noted == '"a"' else b"x" * half)
        note.write_text(json.dumps({"url": server.url(path), "validator": noted}))
        assert_whole(fetch(remote(server, path, size=None, md5=None), tmp_path, IMPATIENT), server.content)
        return server.requests

    assert attempt("etag/a", '"a"') == [("/etag/a", f"bytes={half}-", '"a"')]
    assert attempt("etag/b", '"old"') == [("/etag/b", f"bytes={half}-", '"old"')]  # sent whole by the server
    assert attempt("ok", None) == [("/ok", None, None)]


def test_without_a_known_md5_the_gzip_must_be_whole(server, tmp_path):
    server.content = gzip.compress(CONTENT)[:-9]
    with pytest.raises(BenchError, match="cannot be unpacked"):
        fetch(remote(server, "ok", size=None, md5=None), tmp_path, IMPATIENT)


def test_members_of_an_archive_are_checked(server, tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("folder/train.csv", CONTENT)
    server.content = packed.getvalue()
    facts = {"size": None, "md5": None}
    with pytest.raises(BenchError, match=f"train.csv has md5 {MD5}, expected 0000"):
        fetch(remote(server, "ok", unpacked=(("train.csv", "0000"),), **facts), tmp_path, IMPATIENT)
    with pytest.raises(BenchError, match=r"no 'test\.csv'"):
        fetch(remote(server, "ok", unpacked=(("test.csv", MD5),), **facts), tmp_path, IMPATIENT)
    path = fetch(remote(server, "ok", unpacked=(("train.csv", MD5),), **facts), tmp_path, IMPATIENT)
    assert_whole(path, server.content)


def test_no_room(server, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(BenchError, match="10 bytes free"):
        fetch(remote(server, "ok"), tmp_path, IMPATIENT)


def test_folder_that_is_a_file(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="cannot be made"):
        fetch(remote(server, "ok"), tmp_path / "file", IMPATIENT)


def test_sources():
    assert set(SOURCES) == {"criteo-kaggle", "criteo-kaggle-sample", "avazu", "avazu-kaggle", "avazu-mirror"}
    assert len({entry.file for entry in FILES.values()}) == len(FILES)
    for entry in FILES.values():
        assert all(url.startswith("https://") for url in entry.urls)
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


def avazu_entries(monkeypatch, server, unpacked_md5=MD5):
    kaggle = RemoteFile("avazu-kaggle", "train.gz", (), unpacked=(("", unpacked_md5),))
    mirror = RemoteFile("avazu-mirror", "Avazu_x4.zip", (server.url("ok"),), md5=MD5, order="shuffled")
    monkeypatch.setattr(downloads, "FILES", {"avazu-kaggle": kaggle, "avazu-mirror": mirror})


def test_avazu_without_credentials_takes_the_mirror_and_says_so(no_credentials, server, tmp_path, monkeypatch, caplog):
    avazu_entries(monkeypatch, server)
    path = download("avazu", tmp_path)
    assert path.name == "Avazu_x4.zip" and path.read_bytes() == CONTENT
    assert json.loads((tmp_path / "Avazu_x4.zip.verified.json").read_text())["order"] == "shuffled"
    assert "shuffled" in caplog.text and "KAGGLE_API_TOKEN" in caplog.text
    assert download("avazu", tmp_path) == path and len(server.requests) == 1


def test_avazu_mirror_that_fails_names_the_token(server, tmp_path, monkeypatch):
    avazu_entries(monkeypatch, server)
    server.content = CONTENT[:-1]
    with pytest.raises(BenchError, match="KAGGLE_API_TOKEN"):
        download("avazu-mirror", tmp_path)


def test_avazu_with_credentials_takes_kaggle(no_credentials, server, tmp_path, monkeypatch):
    import kagglehub

    cached = tmp_path / "cache.gz"
    cached.write_bytes(gzip.compress(CONTENT))
    asked = []
    monkeypatch.setenv("KAGGLE_API_TOKEN", "a-token")
    monkeypatch.setattr(kagglehub, "competition_download", lambda name, path: asked.append((name, path)) or str(cached))
    avazu_entries(monkeypatch, server)
    path = download("avazu", tmp_path / "data")
    assert path.name == "train.gz" and gzip.decompress(path.read_bytes()) == CONTENT
    assert asked == [("avazu-ctr-prediction", "train.gz")] and server.requests == []
    assert download("avazu", tmp_path / "data") == path and len(asked) == 1

    avazu_entries(monkeypatch, server, unpacked_md5="0" * 32)
    with pytest.raises(BenchError, match="is not Avazu's"):
        download("avazu", tmp_path / "other")
    assert not (tmp_path / "other" / "train.gz").exists()

    monkeypatch.setattr(kagglehub, "competition_download", lambda name, path: 1 / 0)
    with pytest.raises(BenchError, match=r"ZeroDivisionError.*/rules.*avazu-mirror"):
        download("avazu", tmp_path / "other")
