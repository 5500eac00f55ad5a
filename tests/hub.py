"""A small Hugging Face on this machine."""

import gzip
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 4096  # 1 MiB


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    """An answer with exactly these headers; an underscore in a name stands for a hyphen."""
    handler.send_response(status)
    for name, value in ({"Content-Length": str(len(body))} | headers).items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    with suppress(OSError):  # it had enough
        handler.wfile.write(body)


def _drip(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    _send(handler, 206, Content_Length=str(len(body)))
    with suppress(OSError):
        for byte in body:
            handler.wfile.write(bytes([byte]))
            time.sleep(0.01)


def _endless(handler: BaseHTTPRequestHandler) -> None:
    _send(handler, 206, Content_Length=str(1 << 50))
    with suppress(OSError):
        while True:
            handler.wfile.write(bytes(1 << 20))


# What a server sends to who asks for a part of a file: by (handler, the file, the part's start, the part).
HOSTILE: dict[str, Callable[[BaseHTTPRequestHandler, bytes, int, bytes], object]] = {
    "redirects to itself": lambda handler, *_: _send(handler, 302, Location=handler.path),
    "redirects to file:": lambda handler, *_: _send(handler, 302, Location="file:///etc/passwd"),
    "redirects to ftp:": lambda handler, *_: _send(handler, 307, Location="ftp://127.0.0.1/data.gz"),
    "redirects to nowhere": lambda handler, *_: _send(handler, 302),
    "the whole file": lambda handler, file, start, part: _send(handler, 200, file),
    "too little": lambda handler, file, start, part: _send(handler, 206, part[:-1]),
    "too much": lambda handler, file, start, part: _send(handler, 206, part + b"x"),
    "nothing": lambda handler, *_: _send(handler, 206),
    "without end": lambda handler, *_: _endless(handler),
    "less than its length": lambda handler, file, start, part: _send(handler, 206, part, Content_Length=str(1 << 40)),
    "a length that is none": lambda handler, file, start, part: _send(handler, 206, part, Content_Length="-7"),
    "other bytes": lambda handler, file, start, part: _send(
        handler, 206, part, Content_Range=f"bytes {start + 1}-{start + len(part)}/{len(file)}"),
    "by the drop": lambda handler, file, start, part: _drip(handler, part),
    "416": lambda handler, *_: _send(handler, 416),
    "packed": lambda handler, file, start, part: _send(handler, 206, gzip.compress(part), Content_Encoding="gzip"),
    "a bomb": lambda handler, *_: _send(handler, 206, gzip.compress(bytes(1 << 28), 1), Content_Encoding="gzip"),
    "broken gzip": lambda handler, file, start, part: _send(handler, 206, part, Content_Encoding="gzip"),
    "wait for a day": lambda handler, *_: _send(handler, 503, Retry_After="86400"),
    "no HTTP": lambda handler, *_: handler.wfile.write(b"\0\1\2 hello\n\n"),
    "long headers": lambda handler, *_: _send(handler, 206, X=("x" * 1000 + ",") * 1000),
}  # fmt: skip


class Hub:
    """Serves data sets by the requests that huggingface_hub makes.

    Attributes:
        files: content by ``owner/name/file``.
        asked: the (first, last) byte of each request for content.
        troubles: what befalls the next requests for content, in turn: ``cut`` breaks off half-way, ``busy`` (503) and
            ``missing`` (404) refuse, a name of ``HOSTILE`` answers in bad faith, None answers well.
        sizes: what the hub says of a file's size, where it lies, by its name.
    """

    def __init__(self, files: dict[str, bytes], seconds_per_mib: float = 0.0):
        self.files, self.asked, self.troubles, self.sizes = files, [], [], {}
        self.pause = seconds_per_mib / 16
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                hub.answer(self)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self) -> "Hub":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        start, *path = handler.path.partition("?")[0].strip("/").split("/")
        if start == "api":
            return self.describe(handler, "/".join(path[1:3]), path[3:])
        file = self.files.get("/".join([*path[:2], path[-1]]))
        first, last = map(int, handler.headers["Range"].removeprefix("bytes=").split("-"))
        self.asked.append((first, last))
        trouble = self.troubles.pop(0) if self.troubles else None
        if file is None or trouble in ("busy", "missing"):
            return handler.send_error(503 if trouble == "busy" else 404)
        body = file[first : last + 1]
        if trouble in HOSTILE:
            handler.close_connection = True
            HOSTILE[trouble](handler, file, first, body)
            return
        handler.send_response(206)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{len(file)}")
        handler.end_headers()
        for place in range(0, len(body) // 2 if trouble == "cut" else len(body), 1 << 16):
            try:
                handler.wfile.write(body[place : place + (1 << 16)])
            except OSError:
                break
            time.sleep(self.pause) if self.pause else None
        handler.close_connection = trouble == "cut"

    def describe(self, handler: BaseHTTPRequestHandler, name: str, path: list[str]) -> None:
        """What there is to know of a data set, or its files."""
        files = {key.removeprefix(f"{name}/"): file for key, file in self.files.items() if key.startswith(f"{name}/")}
        if not files:
            handler.send_response(404)
            handler.send_header("X-Error-Code", "RepoNotFound")
            handler.send_header("Content-Length", "0")
            return handler.end_headers()
        described = {"id": name, "sha": "0" * 40, "siblings": []}
        sizes = {key: self.sizes.get(key, len(file)) for key, file in files.items()}
        listed = [{"type": "file", "path": key, "size": size, "oid": "0" * 40} for key, size in sizes.items()]
        body = json.dumps(listed if path[:1] == ["tree"] else described).encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
