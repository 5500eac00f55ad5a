"""Jobs at once never share a GPU: with pretended devices, in processes of their own."""

import subprocess
import sys
import time

from mlet_bench.gpus import claim_gpu

JOB = """
import sys, time
from pathlib import Path
from mlet_bench.gpus import claim_gpu
folder, names = Path(sys.argv[1]), sys.argv[2].split(",")
mark = folder / f"held-{claim_gpu(names, folder, wait_seconds=0.05)}"
mark.touch(exist_ok=False)  # fails where another job has the device
while not (folder / "go").exists():
    time.sleep(0.02)
mark.unlink()
"""


def start(folder, names):
    words = [sys.executable, "-c", JOB, str(folder), ",".join(names)]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True)


def test_seven_jobs_on_three_devices_never_share_one(tmp_path):
    jobs = [start(tmp_path, ("a", "b", "c")) for _ in range(7)]
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("held-*"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert {mark.name for mark in tmp_path.glob("held-*")} == {"held-0", "held-1", "held-2"}  # three at once
    (tmp_path / "go").touch()
    for job in jobs:
        _, errors = job.communicate(timeout=120)
        assert job.returncode == 0, errors
    assert not list(tmp_path.glob("held-*"))


def test_a_killed_job_gives_its_device_back(tmp_path):
    code = JOB.replace("mark.touch(exist_ok=False)", "print('held', flush=True); time.sleep(600)")
    job = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), "a"], stdout=subprocess.PIPE, text=True)
    assert job.stdout.readline() == "held\n"
    job.kill()
    job.wait()
    clock = time.monotonic()
    assert claim_gpu(["a"], tmp_path) == 0
    assert time.monotonic() - clock < 30
