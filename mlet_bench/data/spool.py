"""What the two passes of the preparation hand on: typed rows and ids, uncompressed, in a folder that goes at the end.

Tokens lie in a file of their own, because they are read a field at a time and everything else a block at a time.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa

TOKENS, FEATURES = "tokens.arrow", "features.arrow"


def write_rows(spool: Path, tables: Iterable[pa.Table], fields: Iterable[str]) -> None:
    """Store the tables, one below the other: the tokens of ``fields``, and the other columns."""
    fields = list(fields)
    with ExitStack() as stack:
        writers = None
        for table in tables:
            parts = {TOKENS: table.select(fields), FEATURES: table.drop_columns(fields)}
            if writers is None:
                files = {name: stack.enter_context(pa.OSFile(str(spool / name), "wb")) for name in parts}
                writers = {
                    name: stack.enter_context(pa.ipc.new_file(files[name], parts[name].schema)) for name in parts
                }
            for name, part in parts.items():
                writers[name].write_table(part)


def read_column(spool: Path, name: str, file: str = TOKENS) -> pa.ChunkedArray:
    """One column of all rows, mapped: of the file only its pages are read, and they go with the column."""
    with pa.memory_map(str(spool / file)) as mapped:
        return pa.ipc.open_file(mapped).read_all().column(name)


def read_blocks(spool: Path, columns: list[str], fields: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """Feature columns of the stored rows followed by the ids of fields, a block of rows at a time."""
    # Not mapped: pages of a map stay resident until its end.
    with pa.OSFile(str(spool / FEATURES)) as file:
        reader = pa.ipc.open_file(file)
        start = 0
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            arrays = [batch.column(name) for name in columns]
            count, offset = batch.num_rows, 4 * start
            arrays += [pa.array(np.fromfile(_ids(spool, field), np.int32, count, offset=offset)) for field in fields]
            start += count
            yield pa.RecordBatch.from_arrays(arrays, names=[*columns, *fields])


def write_ids(spool: Path, field: str, ids: np.ndarray) -> None:
    """Store the ids of one field: (n_rows,) int32."""
    ids.tofile(_ids(spool, field))


def _ids(spool: Path, field: str) -> Path:
    return spool / f"{field}.int32"
