"""A line of a gigabyte: named, and never in memory."""

import os
import subprocess
import sys

import pytest
from long_lines import LONG_LINES

pytestmark = pytest.mark.stress
MEBIBYTES = int(os.environ.get("MLET_BENCH_STRESS_MEBIBYTES", "1024"))
MEMORY = 400_000  # kB, of which the interpreter and its libraries take a quarter


@pytest.mark.parametrize("kind", LONG_LINES)
def test_a_line_of_a_gigabyte(kind, tmp_path, capsys):
    long = LONG_LINES[kind]
    long.write(tmp_path / "raw", MEBIBYTES)
    words = [sys.executable, "-m", "mlet_bench", *long.words, "--raw", tmp_path / "raw", "--out", tmp_path / "out"]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(words, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 2 and f"{tmp_path}/raw, {long.said}" in (tmp_path / "said").read_text()
    assert usage.ru_maxrss < MEMORY
    (tmp_path / "raw").unlink()
    with capsys.disabled():
        print(f"\na line of {MEBIBYTES} MiB, {kind}: refused, {usage.ru_maxrss / 1024:.0f} MiB of memory", end="")
