"""Tables of a run: the same as pyarrow and pandas make of the same values."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlet_bench.errors import BenchError
from mlet_bench.parquet import as_array, read_table, table_of_columns, table_of_records, write_table

SCHEMA = pa.schema(
    {"field": pa.string(), "size": pa.int64(), "label": pa.int8(), "logit": pa.float32(), "auc": pa.float64()}
)
RECORDS = [("C1", 2**40, 1, 0.5, 0.1), ("", -3, 0, -1.25, 1e-300), ("ключ", 0, -128, 3.0, 2 / 3)]


def test_a_table_of_records_is_what_pyarrow_makes_of_them():
    expected = pa.Table.from_pylist([dict(zip(SCHEMA.names, record)) for record in RECORDS], schema=SCHEMA)
    made = table_of_records(RECORDS, SCHEMA)
    made.validate(full=True)
    assert made.equals(expected)


@pytest.mark.parametrize("records", [RECORDS, []])
def test_written_and_read_it_is_the_same_here_and_in_pandas(records, tmp_path):
    table = table_of_records(records, SCHEMA)
    write_table(tmp_path / "a.parquet", table)
    assert read_table(tmp_path / "a.parquet", "write it").equals(table)
    frame = pd.read_parquet(tmp_path / "a.parquet")
    assert tuple(frame.columns) == tuple(SCHEMA.names)
    assert list(frame.itertuples(index=False, name=None)) == records


def test_none_is_nan_in_a_column_of_numbers_and_refused_in_one_of_counts():
    schema = pa.schema({"auc": pa.float64()})
    assert np.isnan(as_array(table_of_columns([[0.5, None]], schema)["auc"])[1])
    with pytest.raises(TypeError):
        table_of_columns([[1, None]], pa.schema({"size": pa.int64()}))


def test_columns_of_another_number_are_refused():
    with pytest.raises(ValueError):
        table_of_columns([["C1"]], SCHEMA)
    with pytest.raises(ValueError):
        table_of_records([("C1", 1)], SCHEMA)
    with pytest.raises(ValueError):
        table_of_columns([[1.0, 2.0], [3.0]], pa.schema({"auc": pa.float64(), "logloss": pa.float64()}))


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_an_array_of_any_number_of_chunks(chunks):
    parts = [np.arange(4, dtype=np.int32) + number for number in range(chunks)]
    column = pa.chunked_array([pa.array(part) for part in parts], type=pa.int32())
    found = as_array(column)
    assert found.dtype == np.int32 and np.array_equal(found, column.to_numpy())


def test_strided_values_are_stored_in_their_order():
    values = np.arange(10, dtype=np.float64)[::-2]
    assert as_array(table_of_columns([values], pa.schema({"x": pa.float32()}))["x"]).tolist() == values.tolist()


def test_an_absent_and_a_broken_file_are_sentences(tmp_path):
    with pytest.raises(BenchError, match=r"a\.parquet does not exist: train the run anew"):
        read_table(tmp_path / "a.parquet", "train the run anew")
    write_table(tmp_path / "a.parquet", table_of_records(RECORDS, SCHEMA))
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-9])
    with pytest.raises(BenchError, match=r"damaged or no Parquet file .*: train the run anew"):
        read_table(tmp_path / "a.parquet", "train the run anew")
