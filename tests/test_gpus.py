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
index = claim_gpu(names, folder, wait_seconds=0.05)
begin = time.monotonic()
time.sleep(0.4)
print(index, begin, time.monotonic())
"""


def start(folder, names):
    words = [sys.executable, "-c", JOB, str(folder), ",".join(names)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_seven_jobs_on_three_devices_never_share_one(tmp_path):
    jobs = [start(tmp_path, ("a", "b", "c")) for _ in range(7)]
    held = []
    for job in jobs:
        output, errors = job.communicate(timeout=120)
        assert job.returncode == 0, errors
        index, begin, end = output.split()
        held.append((int(index), float(begin), float(end)))
    assert {index for index, _, _ in held} == {0, 1, 2}
    for number, (index, begin, end) in enumerate(held):
        for other, other_begin, other_end in held[number + 1 :]:
            assert index != other or end <= other_begin or other_end <= begin


def test_a_killed_job_gives_its_device_back(tmp_path):
    code = JOB.replace("time.sleep(0.4)", "print('held', flush=True); time.sleep(600)")
    job = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), "a"], stdout=subprocess.PIPE, text=True)
    assert job.stdout.readline() == "held\n"
    job.kill()
    job.wait()
    clock = time.monotonic()
    assert claim_gpu(["a"], tmp_path) == 0
    assert time.monotonic() - clock < 30
