"""Single commands, killed at random moments: the same command ends in the same bits."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from kill_at import numbers
from staged import commands, give, made

pytestmark = pytest.mark.stress

GENERATOR = random.Random(20260124)
KILLS = 6  # of each command
CONTENT = bytes(range(256)) * 32768  # 8 MiB
FETCH = """
import sys
from pathlib import Path
from mlet_bench.data.download import fetch
from mlet_bench.data.remote import RemoteFile
fetch(RemoteFile("test", "data.gz", (sys.argv[1],), md5=sys.argv[2], size=int(sys.argv[3])), Path(sys.argv[4]))
"""


def kill_until_done(command: list, longest: float) -> tuple[int, int]:
    """Kill a command KILLS times at random moments, then let it end; how often it was cut off, and its status."""
    cut = 0
    for _ in range(KILLS):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(GENERATOR.uniform(0.2, longest))
        except subprocess.TimeoutExpired:
            process.send_signal(GENERATOR.choice((signal.SIGKILL, signal.SIGTERM)))
            process.wait()
            cut += 1
    return cut, subprocess.run(command, stdout=subprocess.DEVNULL).returncode


@pytest.mark.parametrize("stage", ["synthesize", "prepare", "train", "collapse", "evaluate", "compare", "spectrum"])
def test_a_command_ends_in_the_same_bits(whole, tmp_path, stage):
    place = tmp_path / "cut"
    place.mkdir()
    stages = commands(place)
    for earlier in list(stages)[: list(stages).index(stage)]:
        give(whole, place, earlier)
    command = [sys.executable, "-m", "mlet_bench", *map(str, stages[stage])]
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "mlet_bench", *map(str, commands(whole)[stage])], check=True)
    cut, status = kill_until_done(command, time.monotonic() - began)
    print(f"\n{stage}: {cut} kills survived")
    assert status == 0
    assert numbers(place) == {name: digest for name, digest in numbers(whole).items() if name in made(stage)}


@pytest.fixture
def slow_server(monkeypatch):
    """Serves CONTENT over some seconds, and knows Range."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    asked = Counter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers.get("Range")
            asked["resumed" if wanted else "whole"] += 1
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(len(CONTENT) - start))
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
            self.end_headers()
            for place in range(start, len(CONTENT), 1 << 16):
                try:
                    self.wfile.write(CONTENT[place : min(place + (1 << 16), len(CONTENT))])
                except OSError:
                    return
                time.sleep(0.05)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/data.gz", asked
    server.shutdown()
    server.server_close()


def test_a_download_goes_on_where_it_was(slow_server, tmp_path):
    url, asked = slow_server
    command = [sys.executable, "-c", FETCH, url, md5(CONTENT).hexdigest(), str(len(CONTENT)), str(tmp_path)]
    cut, status = kill_until_done(command, longest=2.5)
    print(f"\ndownload: {cut} kills survived, {asked['resumed']} times resumed")
    assert status == 0 and (tmp_path / "data.gz").read_bytes() == CONTENT
    assert asked["resumed"] > 0
    assert {file.name for file in tmp_path.iterdir()} == {"data.gz", "data.gz.lock", "data.gz.verified.json"}
