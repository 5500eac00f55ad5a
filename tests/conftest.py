"""Fixtures that several tests share."""

import os

import pytest
import torch
from staged import call, commands
from toys import SIZES, make_rows

from mlet_bench.data.dataset import Rows
from mlet_bench.spec import DatasetSchema, Field

os.environ.pop("MLFLOW_TRACKING_URI", None)  # the machine's own MLflow must not see the tests' runs
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when Triton is imported: its kernels then run on a CPU


def is_of_the_dag(file: str) -> bool:
    return file.startswith("tests/workflow/")


def pytest_collection_modifyitems(items):
    """The tests of the DAG begin first: they take longest."""
    items.sort(key=lambda item: not is_of_the_dag(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """In several processes (make test) the tests of a file stay together, and with them those that share what is made
    once: a finished run of the DAG, and every stage of ``staged``.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            of_stages = file in ("tests/test_kills.py", "tests/test_faults.py") or file.startswith("tests/stages/")
            return "workflow" if is_of_the_dag(file) else "stages" if of_stages else file

    return Together(config, log)


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors are faster on one thread, and results do not depend on the machine."""
    torch.set_num_threads(1)


@pytest.fixture
def schema() -> DatasetSchema:
    """Four fields and two dense features."""
    return DatasetSchema(
        name="criteo-kaggle",
        fields=tuple(Field(f"C{number + 1}", size) for number, size in enumerate(SIZES)),
        dense=("I1", "I2"),
        rows={"train": 700, "val": 150, "test": 150},
        clicks={"train": 250, "val": 50, "test": 50},
        source={"file": "toy.txt", "md5": "0" * 32, "rows": 1000, "planted": None},
        preparation={"split": "blocks", "max_rows": None},
        version=1,
    ).sealed()


@pytest.fixture
def splits() -> dict[str, Rows]:
    """700 rows of train, 150 of validation, 150 of test."""
    return {"train": make_rows(700), "val": make_rows(150, seed=1), "test": make_rows(150, seed=2)}


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Every stage of ``staged``, undisturbed: the raw file, the data set, and runs of two seeds. Nobody changes it."""
    place = tmp_path_factory.mktemp("staged") / "whole"
    for words in commands(place).values():
        assert call(*words) == 0
    return place
