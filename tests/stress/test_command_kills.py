"""Single commands, killed or halted at random moments: the same command ends in the same bits."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from hashlib import md5

import pytest
from broken_disk import made_up, tracked
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
    """Kill a command KILLS times at random moments, then let it end; how often it was cut off, and its status.

    Each time it is halted and goes on once before.
    """
    cut = 0
    for _ in range(KILLS):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(GENERATOR.uniform(0.1, longest / 2))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.1)
            process.send_signal(signal.SIGCONT)
        try:
            process.wait(GENERATOR.uniform(0.1, longest / 2))
        except subprocess.TimeoutExpired:
            process.send_signal(GENERATOR.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)))
            process.wait()
            cut += 1
    return cut, subprocess.run(command, stdout=subprocess.DEVNULL).returncode


@pytest.mark.parametrize("stage", ["synthesize", "prepare", "train", "deploy", "evaluate", "spectrum", "cell"])
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


@pytest.mark.parametrize("name", ["sync", "report"])
def test_results_that_were_cut_off_while_they_were_written(tmp_path, name):
    made_up(tmp_path / "whole")
    task = tracked(tmp_path / "whole", name)
    task.prepare(tmp_path / "right")
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "mlet_bench", *map(str, task.words(tmp_path / "right"))], check=True)
    longest = time.monotonic() - began
    task.prepare(tmp_path / "cut")
    cut, status = kill_until_done(
        [sys.executable, "-m", "mlet_bench", *map(str, task.words(tmp_path / "cut"))], longest
    )
    print(f"\n{name}: {cut} kills survived")
    assert status == 0 and task.numbers(tmp_path / "cut") == task.numbers(tmp_path / "right")


def test_kernels_that_were_cut_off_while_they_were_compiled(tmp_path, monkeypatch):
    """By two processes at once, each time; then both load the same library, and no folder of theirs is left."""
    from mlet_bench.kernels.build import library

    if library() is None:
        pytest.skip("no C++ compiler here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    command = [sys.executable, "-c", "from mlet_bench.kernels.build import library; print(library()._name)"]
    cut = 0
    for _ in range(KILLS):
        both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
        time.sleep(GENERATOR.uniform(2, 12))
        for process in both:
            cut += process.poll() is None
            process.kill()
            process.wait()
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found = {process.communicate()[0] for process in both}
    print(f"\nkernels: {cut} kills survived")
    assert len(found) == 1 and found.pop().startswith(str(tmp_path))
    assert {path.suffix for path in (tmp_path / "mlet-bench").iterdir()} == {".so", ".sha256", ""}
    assert [path.name for path in (tmp_path / "mlet-bench").iterdir() if not path.suffix] == [".lock"]


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
