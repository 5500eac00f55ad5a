"""A line of a gigabyte: named, and never in memory."""

import os
import subprocess
import sys

import pytest
from long_lines import LONG_LINES

pytestmark = pytest.mark.stress
MEBIBYTES = int(os.environ.get("MLET_BENCH_STRESS_MEBIBYTES", "1024"))
MEMORY = 250_000  # kB, of which the interpreter and its libraries take half
# What a process has held begins with what its parent holds when it is forked: a small one is put between.
MEASURE = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


@pytest.mark.parametrize("kind", LONG_LINES)
def test_a_line_of_a_gigabyte(kind, tmp_path, capsys):
    long = LONG_LINES[kind]
    long.write(tmp_path / "raw", MEBIBYTES)
    words = [sys.executable, "-m", "mlet_bench", *long.words, "--raw", tmp_path / "raw", "--out", tmp_path / "out"]
    done = subprocess.run([sys.executable, "-c", MEASURE, *words], capture_output=True, text=True)
    (tmp_path / "raw").unlink()
    assert done.returncode == 2 and f"{tmp_path}/raw, {long.said}" in done.stderr
    assert int(done.stdout) < MEMORY
    with capsys.disabled():
        print(f"\na line of {MEBIBYTES} MiB, {kind}: refused, {int(done.stdout) / 1024:.0f} MiB of memory", end="")
