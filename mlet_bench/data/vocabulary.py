"""Pass 2 of the preparation: each field's vocabulary, and its column as ids."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from mlet_bench.data.split import TRAIN

SPOOL_GROUP_ROWS = 1 << 18


def encode_fields(fields: tuple[str, ...], codes: np.ndarray, spool: Path, vocabularies: Path) -> list[int]:
    """Write each field's vocabulary, and the ids of all rows into the spool's ``<field>.parquet``, field by field.

    Args:
        codes: (n_rows,) the split of each row; the vocabulary counts training rows.
        spool: folder with ``rows.parquet``, the tokens as numbers.

    Returns:
        the fields' table sizes.
    """
    vocabularies.mkdir()
    pq.write_table(pa.table({"code": codes}), spool / "codes.parquet", compression="lz4")
    is_train = pl.col("code") == TRAIN
    sizes = []
    with tqdm(desc="encode", total=len(codes) * len(fields), unit=" values", unit_scale=True, disable=None) as progress:
        for field in fields:
            tokens = pl.scan_parquet(spool / "rows.parquet").select(token=field)
            rows = pl.concat([tokens, pl.scan_parquet(spool / "codes.parquet")], how="horizontal").with_row_index("row")
            first_and_count = (pl.col("row").min(), is_train.sum().cast(pl.Int64).alias("count"))
            vocabulary = (
                rows.group_by("token").agg(*first_and_count).sort("row").drop("row").collect(engine="streaming")
            )
            ids = pl.int_range(vocabulary.height, dtype=pl.Int32, eager=True).alias("id")
            vocabulary = vocabulary.with_columns(ids)
            encoded = tokens.join(
                vocabulary.lazy().select("token", "id"),
                on="token",
                how="left",
                nulls_equal=True,
                maintain_order="left",
            )
            encoded.select(pl.col("id").alias(field)).sink_parquet(
                spool / f"{field}.parquet", compression="lz4", row_group_size=SPOOL_GROUP_ROWS, engine="streaming"
            )
            _write_vocabulary(vocabulary, vocabularies / f"{field}.parquet")
            sizes.append(vocabulary.height)
            progress.update(len(codes))
    return sizes


def _write_vocabulary(vocabulary: pl.DataFrame, path: Path) -> None:
    """Write tokens as strings: 8 lower-case hex digits of a UInt32, else the decimal number."""
    table = vocabulary.to_arrow()
    if vocabulary.schema["token"] == pl.UInt32:
        values = vocabulary["token"].fill_null(0).to_numpy()
        digits = values.astype(">u4").tobytes().hex().encode()
        ends = np.arange(0, 8 * (len(values) + 1), 8, dtype=np.int32)
        text = pa.StringArray.from_buffers(len(values), pa.py_buffer(ends), pa.py_buffer(digits))
        missing = pa.array(vocabulary["token"].is_null().to_numpy())
        tokens = pc.if_else(missing, pa.scalar(None, pa.string()), text)
    else:
        tokens = table["token"].cast(pa.string())
    columns = {"token": tokens, "id": table["id"], "count": table["count"]}
    pq.write_table(pa.table(columns), path, compression="zstd", write_page_checksum=True)
