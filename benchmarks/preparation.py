"""Preparation: rows per second against facebookresearch/dlrm's getCriteoAdData, and how memory grows with the rows."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mlet_bench.data.generate import synthesize
from mlet_bench.errors import BenchError

from .base import Settings, benchmark
from .measure import Measure

OURS = """
import sys, time
from pathlib import Path
from mlet_bench.data.prepare import prepare
from mlet_bench.provenance import peak_resident_bytes
clock, cpu = time.perf_counter(), time.process_time()
prepare("criteo-kaggle", Path(sys.argv[1]), Path(sys.argv[2]))
print(time.perf_counter() - clock, time.process_time() - cpu, peak_resident_bytes())
"""
THEIRS = """
import sys, time
import data_utils
clock, cpu = time.perf_counter(), time.process_time()
data_utils.getCriteoAdData(sys.argv[1], "processed", -1, 0.0, 7, "train", "none", True)
print(time.perf_counter() - clock, time.process_time() - cpu)
"""


@benchmark("preparation")
def bench_preparation(settings: Settings, rounds: int = 3) -> list[Measure]:
    """The same generated rows, in turn, each in a process of its own; the file is in the cache of the system.

    The peer takes minutes for a million rows; with far fewer our start, some 0.2 s, counts.
    """
    script = settings.peer()
    peer = f"facebookresearch/dlrm {script.version}, getCriteoAdData"
    found = []
    for rows in settings.rows or (500_000,):
        ours, theirs = [], []
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / "train.txt"
            synthesize("criteo-kaggle", rows, 0, raw)
            for turn in range(rounds):
                raw.read_bytes()
                ours.append(_time(sys.executable, OURS, raw, Path(folder) / f"ours{turn}")[:2])
                place = Path(folder) / f"theirs{turn}"  # it writes beside the raw file
                place.mkdir()
                (place / "train.txt").write_bytes(raw.read_bytes())
                theirs.append(_time(script.python, THEIRS, place / "train.txt", path=script.checkout))
                shutil.rmtree(place)
        (seconds, cpu), (their_seconds, their_cpu) = map(min, zip(*ours)), map(min, zip(*theirs))
        rates = rows / seconds, rows / their_seconds
        # On a machine that others use too, the CPU seconds say more than the clock.
        used = f"{cpu:.2f} and {their_cpu:.1f} CPU seconds"
        case = f"Criteo-Kaggle, {rows:,} generated rows, best of {rounds} ({used})"
        ratio = rates[0] / rates[1]
        found.append(Measure("preparation", case, rates[0], "rows/s", peer, rates[1], ratio, "60 or more", *_where()))
    return found


@benchmark("preparation-memory")
def bench_preparation_memory(settings: Settings) -> list[Measure]:
    """Rows per second and resident memory at several sizes; the ratio is the limit of 4 GB over the memory."""
    found = []
    for rows in settings.rows or (100_000, 1_000_000):
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / "train.txt"
            synthesize("criteo-kaggle", rows, 0, raw)
            seconds, cpu, resident = _time(sys.executable, OURS, raw, Path(folder) / "out")
        used = f"{rows / seconds:,.0f} rows/s, {cpu:.2f} CPU seconds"
        case = f"Criteo-Kaggle, {rows:,} generated rows ({used}), resident memory"
        ratio = 4e9 / resident
        found.append(Measure("preparation", case, resident / 1e9, "GB", "4 GB", 4.0, ratio, "1 or more", *_where()))
    return found


def _time(python: Path | str, code: str, *arguments: Path, path: Path | None = None) -> list[float]:
    """The numbers that a piece of code prints last."""
    environment = os.environ | ({"PYTHONPATH": str(path)} if path else {})
    words = [python, "-c", code, *arguments]
    cwd = arguments[0].parent
    done = subprocess.run(words, capture_output=True, encoding="utf-8", cwd=cwd, env=environment)
    if done.returncode:
        raise BenchError(f"{python} failed: {''.join(done.stderr.strip().splitlines()[-1:])}")
    return [float(word) for word in done.stdout.split("\n")[-2].split()]


def _where() -> tuple[str, str]:
    import numpy
    import pyarrow

    return f"CPU, {os.cpu_count()} cores", f"numpy {numpy.__version__}, pyarrow {pyarrow.__version__}"
