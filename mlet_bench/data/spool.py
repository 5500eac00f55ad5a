"""What the two passes of the preparation hand on: typed rows and ids, uncompressed, in a folder that goes at the end.

Read by column or in blocks, and never mapped into memory: what is resident is what is in use.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

ROWS = "rows.arrow"


def write_rows(spool: Path, tables: Iterable[pa.Table]) -> None:
    """Store the tables, one below the other, as they come."""
    with pa.OSFile(str(spool / ROWS), "wb") as file:
        writer = None
        for table in tables:
            writer = writer or pa.ipc.new_file(file, table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()


def read_column(spool: Path, name: str) -> pa.ChunkedArray:
    """One column of all rows."""
    with pa.OSFile(str(spool / ROWS)) as file:
        position = pa.ipc.open_file(file).schema.get_field_index(name)
        options = pa.ipc.IpcReadOptions(included_fields=[position])
        return pa.ipc.open_file(file, options=options).read_all().column(0)


def read_blocks(spool: Path, columns: list[str], fields: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """Columns of the stored rows followed by the ids of fields, a block of rows at a time."""
    with pa.OSFile(str(spool / ROWS)) as file:
        schema = pa.ipc.open_file(file).schema
        positions = [schema.get_field_index(name) for name in columns]
        reader = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=sorted(positions)))
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
