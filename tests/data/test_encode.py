"""Ids by first appearance over all blocks; work in threads: the items' order, the errors' order, and how far ahead."""

import threading
import time

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from mlet_bench.data import encode, split
from mlet_bench.data.base import Column, DataSet
from mlet_bench.data.encode import NumberedRows, in_threads


class Tokens(DataSet):
    """Rows that are made, not read."""

    name = "tokens"
    columns = (Column("label", "label"), Column("C1", "hex", optional=True), Column("word", "text"))
    dense = ()
    fields = ("C1", "word")

    def rows(self, block):
        return block


class Source(list):
    """Blocks, as a raw file gives them."""

    rows, share = 0, 0.5


@pytest.mark.parametrize("missing", [0, 0.05])
def test_ids_count_by_first_appearance_over_all_blocks(tmp_path, monkeypatch, missing):
    monkeypatch.setattr(encode, "GROUP_ROWS", 4_000)
    draw, n = np.random.default_rng(0), 400_000
    tokens = draw.integers(0, 2**32, 100_000, dtype=np.uint32)[(100_000 ** draw.random(n)).astype(int)]
    absent, codes = draw.random(n) < missing, draw.integers(0, 3, n, dtype=np.int8)
    tokens[[7, n - 7]], absent[[7, n - 7]] = 0, False  # the token of zeros is no missing one
    frame = pl.DataFrame({"label": codes % 2, "C1": tokens, "word": [f"é{token % 1000}" for token in tokens.tolist()]})
    frame = frame.with_columns(pl.when(~pl.Series(absent)).then(pl.col("C1")).alias("C1"))
    rows = NumberedRows(Tokens(), tmp_path / "rows")
    rows.read(Source(frame.iter_slices(30_000)))
    sizes, counts, clicks, _ = rows.write(codes, tmp_path)
    assert counts == {part: int((codes == code).sum()) for code, part in enumerate(counts)}
    assert clicks == {"train": 0, "val": counts["val"], "test": 0}
    for field, size in zip(("C1", "word"), sizes):
        ids, unique = pd.factorize(frame[field].to_pandas().astype(object), use_na_sentinel=False)
        assert size == len(unique)
        for code, part in enumerate(counts):
            np.testing.assert_array_equal(pd.read_parquet(tmp_path / f"{part}.parquet")[field], ids[codes == code])
        found = pd.read_parquet(tmp_path / "vocabulary" / f"{field}.parquet")
        spelled = unique if field == "word" else ["" if pd.isna(token) else f"{int(token):08x}" for token in unique]
        assert found["token"].fillna("").tolist() == list(spelled)
        np.testing.assert_array_equal(found["count"], np.bincount(ids[codes == split.TRAIN], minlength=len(unique)))
    with pq.ParquetFile(tmp_path / "val.parquet") as file:
        groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert groups == [4_000] * (counts["val"] // 4_000) + [counts["val"] % 4_000]


def numbers(n, then=None):
    yield from range(n)
    if then is not None:
        raise then


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("n", [0, 1, 4, 30])
def test_results_come_in_the_items_order(threads, n):
    def slow(number):
        time.sleep(0.002 * (number % 3))
        return number * number

    assert list(in_threads(slow, numbers(n), threads)) == [number * number for number in range(n)]


def test_the_first_items_error_is_raised_whichever_came_first():
    def faulty(number):
        time.sleep(0.02 if number == 3 else 0)
        if number >= 3:
            raise ValueError(f"item {number}")
        return number

    found = []
    with pytest.raises(ValueError, match="item 3"):
        for result in in_threads(faulty, numbers(10, then=RuntimeError("no more")), 4):
            found.append(result)
    assert found == [0, 1, 2]
    with pytest.raises(ValueError, match="item 3"):  # before the source's own error, which is met at item 5
        list(in_threads(faulty, numbers(5, then=RuntimeError("no more")), 4))


@pytest.mark.parametrize("n", [0, 2, 7])
def test_the_sources_error_comes_after_the_items_before_it(n):
    found = []
    with pytest.raises(RuntimeError, match="no more"):
        for result in in_threads(lambda number: number, numbers(n, then=RuntimeError("no more")), 3):
            found.append(result)
    assert found == list(range(len(found)))


def test_no_more_is_made_than_is_taken_and_worked_on():
    made, lock = [], threading.Lock()

    def source():
        for number in range(50):
            with lock:
                made.append(number)
            yield number

    for taken, _ in enumerate(in_threads(lambda number: number, source(), 2), start=1):
        assert len(made) <= taken + 3
