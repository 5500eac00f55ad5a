"""The end of the preparation: labels, dense features and ids put together, a Parquet file a split."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from mlet_bench.data.format import RawFormat
from mlet_bench.spec import SPLITS

GROUP_ROWS = 1 << 20  # of a row group of the result
BATCH_ROWS = 1 << 18  # held at a time


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
    parts = [_batches(spool / "rows.parquet", ["label", *fmt.dense])]
    parts += [_batches(spool / f"{field}.parquet", [field]) for field in fmt.fields]
    rows, clicks = dict.fromkeys(SPLITS, 0), dict.fromkeys(SPLITS, 0)
    start = 0
    with (
        ExitStack() as stack,
        tqdm(desc="write", total=len(codes), unit=" rows", unit_scale=True, disable=None) as progress,
    ):
        writers = {part: stack.enter_context(_Writer(folder / f"{part}.parquet", schema)) for part in SPLITS}
        for batches in zip(*parts, strict=True):
            arrays = [column for batch in batches for column in batch.columns]
            batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
            of_batch = codes[start : start + batch.num_rows]
            start += batch.num_rows
            for code, part in enumerate(SPLITS):
                chosen = batch.filter(pa.array(of_batch == code))
                writers[part].write(chosen)
                rows[part] += chosen.num_rows
                clicks[part] += pc.sum(chosen["label"]).as_py() or 0
            progress.update(batch.num_rows)
    return rows, clicks


def _batches(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """A Parquet file's rows, ``BATCH_ROWS`` at a time whatever its row groups, the last batch shorter."""
    # Without these two settings the reader holds the file's whole content, compressed, while it is iterated over.
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 16) as file:
        left = file.metadata.num_rows
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
            if batch.num_rows != min(left, BATCH_ROWS):
                raise AssertionError(f"{path}: a batch of {batch.num_rows} rows, expected {min(left, BATCH_ROWS)}")
            left -= batch.num_rows
            yield batch


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
