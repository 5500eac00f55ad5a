"""Odd tables are prepared or refused in a sentence that says where and what; never a traceback."""

import datetime as dt
import tempfile
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing.parametric import dataframes

from mlet_bench.data import DATASETS
from mlet_bench.data.dataset import load_split
from mlet_bench.data.prepare import prepare
from mlet_bench.errors import BenchError
from mlet_bench.spec import SPLITS

N = 30
LABEL = [i % 3 % 2 for i in range(N)]


def made(folder, columns, form="parquet", split=None, **options):
    """Prepare columns beside a label; the first is categorical unless options say otherwise."""
    table = pl.DataFrame(
        {**columns, "y": LABEL[: len(next(iter(columns.values())))]} if "y" not in columns else columns
    )
    path = folder / f"t.{form}"
    table.write_parquet(path) if form == "parquet" else table.write_csv(path)
    options = {"label": "y", "categorical": [next(iter(columns))]} | options
    schema = prepare("table", path, folder / "out", options=options, split=split)
    return schema, [load_split(folder / "out", schema, part) for part in SPLITS]


def tokens(folder, field="c"):
    return pl.read_parquet(folder / "out" / "vocabulary" / f"{field}.parquet")["token"].to_list()


CATEGORIES = {
    "nulls": ([None, "a"] * 15, [None, "a"]),
    "nothing but null": ([None] * N, [None]),
    "unicode": (["ü", "日本", "\u202eabc"] * 10, ["ü", "日本", "\u202eabc"]),
    "line ends and NUL": (["a\nb", "a\0b", '"'] * 10, ["a\nb", "a\0b", '"']),
    "beyond 2^53": ([2**53, 2**53 + 1, -(2**63)] * 10, [str(2**53), str(2**53 + 1), str(-(2**63))]),
    "unsigned": (pl.Series([2**64 - 1, 0] * 15, dtype=pl.UInt64), [str(2**64 - 1), "0"]),
    "128 bits": (pl.Series([2**100, 1] * 15, dtype=pl.Int128), [str(2**100), "1"]),
    "booleans": ([True, False, None] * 10, ["true", "false", None]),
    "dates": ([dt.date(2024, 2, 29), None] * 15, ["2024-02-29", None]),
    "decimals": ([Decimal("1.50"), Decimal("-2.00")] * 15, ["1.50", "-2.00"]),
    "whole floats": ([1.0, -0.0, None, float("nan")] * 7 + [1.0] * 2, ["1", "0", None]),
    "enum": (pl.Series(["x", "y"] * 15, dtype=pl.Enum(["y", "x"])), ["x", "y"]),
    "times": (pl.Series([dt.time(1, 2), None] * 15), ["01:02:00", None]),
}


@pytest.mark.parametrize("kind", CATEGORIES)
def test_categories_of_every_kind(tmp_path, kind):
    values, expected = CATEGORIES[kind]
    schema, _ = made(tmp_path, {"c": values})
    found = tokens(tmp_path)
    assert found == expected and schema.table_sizes == (len(expected),)


REFUSED = {
    "list": ([[1, 2]] * N, "List(Int64) cannot be categorical: write it as text"),
    "struct": ([{"a": 1}] * N, "cannot be categorical"),
    "binary": ([b"\xff"] * N, "Binary cannot be categorical"),
    "float": ([1.0] * 6 + [0.5] * 24, "row 7, column c: '0.5' is not a whole number below 2^53"),
    "large float": ([2.0**60] * N, "row 1, column c: '1.152921504606847e+18' is not a whole number"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_a_category(tmp_path, kind):
    values, sentence = REFUSED[kind]
    with pytest.raises(BenchError) as caught:
        made(tmp_path, {"c": values})
    assert str(tmp_path / "t.parquet") in str(caught.value) and sentence in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock") == ["t.parquet"]


DENSE = {
    "infinite": ([1.0] * 4 + [float("inf")] * 26, "row 5, column x: 'inf' is not a finite number that float32 holds"),
    "beyond float32": ([1e39] * N, "row 1, column x: '1e+39' is not a finite number"),
    "text": (["1", "cheap"] * 15, "row 2, column x: 'cheap' is not a finite number"),
    "dates": ([dt.date(2024, 1, 1)] * N, "column x: Date cannot be dense, which is a number; is it categorical?"),
    "list": ([[1.0]] * N, "List(Float64) cannot be dense"),
}


@pytest.mark.parametrize("kind", DENSE)
def test_what_cannot_be_dense(tmp_path, kind):
    values, sentence = DENSE[kind]
    with pytest.raises(BenchError) as caught:
        made(tmp_path, {"c": ["a"] * N, "x": values}, dense=["x"])
    assert sentence in str(caught.value)


def test_texts_decimals_and_booleans_are_numbers(tmp_path):
    columns = {"c": ["a"] * N, "t": ["1.5", None, " "[:0] or None] * 10, "d": [Decimal("2.50")] * N, "b": [True] * N}
    _, parts = made(tmp_path, columns, dense=dict.fromkeys("tdb", "none"))
    assert {tuple(row) for part in parts for row in part.dense.tolist()} == {(1.5, 2.5, 1.0), (0.0, 2.5, 1.0)}


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        ([0, 1, 2] * 10, "row 3, column y: '2' is not a label (0 or 1)"),
        (["0", "yes"] * 15, "row 2, column y: 'yes' is not a label"),
        ([0, None] * 15, "row 2, column y: a value is missing, and one is needed"),
        ([dt.date(2024, 1, 1)] * N, "column y: Date cannot be a label"),
    ],
)
def test_what_cannot_be_a_label(tmp_path, label, sentence):
    with pytest.raises(BenchError) as caught:
        made(tmp_path, {"c": ["a"] * N, "y": label})
    assert sentence in str(caught.value)


@pytest.mark.parametrize("label", [[True, False] * 15, ["1.0", "0.0"] * 15, ["True", "FALSE"] * 15, [1.0, 0.0] * 15])
def test_labels_of_every_kind(tmp_path, label):
    schema, _ = made(tmp_path, {"c": ["a"] * N, "y": label})
    assert sum(schema.clicks.values()) == 15


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_one_column_and_three_hundred(tmp_path, form):
    schema, _ = made(tmp_path, {"c": list(range(N))}, form)
    assert schema.table_sizes == (N,) and schema.dense == ()
    wide = {f"c{i}": [i, None] * 15 for i in range(150)} | {f"x{i}": [i / 2] * N for i in range(150)}
    schema, parts = made(tmp_path, wide, form, categorical=list(wide)[:150], dense=list(wide)[150:])
    assert (len(schema.fields), len(schema.dense)) == (150, 150) and parts[0].ids.shape == (24, 150)


def test_duplicate_rows_are_rows_and_a_constant_label_is_prepared(tmp_path):
    schema, parts = made(tmp_path, {"c": ["a"] * N, "y": [1] * N})
    assert schema.clicks == schema.rows == {"train": 24, "val": 3, "test": 3} and schema.table_sizes == (1,)
    assert not parts[0].ids.any()


@pytest.mark.parametrize("form", ["parquet", "csv"])
@pytest.mark.parametrize("rows", [0, 1])
def test_one_row_or_none_is_too_few(tmp_path, form, rows):
    with pytest.raises(BenchError, match=f"{rows} rows are too few|cannot be read as a table"):
        made(tmp_path, {"c": ["a"] * rows, "y": [1] * rows}, form)


WRONG = {
    "short row": (b"c,y\na,1\nb\n", {}, "row 2 (line 3): 1 columns, expected 2"),
    "long row": (b"c,y\na,1\nb,1,2\n", {}, "row 2 (line 3): 3 columns, expected 2"),
    "blank line": (b"c,y\na,1\n\nb,0\n", {}, "row 2 (line 3): 0 columns, expected 2"),
    "no such column": (b"c,z\na,1\n", {}, "label 'y' is neither a column nor an SQL expression|has no column 'y'"),
    "another separator": (b"c;y\na;1\n", {}, "has no column 'c': it has 'c;y'"),
    "two of a name": (b"c,c,y\na,b,1\n", {}, "has two columns 'c': rename one"),
    "no UTF-8": (b"c,y\n\xff\xfe,1\n", {}, "cannot be read as a table"),
    "open quote": (b'c,y\n"a,1\nb,0\n', {}, "is opened and never closed"),
    "empty": (b"", {}, "cannot be read as a table"),
    "cut Parquet": (b"PAR1\0\0\0\0", {}, "cannot be read as a table"),
    "cut gzip": (b"\x1f\x8b\x08\0\0\0", {}, "cannot be read as a table"),
    "cut zip": (b"PK\x03\x04", {}, "cannot be read as a table"),
    "names": (b"a,1\n", {"names": ["c", "y", "z"]}, "cannot be read as a table"),
    "no expression": (b"c,y\na,1\n", {"where": "c ="}, "where 'c =' is neither a column nor an SQL expression"),
    "expression of another type": (b"c,y\na,1\n", {"where": "y + 1"}, "gives Int64, not true or false"),
    "unknown in an expression": (b"c,y\na,1\n", {"label": "z > 1"}, "label: .* has no column 'z'"),
    "type changes": (b"c,y\na,1\n" * 1 + b"b,x\n", {"label": "y > 0"}, "row 2|cannot"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_faulty_file_is_refused_by_its_place(tmp_path, kind):
    content, options, sentence = WRONG[kind]
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(BenchError, match=sentence.replace("(", r"\(").replace(")", r"\)")):
        prepare("table", tmp_path / "t.csv", tmp_path / "out", options={"label": "y", "categorical": ["c"]} | options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "split", "sentence"),
    [
        ({"label": None}, None, "table has no label"),
        ({"categorical": []}, None, "table has no categorical column"),
        ({"categorical": ["c", "c"]}, None, "column 'c' is named twice"),
        ({"dense": ["c"]}, None, "column 'c' is named twice"),
        ({"categorical": ["label"]}, None, "a column 'label' cannot be a feature"),
        ({"categorical": ["a/b"]}, None, "column 'a/b' names a file of the vocabulary"),
        ({"dense": {"x": "sqrt"}}, None, "dense column x: no transform 'sqrt'"),
        ({"separator": "ab"}, None, "separator is 'ab': it must be one ASCII character"),
        ({}, {"by": "week"}, "is not possible: give random; "),
        ({}, {"by": "time", "column": "t", "val": [1]}, "split by time has by, column, val; it needs by, column"),
        ({}, {"by": "column", "column": "t", "val": [1], "test": ["1"]}, "1 is both val and test"),
        ({"colour": "red"}, None, "table has no option 'colour'"),
    ],
)
def test_impossible_options_are_refused_before_a_file_is_read(options, split, sentence):
    with pytest.raises(BenchError) as caught:
        DATASETS["table"]({"label": "y", "categorical": ["c"]} | options, split)
    assert sentence in str(caught.value)


def test_a_split_by_column_without_rows_for_a_part(tmp_path):
    split = {"by": "column", "column": "f", "val": [1], "test": [2]}
    with pytest.raises(BenchError, match="no row of 30 has a value of the split's column that is for test"):
        made(tmp_path, {"c": ["a"] * N, "f": [0, 1] * 15}, split=split)
    schema, _ = made(
        tmp_path, {"c": ["a"] * N, "f": [True, None, False] * 10}, split=split | {"val": [True], "test": [False]}
    )
    assert schema.rows == {"train": 10, "val": 10, "test": 10}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(table=dataframes(max_cols=4, max_size=30), as_csv=st.booleans(), dense=st.booleans(), time=st.booleans())
def test_whatever_polars_writes_is_prepared_or_refused(table, as_csv, dense, time):
    names = table.columns
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t")
        try:
            table.with_columns(y=pl.int_range(pl.len()) % 2).write_csv(path) if as_csv else table.with_columns(
                y=pl.int_range(pl.len()) % 2
            ).write_parquet(path)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            return  # polars writes no such table
        options = {"label": "y", "categorical": names[:1], "dense": names[1:] if dense else []}
        split = {"by": "time", "column": names[-1]} if time and names else None
        try:
            schema = prepare("table", path, Path(folder, "out"), options=options, split=split)
        except BenchError:
            assert not Path(folder, "out").exists()
            return
        assert sum(schema.rows.values()) == table.height
        assert all(len(load_split(Path(folder, "out"), schema, part)) == schema.rows[part] for part in SPLITS)
