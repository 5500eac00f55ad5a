"""Jobs at once never share a GPU: with pretended devices, in processes of their own."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlet_bench.gpus import claim_gpu, release_gpus

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


def test_a_device_that_is_released_is_the_next_job_s_while_the_first_goes_on(tmp_path):
    assert claim_gpu(["a"], tmp_path) == 0
    waiting = start(tmp_path, ["a"])
    assert waiting.stderr.readline().startswith("all 1 GPUs are taken by other jobs of this suite: waiting")
    assert not (tmp_path / "held-0").exists()
    release_gpus()
    deadline = time.monotonic() + 30
    while not (tmp_path / "held-0").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    (tmp_path / "go").touch()
    assert waiting.communicate(timeout=60)[1] == "" and waiting.returncode == 0
    release_gpus()  # of nothing


LOCK = "mlet-bench-gpu-a.lock"


def claimed(folder, own) -> str:
    """Claim the one device; what is said."""
    code = "import sys, tempfile; from pathlib import Path; from mlet_bench.gpus import claim_gpu\n"
    code += f"tempfile.tempdir = {str(own)!r}; print(claim_gpu(['a'], Path({str(folder)!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "0\n", done.stderr
    return done.stderr


def test_the_lock_file_is_for_all_users_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        assert claimed(tmp_path, tmp_path) == ""
    finally:
        os.umask(before)
    assert (tmp_path / LOCK).stat().st_mode & 0o777 == 0o666


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
@pytest.mark.parametrize("mode", [0o644, 0o666])
def test_a_second_user_waits_for_the_first_and_then_has_the_device(mode, tmp_path):
    """In a sticky folder that all can write, as the common temporary folder is."""
    tmp_path.chmod(0o1777)
    (tmp_path / LOCK).touch()
    (tmp_path / LOCK).chmod(mode)
    held = os.open(tmp_path / LOCK, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    child = os.fork()
    if child == 0:  # the other user
        os.close(held)
        os.chdir(tmp_path)
        os.setgid(12345)
        os.setuid(12345)
        code = 1
        try:
            code = claim_gpu(["a"], Path("."), wait_seconds=0.05)
        finally:
            os._exit(code)
    time.sleep(0.5)
    assert os.waitpid(child, os.WNOHANG) == (0, 0)  # it waits
    os.close(held)
    assert os.waitpid(child, 0)[1] == 0


def plant_link(path):
    path.symlink_to(path.with_name("victim"))


def plant_dangling(path):
    path.symlink_to(path.with_name("made"))


def plant_pipe(path):
    os.mkfifo(path)


def plant_folder(path):
    path.mkdir()


@pytest.mark.parametrize("plant", [plant_link, plant_dangling, plant_pipe, plant_folder])
def test_what_was_planted_is_not_followed_and_shuts_nobody_out(plant, tmp_path):
    common, own = tmp_path / "common", tmp_path / "own"
    common.mkdir()
    own.mkdir()
    (common / "victim").write_text("kept")
    (common / "victim").chmod(0o600)
    plant(common / LOCK)
    said = claimed(common, own)
    assert "is no lock file that this user can read" in said and "this user's jobs alone" in said
    assert (common / "victim").read_text() == "kept" and not (common / "made").exists()
    assert (common / "victim").stat().st_mode & 0o777 == 0o600
    assert (own / f"mlet-bench-{os.geteuid()}" / LOCK).is_file()
