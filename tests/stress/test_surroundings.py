"""A machine that gives little, a clock that goes back, and many processes at work in the same folders."""

import os
import random
import resource
import shutil
import subprocess
import sys

import pytest
from broken_disk import made_up, tracked
from finished import is_told, make_finished, right_of
from full import with_full
from kill_at import numbers
from staged import call, commands, give, made

from mlet_bench.errors import BenchError

pytestmark = pytest.mark.stress
CLOCK = """
import random, sys, time
from mlet_bench.cli import main
draw, now = random.Random(0), time.time
time.time = lambda: now() - draw.uniform(0, 10**6)
sys.exit(main(sys.argv[1:]))
"""


def start(
    *words, before=(), code="import sys; from mlet_bench.cli import main; sys.exit(main())", **options
) -> subprocess.Popen:
    command = [*before, sys.executable, "-c", code, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("how", ["64 open files", "one core", "clock goes back", "full /dev/shm"])
def test_little_is_enough(whole, tmp_path, how, capsys):
    def limited():
        if how == "64 open files":
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        if how == "one core":
            os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])

    code: dict = {"code": CLOCK} if how == "clock goes back" else {}
    if how.startswith("full"):
        code = {"before": with_full("/dev/shm")}
    for stage in list(commands(tmp_path)):
        done = start(*commands(tmp_path)[stage], preexec_fn=limited, **code)
        said = done.communicate()[1]
        assert done.returncode == 0, f"{stage}: {said}"
    of_stages = {name: found for name, found in numbers(whole).items() if name in made("cell")}
    assert {name: found for name, found in numbers(tmp_path).items() if name in made("cell")} == of_stages
    results = made_up(tmp_path / "results") / "toy"
    for words in (("report", results), ("sync", results)):
        done = start(*words, preexec_fn=limited, **code)
        assert done.wait() == 0, done.communicate()[1]
    with capsys.disabled():
        print(f"\n{how}: {len(commands(tmp_path)) + 2} commands ended in the same bits", end="")


def test_a_full_folder_for_temporary_files(tmp_path, monkeypatch, capsys):
    """Each command does without, or says so; once there is room, it ends in the right numbers."""
    made_up(tmp_path / "results")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    came = []
    for name in ("report", "sync"):
        task = tracked(tmp_path / "results", name)
        task.prepare(tmp_path / f"right {name}")
        assert start(*task.words(tmp_path / f"right {name}")).wait() == 0
        place = tmp_path / name
        task.prepare(place)
        done = start(*task.words(place), before=with_full(tmp_path / "temporary"))
        said = done.communicate()[1]
        assert "Traceback" not in said and (done.returncode == 0 or "No space left" in said), said
        came.append("survived" if done.returncode == 0 else "refused")
        assert start(*task.words(place)).wait() == 0
        assert task.numbers(place) == task.numbers(tmp_path / f"right {name}")
    with capsys.disabled():
        print(f"\nfull folder for temporary files: report {came[0]}, sync {came[1]}", end="")


def test_eight_trainings_in_one_folder(whole, tmp_path, capsys):
    give(whole, tmp_path, "prepare")
    words = commands(tmp_path)["train"]
    trainings = [start(*words) for _ in range(8)]
    said = [training.communicate()[1] for training in trainings]
    refused = [text for training, text in zip(trainings, said, strict=True) if training.returncode]
    assert all("another process is training in" in text and "Traceback" not in text for text in refused)
    assert len(refused) < 8 and call(*words) == 0
    right = {name: found for name, found in numbers(whole / "runs").items() if f"runs/{name}" in made("train")}
    assert numbers(tmp_path / "runs") == right
    with capsys.disabled():
        print(f"\n8 trainings in one folder: {8 - len(refused)} ended well, {len(refused)} refused", end="")


def test_syncs_beside_reports_and_restores(tmp_path, capsys):
    made_up(tmp_path / "results")
    task = tracked(tmp_path / "results", "sync")
    results = tmp_path / "results" / "toy"
    assert start("sync", results).wait() == 0
    others = []
    for number in range(4):
        words = (("sync", results), ("report", results), ("restore", "toy", "--out", results.parent / f"again{number}"))
        others += [start(*each) for each in words]
    for process in others:
        said = process.communicate()[1]
        assert process.returncode == 0, said
    first, *more = [numbers(results.parent / f"again{number}") for number in range(4)]
    assert first and all(each == first for each in more) and task.numbers(tmp_path / "results") == first
    with capsys.disabled():
        print(f"\nsyncs beside reports and restores: {len(others)} ended well", end="")


def test_two_preparations_of_one_folder(whole, tmp_path, capsys):
    give(whole, tmp_path, "synthesize")
    words, refused = commands(tmp_path)["prepare"], 0
    for _ in range(5):
        both = [start(*words) for _ in range(2)]
        for process in both:
            said = process.communicate()[1]
            assert process.returncode == 0 or "another process is preparing a data set in" in said, said
            refused += process.returncode != 0
    assert numbers(tmp_path / "data") == numbers(whole / "data")
    with capsys.disabled():
        print(f"\ntwo preparations of one folder: {10 - refused} ended well, {refused} refused", end="")


def test_files_removed_underfoot(tmp_path, capsys):
    """While a report is read, files of the runs go one after the other: no number is wrong, no traceback."""
    finished = make_finished(tmp_path / "finished")
    place, draw, came = tmp_path / "place", random.Random(0), []
    for _ in range(10):
        results = shutil.copytree(finished, place / "toy")
        files = sorted(results.glob("runs/*/*/*/seed*/*"))
        remover = subprocess.Popen([sys.executable, "-c", REMOVE, *map(str, draw.sample(files, 8))])
        try:
            while remover.poll() is None:
                try:
                    came.append(is_told(right_of(finished), results))
                except BenchError:
                    came.append("refused")
        finally:
            remover.wait()
            shutil.rmtree(place)
    with capsys.disabled():
        print(f"\nfiles removed underfoot: {len(came)} readings, {came.count('survived')} survived, "
              f"{came.count('refused')} refused, {came.count('wrong')} wrong", end="")  # fmt: skip
    assert "wrong" not in came and "refused" in came


REMOVE = "import sys, time, pathlib\nfor path in sys.argv[1:]: time.sleep(0.3); pathlib.Path(path).unlink()"
