"""Criteo-Kaggle: a file small enough to prepare by hand, and the figures of the complete one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mlet_bench.data import DATASETS
from mlet_bench.data.prepare import prepare
from mlet_bench.errors import BenchError
from mlet_bench.spec import DatasetSchema, Field

CRITEO = DATASETS["criteo-kaggle"]()


def row(label, first_int="", first_token="", others="0000beef"):
    return "\t".join([label, first_int, *["1"] * 12, first_token, *[others] * 25]) + "\n"


# Label, I1 and C1 of fourteen rows: twelve to train on, one for test, one for validation.
ROWS = [
    ("1", "0", "0000000b"),
    ("0", "1", "0000000a"),
    ("0", "", ""),
    ("0", "-1", "0000000B"),
    ("1", "-2", "0000000a"),
    ("0", "9", "ffffffff"),
    ("0", "99", "00000000"),
    ("0", "65535", ""),
    ("0", "3", "0000000a"),
    ("0", "3", "0000000a"),
    ("0", "3", "0000000a"),
    ("0", "16777216", "0000000a"),  # 2^24: float32 has no 2^24 + 1
    ("1", "7", "0000000b"),  # test
    ("0", "7", "0000000c"),  # validation
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("criteo")
    (folder / "train.txt").write_text("".join(row(*values) for values in ROWS))
    return folder / "out", prepare("criteo-kaggle", folder / "train.txt", folder / "out")


def test_ids_count_by_first_appearance_and_missing_is_a_category(prepared):
    folder, _ = prepared
    train = pd.read_parquet(folder / "train.parquet")
    #                               b  a  -  b  a  ff 00 -  a  a  a  a
    assert train["C1"].tolist() == [0, 1, 2, 0, 1, 3, 4, 2, 1, 1, 1, 1]
    assert pd.read_parquet(folder / "test.parquet")["C1"].tolist() == [0]
    assert pd.read_parquet(folder / "val.parquet")["C1"].tolist() == [5]
    assert set(train["C2"]) == {0}


def test_the_vocabulary_counts_training_rows(prepared):
    table = pd.read_parquet(prepared[0] / "vocabulary" / "C1.parquet")
    tokens = [None if pd.isna(token) else token for token in table["token"]]
    assert tokens == ["0000000b", "0000000a", None, "ffffffff", "00000000", "0000000c"]
    assert table["id"].tolist() == [0, 1, 2, 3, 4, 5]
    assert table["count"].tolist() == [2, 6, 2, 1, 1, 0]


def test_numbers_become_logarithms(prepared):
    train = pd.read_parquet(prepared[0] / "train.parquet")
    x = [0, 1, 0, 0, 0, 9, 99, 65535, 3, 3, 3, 16777215]
    np.testing.assert_array_equal(train["I1"], np.log1p(np.array(x, float)).astype(np.float32))
    assert train["I1"].dtype == np.float32
    np.testing.assert_array_equal(train["I2"], np.full(12, np.log(2.0), np.float32))


def test_labels_keep_the_order_of_the_file(prepared):
    folder, schema = prepared
    train = pd.read_parquet(folder / "train.parquet")
    assert train["label"].tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert train["label"].dtype == np.int8
    assert (schema.rows, schema.clicks) == ({"train": 12, "val": 1, "test": 1}, {"train": 2, "val": 0, "test": 1})
    assert schema.table_sizes == (6, *[1] * 25)
    assert schema.dense == tuple(f"I{number}" for number in range(1, 14))
    assert schema.preparation == {"split": "blocks", "max_rows": None, "authors_hour": False}


def test_the_published_table_sizes_add_up():
    assert len(CRITEO.table_sizes) == len(CRITEO.fields) == 26
    assert sum(CRITEO.table_sizes) == 33_762_577
    assert [len(CRITEO.dense), len(CRITEO.columns)] == [13, 40]


def test_a_complete_file_must_have_the_published_figures():
    fields = tuple(Field(name, size) for name, size in zip(CRITEO.fields, CRITEO.table_sizes))
    clicks = {"train": 11_000_000, "val": 700_000, "test": 45_438}
    source = {"file": "train.txt", "md5": "", "rows": 45_840_617, "planted": None}
    schema = DatasetSchema(
        "criteo-kaggle", fields, tuple(dense.column for dense in CRITEO.dense), {}, clicks, source, {}, 1
    )
    CRITEO.check_full(schema)
    wrong = replace(schema, fields=(*fields[:2], Field("C3", 10131226), *fields[3:]))
    with pytest.raises(BenchError, match="column C3 has 10131226 categories, published are 10131227"):
        CRITEO.check_full(wrong)
    with pytest.raises(BenchError, match="11745439 clicks, published are 11745438"):
        CRITEO.check_full(replace(schema, clicks={**clicks, "test": 45_439}))
    CRITEO.check_full(replace(wrong, source={**source, "rows": 45_840_616}))
    CRITEO.check_full(replace(wrong, source={**source, "planted": {"seed": 0}}))
