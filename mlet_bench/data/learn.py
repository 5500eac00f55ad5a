"""What a preparation learns from training rows alone: rare categories, and a dense column's mean and spread."""

import math
import zlib

import numpy as np
import polars as pl
import pyarrow as pa

from mlet_bench.errors import BenchError

RARE = "<rare>"  # the token of the category that rare ones share
HASHED = "<hash {}>"


class Scale:
    """x → (x - mean) / standard deviation, of the values that were added; a missing value becomes 0, the mean.

    Sums are exactly rounded, a batch at a time, so that every machine gets the same numbers.
    """

    def __init__(self):
        self._count, self._shift, self._sum, self._squares = 0, None, 0.0, 0.0

    def add(self, values: np.ndarray) -> None:
        """Take in float64 values (B,); NaN: missing."""
        values = values[~np.isnan(values)]
        if not len(values):
            return
        if self._shift is None:
            self._shift = float(values[0])  # near the mean, so that the squares do not cancel
        moved = values - self._shift
        self._count += len(values)
        self._sum += math.fsum(moved)
        self._squares += math.fsum(moved * moved)

    @property
    def mean(self) -> float:
        """0 where there was no value."""
        return 0.0 if self._shift is None else self._shift + self._sum / self._count

    @property
    def spread(self) -> float:
        """The standard deviation, by n; 1 where it is 0, so that a constant column becomes 0."""
        if self._shift is None:
            return 1.0
        variance = (self._squares - self._sum * self._sum / self._count) / self._count
        return math.sqrt(variance) if variance > 0 else 1.0

    def apply(self, values: pa.Array) -> pa.Array:
        """float64 (B,), null or NaN where missing → float32 (B,)."""
        scaled = (_floats(values) - self.mean) / self.spread
        return pa.array(np.nan_to_num(scaled, nan=0.0).astype(np.float32))

    def add_array(self, values: pa.Array, train: np.ndarray) -> None:
        """Take in those of an Arrow array (B,) that ``train`` (B,) says."""
        self.add(_floats(values)[train])


def _floats(values: pa.Array) -> np.ndarray:
    return values.fill_null(math.nan).to_numpy()


def merged(
    tokens: pa.Array, counts: np.ndarray, min_count: int, max_categories: int | None, column: str
) -> tuple[np.ndarray, pa.Array]:
    """Put rare categories together, and hash those of a column that still has too many.

    Categories with fewer than ``min_count`` training rows become one, called ``RARE``. Where more than
    ``max_categories`` are left, every token goes to a bucket instead: crc32 of "=" and the token, modulo
    ``max_categories``; of the missing value crc32 of nothing.

    Args:
        tokens: strings (n,) by id, null for the missing value; a category like others.
        counts: (n,) training rows of each.

    Returns:
        the new id of each old one (n,), counted by first appearance as before; and the tokens by new id.

    Raises:
        BenchError: a token of the file is called as a group of them is.
    """
    texts, rare = pl.Series(tokens), len(tokens)
    group = np.where(counts < min_count, rare, np.arange(len(tokens)))
    largest = max_categories or len(tokens) + 1
    hashed = len(np.unique(group)) > largest
    if hashed:
        keys = ("" if token is None else "=" + token for token in texts)  # null is no empty text
        group = np.fromiter((zlib.crc32(key.encode()) % largest for key in keys), np.int64, len(tokens))
    found, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    order = np.argsort(first)  # groups in the order in which they appear
    ids = np.empty(len(found), np.int32)
    ids[order] = np.arange(len(found), dtype=np.int32)
    groups = found[order].tolist()
    names = [HASHED.format(number) if hashed else RARE if number == rare else None for number in groups]
    named = pl.Series(names, dtype=pl.String)
    if len(taken := texts.filter(texts.is_in(named.drop_nulls().implode()))):
        raise BenchError(
            f"column {column} has the token {taken[0]!r}, which is what categories that were put together are called: "
            "rename it, or leave min_count and max_categories out"
        )
    spelled = named.zip_with(named.is_not_null(), texts.gather(first[order]))
    return ids[inverse], spelled.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())
