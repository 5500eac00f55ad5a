"""Single commands, killed at random moments: the same command ends in the same bits."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from hashlib import md5

import pytest
from hub import Hub
from kill_at import numbers
from staged import commands, give, made

pytestmark = pytest.mark.stress

GENERATOR = random.Random(20260124)
KILLS = 6  # of each command
CONTENT = bytes(range(256)) * 32768  # 8 MiB
FETCH = """
import sys
from pathlib import Path
from mlet_bench.data import download
from mlet_bench.data.remote import RemoteFile
download.PIECE = 1 << 18
download.fetch(RemoteFile("test", "data.gz", hub="owner/set", md5=sys.argv[1]), Path(sys.argv[2]))
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


@pytest.mark.parametrize(
    "stage", ["synthesize", "prepare", "train", "deploy", "evaluate", "compare", "spectrum", "cell"]
)
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


def test_a_download_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Hub({"owner/set/data.gz": CONTENT}, seconds_per_mib=0.8) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        command = [sys.executable, "-c", FETCH, md5(CONTENT).hexdigest(), str(tmp_path)]
        cut, status = kill_until_done(command, longest=4)
    asked = Counter(first for first, _ in hub.asked)
    print(f"\ndownload: {cut} kills survived, {asked.total() - len(asked)} pieces fetched twice")
    assert status == 0 and (tmp_path / "data.gz").read_bytes() == CONTENT
    assert asked.total() - len(asked) <= cut  # only the piece that a kill broke off
    assert {file.name for file in tmp_path.iterdir()} == {"data.gz", "data.gz.lock", "data.gz.verified.json"}
