"""The DAG, killed at random moments again and again, ends in the numbers of an undisturbed run, to the bit."""

import itertools
import os
import random
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from chaos import strike
from dags import assert_equal, start

pytestmark = pytest.mark.stress

KILLS = int(os.environ.get("MLET_BENCH_STRESS_KILLS", "16"))
SEED = int(os.environ.get("MLET_BENCH_STRESS_SEED", "0"))


def wait_for(jobs: list[int]) -> None:
    """Until processes that outlived their snakemake have ended."""
    while any(Path(f"/proc/{pid}").exists() for pid in jobs):
        time.sleep(0.1)


def run_with_kills(folder: Path, longest: float, generator: random.Random, kills: Counter) -> int:
    """Call snakemake, kill something, call it again, until it ends well; how often it was struck."""
    struck, process = 0, start(folder)
    while True:
        try:
            if process.wait(generator.uniform(1, longest)) == 0:
                return struck
            time.sleep(2)  # a training that runs on without its snakemake makes the next one fail, with a sentence
        except subprocess.TimeoutExpired:
            orphans = strike(process, generator, kills)
            struck += 1
            if process.poll() is None:
                continue  # it lost a job and goes on
            if generator.random() < 0.5:  # else the next snakemake meets them at work
                wait_for(orphans)
        if list((folder / ".snakemake" / "locks").glob("*")):
            start(folder, "--unlock").wait()
        process = start(folder)


def test_killed_at_random_moments_the_dag_ends_in_the_same_bits(tmp_path):
    generator, kills, struck = random.Random(SEED), Counter(), 0
    began = time.monotonic()
    assert start(tmp_path / "whole").wait() == 0, (tmp_path / "whole" / "snakemake.log").read_text()[-3000:]
    longest = (time.monotonic() - began) / 6
    try:
        for number in itertools.count():
            struck += run_with_kills(tmp_path / f"cut{number}", longest, generator, kills)
            assert_equal(tmp_path / "whole", tmp_path / f"cut{number}")
            if struck >= KILLS:
                break
    finally:
        print(f"\n{struck} kills survived in {number + 1} runs of the DAG (seed {SEED}); what they hit:")
        for name, count in sorted(kills.items()):
            print(f"  {count:3d}  {name}")
