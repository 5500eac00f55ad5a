"""A small Hugging Face on this machine."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub:
    """Serves data sets by the requests that huggingface_hub makes.

    Attributes:
        files: content by ``owner/name/file``.
        asked: the (first, last) byte of each request for content.
        troubles: what befalls the next requests for content, in turn: ``cut`` breaks off half-way, ``busy`` (503) and
            ``missing`` (404) refuse, None answers well.
    """

    def __init__(self, files: dict[str, bytes], seconds_per_mib: float = 0.0):
        self.files, self.asked, self.troubles = files, [], []
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
        listed = [{"type": "file", "path": key, "size": len(file), "oid": "0" * 40} for key, file in files.items()]
        body = json.dumps(listed if path[:1] == ["tree"] else described).encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
