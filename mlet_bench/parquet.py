"""The Parquet files of a run, written and read without pandas.

pyarrow imports pandas, if it is there, whenever it judges a Python object or reads by ``pyarrow.parquet.read_table``:
0.4 s in each process of a grid. Columns are handed over as buffers here, so that the report alone pays for it.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlet_bench.errors import BenchError
from mlet_bench.files import atomic


def table_of_records(records: Iterable[Sequence], schema: pa.Schema) -> pa.Table:
    """A table of records, each with a value a column.

    Raises:
        ValueError, TypeError: as ``table_of_columns``.
    """
    return table_of_columns(list(zip(*records, strict=True)) or [()] * len(schema), schema)


def table_of_columns(columns: Sequence[Sequence | np.ndarray], schema: pa.Schema) -> pa.Table:
    """A table of columns in the order of the schema: strings or numbers, (N,), or lists, (N, L); None becomes NaN.

    Raises:
        ValueError: more or fewer columns, or columns of different lengths.
        TypeError: None in a column of integers.
    """
    arrays = [_array(values, column.type) for values, column in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(values: Sequence | np.ndarray, kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind):
        texts = [value.encode() for value in values]
        offsets = np.cumsum([0, *map(len, texts)], dtype=np.int32)
        return pa.Array.from_buffers(kind, len(texts), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(texts))])
    if pa.types.is_list(kind):
        rows = np.asarray(values).reshape(len(values), -1)  # (N, L)
        offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1] if len(rows) else np.zeros(1, np.int32)
        return pa.ListArray.from_arrays(_array(offsets, pa.int32()), _array(rows.ravel(), kind.value_type))
    letter = "i" if pa.types.is_integer(kind) else "f"
    numbers = np.ascontiguousarray(values, dtype=f"{letter}{kind.bit_width // 8}")
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])


def as_array(column: pa.ChunkedArray) -> np.ndarray:
    """A column of numbers without nulls, (N,), not to be written to; of a single chunk without a copy."""
    return np.from_dlpack(column.chunk(0) if column.num_chunks == 1 else column.combine_chunks())


def write_table(
    path: Path | str, table: pa.Table, compression: str = "snappy", notes: dict[str, str] | None = None
) -> None:
    """Write a Parquet file with a sum of each page, whole or not at all.

    Args:
        notes: kept with the table; ``read_table(...).schema.metadata`` has them as bytes.
    """
    with atomic(path) as partial:
        options = {"compression": compression, "write_page_checksum": True, "store_schema": False}
        with pq.ParquetWriter(partial, table.schema, **options) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata(notes or {})


def read_table(path: Path | str, hint: str) -> pa.Table:
    """Read a Parquet file of ours.

    Args:
        hint: what to do when the file is absent or damaged, as the second half of a sentence.

    Raises:
        BenchError: the file is absent, cut off, altered, or no Parquet.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read()
    except FileNotFoundError:
        raise BenchError(f"{path} does not exist: {hint}") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BenchError(f"{path} is damaged or no Parquet file ({error}): {hint}") from None
