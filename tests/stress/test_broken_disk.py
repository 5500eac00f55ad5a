"""The Nth write, fsync or rename of each command fails, for each N or as many as there is time for."""

import os

import pytest
from broken_disk import compiled, fail_everywhere, made_up, staged, tracked
from flips import told

pytestmark = pytest.mark.stress
ATTEMPTS = int(os.environ.get("MLET_BENCH_STRESS_CALLS", "12"))  # of each kind and way, where there are more calls
STAGES = ("synthesize", "prepare", "train", "deploy", "evaluate", "spectrum", "cell")


@pytest.fixture(scope="module")
def preload(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("shim"))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return made_up(tmp_path_factory.mktemp("made up") / "results")


@pytest.mark.parametrize("name", [*STAGES, "report", "sync"])
def test_a_broken_or_full_disk(name, whole, results, preload, tmp_path, capsys):
    command = staged(whole, name) if name in STAGES else tracked(results, name)
    came, wrong = fail_everywhere(command, tmp_path, preload, ATTEMPTS)
    with capsys.disabled():
        for kind, counts in came.items():
            print(f"\n{name}, {kind}: {told(counts)}", end="")
    assert not wrong, "\n".join(wrong)
