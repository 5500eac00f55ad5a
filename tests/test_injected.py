"""Injected faults, a few of each kind: ``make stress`` injects thousands of the same."""

import random

import pytest
from broken_disk import compiled, fail_everywhere, staged
from finished import is_told, make_finished, right_of, runs_of
from flips import KINDS, damage_and_read, flipped, prepare_place, replaced

from mlet_bench.tables import read

pytest.importorskip("mlflow", reason="MLflow comes with the 'workflow' extra")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    finished = make_finished(tmp_path_factory.mktemp("finished"))
    return prepare_place(finished, tmp_path_factory.mktemp("flips"))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("damage", [flipped, replaced])
def test_a_damaged_file_is_refused_or_changes_no_number(results, name, damage):
    kind = KINDS[name]
    came, wrong = damage_and_read(results, kind, 1 if kind.slow else 3, random.Random(name), damage)
    assert not wrong and came.total(), "\n".join(wrong)


@pytest.mark.parametrize(
    "file", ["spec.json", "curve.parquet", "metrics.json", "deployed.json", "spectrum.parquet", "rare.parquet"]
)
def test_a_file_that_goes_while_its_run_is_read_makes_the_run_one_that_failed(results, monkeypatch, file):
    numbers, path = read._numbers, runs_of(results, "mlet-d4-k8") / "seed0" / file
    content = path.read_bytes()

    def late(run):
        if run.path == path.parent:
            path.unlink()
        return numbers(run)

    monkeypatch.setattr(read, "_numbers", late)
    try:
        assert is_told(right_of(results.parent / "right"), results) == "refused"
    finally:
        path.write_bytes(content)


@pytest.fixture(scope="module")
def preload(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("shim"))


@pytest.mark.parametrize("name", ["synthesize", "evaluate"])
def test_the_last_write_fsync_or_rename_of_a_command_fails(name, whole, preload, tmp_path):
    came, wrong = fail_everywhere(staged(whole, name), tmp_path, preload, 1)
    assert not wrong, "\n".join(wrong)
    assert sum(counts["refused"] for counts in came.values()) >= 4
