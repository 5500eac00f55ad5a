"""Fixtures that several tests share."""

import pytest
import torch
from toys import SIZES, make_rows

from mlet_bench.data.dataset import Rows
from mlet_bench.spec import DatasetSchema, Field


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
