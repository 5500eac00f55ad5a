"""The DAG, killed at random moments again and again, ends in the numbers of an undisturbed run, to the bit."""

import itertools
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml
from chaos import strike
from kill_at import numbers

pytestmark = pytest.mark.stress

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("MLET_BENCH_STRESS_KILLS", "16"))
SEED = int(os.environ.get("MLET_BENCH_STRESS_SEED", "0"))
CONFIG = {
    "profile": "toy",
    "datasets": {name: {"source": "synthesize", "rows": 6000} for name in ("criteo-kaggle", "avazu")},
    "arms": ["single", "mlet"],
    "controls": {"enabled": True, "arms": ["single-lr-tuned"]},
    "embedding_lr_factors": [1, 4],
    "dims": [4],
    "inner_dims": [8],
    "seeds": [0, 1],
    "training": {"validations": 4, "batch_size": 8},
    "device": "cpu",
    "keep": "all",
    "overhead": {"pairs": 5, "steps": 1},
}
RUNS = 2 * 3 * 2


def start(folder: Path, *options: str) -> subprocess.Popen:
    """snakemake in a folder of its own, as a user starts it."""
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    command = [Path(sys.executable).parent / "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    with open(folder / "snakemake.log", "a", encoding="utf-8") as log:
        return subprocess.Popen(
            [*command, "--configfile", folder / "config.yaml", "--cores", "2", *options],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


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


def assert_equal(whole: Path, cut: Path) -> None:
    expected, found = (numbers(folder / "results" / "toy") for folder in (whole, cut))
    for part in ("raw/", "data/", "runs/"):
        of_part = {name: digest for name, digest in expected.items() if name.startswith(part)}
        assert of_part == {name: digest for name, digest in found.items() if name.startswith(part)}
        assert len(of_part) > 0
    for table in ("differences", "rare", "spectrum", "tuned"):  # the others hold times
        assert found[f"tables/{table}.csv"] == expected[f"tables/{table}.csv"]
    synced = (cut / "results" / "toy" / "mlflow.synced.txt").read_text()
    assert sum(int(word) for word in synced.replace(",", "").split() if word.isdigit()) == RUNS


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
