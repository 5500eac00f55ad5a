"""The end of the preparation: labels, dense features and ids put together, a Parquet file a split."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlet_bench.data.ahead import ahead
from mlet_bench.data.format import RawFormat
from mlet_bench.data.passes import one_pass
from mlet_bench.data.spool import read_blocks
from mlet_bench.spec import SPLITS

GROUP_ROWS = 1 << 20  # of a row group of the result


def assemble(fmt: RawFormat, codes: np.ndarray, spool: Path, folder: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Put labels, dense features and ids of each split together.

    Returns:
        rows and clicks of each split.
    """
    schema = pa.schema(
        [
            pa.field("label", pa.int8(), nullable=False),
            *(pa.field(name, pa.float32(), nullable=False) for name in fmt.dense),
            *(pa.field(name, pa.int32(), nullable=False) for name in fmt.fields),
        ]
    )
    rows, clicks = dict.fromkeys(SPLITS, 0), dict.fromkeys(SPLITS, 0)
    start = 0
    with (
        ExitStack() as stack,
        one_pass("write", "rows", len(codes)) as progress,
    ):
        writers = {part: stack.enter_context(_Writer(folder / f"{part}.parquet", schema)) for part in SPLITS}
        for block in ahead(read_blocks(spool, ["label", *fmt.dense], fmt.fields)):
            batch = pa.RecordBatch.from_arrays(block.columns, schema=schema)
            of_batch = codes[start : start + batch.num_rows]
            start += batch.num_rows
            for code, part in enumerate(SPLITS):
                mine = of_batch == code
                chosen = batch if mine.all() else batch.filter(pa.array(mine))
                if chosen.num_rows:
                    writers[part].write(chosen)
                    rows[part] += chosen.num_rows
                    clicks[part] += pc.sum(chosen["label"]).as_py()
            progress.update(batch.num_rows)
    return rows, clicks


class _Writer:
    """A Parquet file whose row groups have ``GROUP_ROWS`` rows, whatever arrives at a time."""

    def __init__(self, path: Path, schema: pa.Schema):
        self._schema = schema
        self._file = pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)
        self._waiting: list[pa.RecordBatch] = []

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._flush(everything=True)
        self._file.close()

    def write(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._flush(everything=False)

    def _flush(self, everything: bool) -> None:
        while (waiting := sum(batch.num_rows for batch in self._waiting)) >= (1 if everything else GROUP_ROWS):
            table = pa.Table.from_batches(self._waiting, schema=self._schema)
            self._file.write_table(table.slice(0, GROUP_ROWS), row_group_size=GROUP_ROWS)
            self._waiting = table.slice(GROUP_ROWS).to_batches() if waiting > GROUP_ROWS else []
