"""Pass 2 of the preparation: each field's vocabulary, and its column as ids."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlet_bench.data.passes import one_pass
from mlet_bench.data.split import TRAIN
from mlet_bench.data.spool import IDS, MISSING, TOKENS, Spool

THREADS = 4  # fields at a time, at most: each holds its column, its ids and its vocabulary
COUNTED = 1 << 18  # ids counted at a time
# Eight digits each, numbers one apart, small numbers: no value repeats often enough for a dictionary.
ENCODINGS = {"token": "DELTA_LENGTH_BYTE_ARRAY", "id": "DELTA_BINARY_PACKED", "count": "DELTA_BINARY_PACKED"}


def encode_fields(fields: tuple[str, ...], codes: np.ndarray, spool: Spool, vocabularies: Path) -> list[int]:
    """Write each field's vocabulary, and the ids of all rows into the spool, a few fields at a time.

    Args:
        codes: (n_rows,) the split of each row; the vocabulary counts training rows.
        spool: has the rows, the tokens as numbers.

    Returns:
        the fields' table sizes.
    """
    vocabularies.mkdir()
    train = codes == TRAIN

    def encode(field: str) -> int:
        # Arrow's dictionary counts from 0 in order of first appearance; null is a value like others.
        missing = spool.read(MISSING, field) if spool.has(MISSING, field) else None
        column = pa.array(spool.read(TOKENS, field), mask=missing if missing is not None and missing.any() else None)
        encoded = pc.dictionary_encode(column, null_encoding="encode")
        del column, missing
        tokens, ids = encoded.dictionary, encoded.indices.to_numpy()
        spool.write(IDS, field, ids)
        for kind in (TOKENS, MISSING):
            spool.remove(kind, field)
        counts = np.zeros(len(tokens), np.int64)
        for start in range(0, len(ids), COUNTED):
            rows = slice(start, start + COUNTED)
            np.add.at(counts, ids[rows][train[rows]], 1)
        _write_vocabulary(tokens, counts, vocabularies / f"{field}.parquet")
        progress.update(len(ids))
        return len(tokens)

    with (
        one_pass("encode", "values", len(codes) * len(fields)) as progress,
        ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as threads,
    ):
        return list(threads.map(encode, fields))


def _write_vocabulary(tokens: pa.Array, counts: np.ndarray, path: Path) -> None:
    """Write tokens as strings: 8 lower-case hex digits of a uint32, else the decimal number."""
    if tokens.type == pa.uint32():
        values = tokens.fill_null(0).to_numpy()
        digits = values.astype(">u4").tobytes().hex().encode()
        ends = np.arange(0, 8 * (len(values) + 1), 8, dtype=np.int32)
        text = pa.StringArray.from_buffers(len(values), pa.py_buffer(ends), pa.py_buffer(digits))
        strings = pc.if_else(tokens.is_null(), pa.scalar(None, pa.string()), text)
    else:
        strings = tokens.cast(pa.string())
    ids = pa.array(np.arange(len(tokens), dtype=np.int32))
    columns = {"token": strings, "id": ids, "count": pa.array(counts)}
    options = {"compression": "zstd", "use_dictionary": False, "column_encoding": ENCODINGS}
    pq.write_table(pa.table(columns), path, write_page_checksum=True, **options)
