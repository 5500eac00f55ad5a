"""The end of the preparation: labels, dense features and ids put together, a Parquet file a split."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlet_bench.data.ahead import ahead
from mlet_bench.data.format import RawFormat
from mlet_bench.data.passes import one_pass
from mlet_bench.data.spool import FEATURES, IDS, Spool
from mlet_bench.spec import SPLITS

GROUP_ROWS = 1 << 18  # of a row group of the result: 40 MB of Criteo, so that one is made while another is written
BLOCK_ROWS = 1 << 15  # read at a time: a column of them stays in the cache of a processor


def assemble(fmt: RawFormat, codes: np.ndarray, spool: Spool, folder: Path) -> tuple[dict[str, int], dict[str, int]]:
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
    columns = [*((FEATURES, name) for name in ("label", *fmt.dense)), *((IDS, name) for name in fmt.fields)]
    # Few distinct dense values: a dictionary. Ids are numbered densely, so one would repeat them: a byte of each at a
    # time instead, the high ones being all but constant.
    encoding = {
        "compression": "zstd",
        "use_dictionary": ["label", *fmt.dense],
        "use_byte_stream_split": list(fmt.fields),
    }
    rows, clicks = dict.fromkeys(SPLITS, 0), dict.fromkeys(SPLITS, 0)
    with one_pass("write", "rows", len(codes)) as progress, ExitStack() as stack:
        files = {}
        for part in SPLITS:
            file = pq.ParquetWriter(folder / f"{part}.parquet", schema, write_page_checksum=True, **encoding)
            files[part] = stack.enter_context(file)
        for part, group in ahead(_groups(spool, columns, codes)):
            _write_group(files[part], schema, group)
            rows[part] += len(group[0])
            clicks[part] += int(np.count_nonzero(group[0]))
            progress.update(len(group[0]))
    return rows, clicks


def _write_group(file: pq.ParquetWriter, schema: pa.Schema, group: list[np.ndarray]) -> None:
    file.write_table(pa.Table.from_arrays([pa.array(values) for values in group], schema=schema))


def _groups(spool: Spool, columns: list[tuple[str, str]], codes: np.ndarray) -> Iterator[tuple[str, list[np.ndarray]]]:
    """The columns of ``GROUP_ROWS`` rows of a split at a time, of the last ones fewer.

    The arrays of a group are used again once the next but one is asked for.
    """
    groups, lent, spare = {part: None for part in SPLITS}, [], []
    start = 0
    for block in spool.read_blocks(columns, BLOCK_ROWS):
        of_block = codes[start : start + len(block[0])]
        start += len(of_block)
        for code, part in enumerate(SPLITS):
            mine = np.flatnonzero(of_block == code)
            while len(mine):
                if groups[part] is None:
                    arrays = spare.pop() if spare else [np.empty(GROUP_ROWS, values.dtype) for values in block]
                    groups[part] = arrays, 0
                arrays, filled = groups[part]
                now, mine = mine[: GROUP_ROWS - filled], mine[GROUP_ROWS - filled :]
                for values, array in zip(block, arrays):
                    values.take(now, out=array[filled : filled + len(now)], mode="clip")
                groups[part] = arrays, filled + len(now)
                if filled + len(now) == GROUP_ROWS:
                    groups[part] = None
                    yield part, arrays
                    spare += lent
                    lent = [arrays]
    for part in SPLITS:
        if groups[part] is not None:
            arrays, filled = groups[part]
            yield part, [array[:filled] for array in arrays]
