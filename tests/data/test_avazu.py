"""Avazu: a file small enough to prepare by hand, both splits, its header, and the figures of the complete one."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mlet_bench.data import DATASETS
from mlet_bench.data.prepare import prepare
from mlet_bench.errors import BenchError
from mlet_bench.spec import DatasetSchema, Field

AVAZU = DATASETS["avazu"]()
NAMES = [column.name for column in AVAZU.columns]
HEADER = ",".join(NAMES)


def row(number, hour, click="0", **values):
    usual = {name: "1005" for name in NAMES} | {name: "0000beef" for name in NAMES if AVAZU.kind(name) == "hex"}
    return ",".join((usual | {"id": str(number), "hour": hour, "click": click} | values).values()) + "\n"


# Ids are beyond 64 bits. The last day, the 3rd, has three rows, not at the end.
ROWS = [
    row(10**19 + 1, "14110100", C20="-1", site_id="ABCDEF01"),
    row(10**19 + 2, "14110309", C20="100084", click="1"),
    row(10**19 + 3, "14110223", C20="-1", site_id="abcdef01"),
    row(10**19 + 4, "14110310", C20="-1", click="1"),
    row(10**19 + 5, "14110323", C20="7"),
    row(10**19 + 6, "14110200", C20="100084"),
]


def write(path, rows, header=HEADER):
    path.write_text(header + "\n" + "".join(rows))
    return path


@pytest.fixture
def last_day(tmp_path):
    return tmp_path / "out", prepare("avazu", write(tmp_path / "raw", ROWS), tmp_path / "out", split="last-day")


def test_the_last_day_is_held_out_in_the_order_of_the_file(last_day):
    folder, schema = last_day
    train, val, test = (pd.read_parquet(folder / f"{part}.parquet") for part in ("train", "val", "test"))
    np.testing.assert_array_equal(train["hour"], np.array([0, math.log(24), 0], np.float32))
    np.testing.assert_array_equal(test["hour"], np.array([math.log(10), math.log(11)], np.float32))
    np.testing.assert_array_equal(val["hour"], np.array([math.log(24)], np.float32))
    assert schema.clicks == {"train": 0, "val": 0, "test": 2}
    assert schema.preparation == {"split": "last-day", "max_rows": None, "authors_hour": False}


def test_the_authors_hour_is_the_constant_ln_6(tmp_path):
    """14102100 to 14103023, read as seconds since 1970, are all within hour 5."""
    rows = [row(number, f"1410{21 + number % 10}{number % 24:02}") for number in range(40)]
    raw = write(tmp_path / "raw", rows)
    sound, authors = (
        prepare("avazu", raw, tmp_path / str(flag), options={"authors_hour": flag}) for flag in (False, True)
    )
    for part in ("train", "val", "test"):
        found = pd.read_parquet(tmp_path / "True" / f"{part}.parquet")["hour"]
        np.testing.assert_array_equal(found, np.float32(math.log(6)))
    assert pd.read_parquet(tmp_path / "False" / "train.parquet")["hour"].nunique() > 10
    assert sound.fingerprint != authors.fingerprint


def test_ids_of_integers_and_of_tokens(last_day):
    folder, schema = last_day
    assert pd.read_parquet(folder / "train.parquet")["C20"].tolist() == [0, 0, 1]
    assert pd.read_parquet(folder / "test.parquet")["C20"].tolist() == [1, 0]
    assert pd.read_parquet(folder / "val.parquet")["C20"].tolist() == [2]
    table = pd.read_parquet(folder / "vocabulary" / "C20.parquet")
    assert table["token"].tolist() == ["-1", "100084", "7"]
    assert table["count"].tolist() == [2, 1, 0]
    assert pd.read_parquet(folder / "vocabulary" / "site_id.parquet")["token"].tolist() == ["abcdef01", "0000beef"]
    assert [field.name for field in schema.fields] == NAMES[3:]
    assert schema.dense == ("hour",)


def test_the_random_split_is_the_default_with_exact_sizes(tmp_path):
    rows = [row(number, "14102100", C14=str(number)) for number in range(57)]
    schema = prepare("avazu", write(tmp_path / "raw", rows), tmp_path / "out")
    assert schema.rows == {"train": 47, "val": 5, "test": 5}
    assert schema.preparation["split"] == "random"
    # C14 is the row number and so are its ids: every row is in one split, each in the order of the file.
    parts = [pd.read_parquet(tmp_path / "out" / f"{part}.parquet")["C14"].tolist() for part in schema.rows]
    assert sorted(itertools.chain(*parts)) == list(range(57))
    assert all(part == sorted(part) for part in parts)


def test_one_day_has_no_last_day(tmp_path):
    rows = [row(number, f"141021{number % 24:02d}") for number in range(30)]
    with pytest.raises(BenchError, match="all rows are of one day"):
        prepare("avazu", write(tmp_path / "raw", rows), tmp_path / "out", split="last-day")


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (HEADER.replace("click", "label"), "column 2 is 'label', expected 'click'"),
        (HEADER.replace("site_id", "site"), "column 6 is 'site', expected 'site_id'"),
        (HEADER.removesuffix(",C21"), "23 columns, expected 24"),
        (ROWS[0].strip().replace(",0,1411", ",7,1411"), "column 1 is '10000000000000000001', expected 'id'"),
        (f" {HEADER}", "column 1 is ' id', expected 'id'"),
        ("", "column 1 is '', expected 'id'"),
    ],
)
def test_a_wrong_header_is_refused_with_the_first_difference(tmp_path, header, sentence):
    with pytest.raises(BenchError) as caught:
        prepare("avazu", write(tmp_path / "raw", ROWS, header), tmp_path / "out")
    assert f"{tmp_path / 'raw'}, line 1 (header)" in str(caught.value)
    assert sentence in str(caught.value)


def test_a_header_with_a_column_more_than_the_rows_is_refused(tmp_path):
    with pytest.raises(BenchError, match="raw, line 2: 24 columns, the first line has 25"):
        prepare("avazu", write(tmp_path / "raw", ROWS, HEADER + ",C22"), tmp_path / "out")


def test_the_format_is_that_of_the_competition():
    assert len(NAMES) == 24
    assert NAMES[:5] == ["id", "click", "hour", "C1", "banner_pos"]
    assert NAMES[-3:] == ["C19", "C20", "C21"]
    assert len(AVAZU.table_sizes) == len(AVAZU.fields) == 21
    assert [name for name in NAMES if AVAZU.kind(name) == "hex"] == NAMES[5:14]
    sizes = dict(zip(AVAZU.fields, AVAZU.table_sizes))
    assert (sizes["C1"], sizes["device_ip"], sizes["C14"], sizes["C21"]) == (7, 6_729_486, 2626, 60)


def test_a_complete_file_must_have_the_published_figures():
    fields = tuple(Field(name, size) for name, size in zip(AVAZU.fields, AVAZU.table_sizes))
    source = {"file": "train.csv", "md5": "", "rows": 40_428_967, "planted": None}
    clicks = {"train": 6_865_066, "val": 0, "test": 0}
    schema = DatasetSchema("avazu", fields, ("hour",), {}, clicks, source, {}, 1)
    AVAZU.check_full(schema)
    with pytest.raises(BenchError, match="column C21 has 61 categories, published are 60"):
        AVAZU.check_full(replace(schema, fields=(*fields[:-1], Field("C21", 61))))
