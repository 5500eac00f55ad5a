"""Which row belongs to which split: pure functions of the number of rows, or of a key of each row, such as its day.

Each returns an int8 array (n_rows,) of ``TRAIN``, ``VAL`` and ``TEST``, positions in ``mlet_bench.spec.SPLITS``.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlet_bench.errors import BenchError
from mlet_bench.spec import SPLITS, derive_seed

TRAIN, VAL, TEST = range(len(SPLITS))
BLOCKS = 7  # the days of Criteo-Kaggle, which has no time stamp


def assign(split: str | Mapping[str, Any], n_rows: int, keys: np.ndarray) -> np.ndarray:
    """The split of each row.

    Args:
        split: its name, or a mapping that has the name as ``by``.
        keys: (n_rows,) numbers that grow with time for ``last-day`` and ``time``, the splits themselves for
            ``column``; empty for the others.

    Raises:
        BenchError: there is no such split, or one of its parts is empty.
    """
    name = split["by"] if isinstance(split, Mapping) else split
    match name:
        case "blocks":
            codes = blocks(n_rows)
        case "random":
            codes = random(n_rows)
        case "random-90":
            codes = random(n_rows, one_in=100)
        case "last-day":
            codes = last_day(keys)
        case "time":
            codes = latest(keys)
        case "column":
            codes = keys
        case _:
            raise BenchError(f"unknown split {name!r}: there are blocks, random, random-90, last-day, time and column")
    for code, part in enumerate(SPLITS):
        if not (codes == code).any():
            if name == "column":
                raise BenchError(f"no row of {n_rows} has a value of the split's column that is for {part}")
            raise BenchError(f"{n_rows} rows are too few: split {name!r} leaves no row for {part}; use more rows")
    return codes


def blocks(n_rows: int) -> np.ndarray:
    """Seven consecutive blocks, sized as ``numpy.array_split`` does: six to train on, the last halved.

    The last block's first half, rounded up, is the test split and the rest validation, as in facebookresearch/dlrm.
    """
    # array_split gives the first (n_rows mod 7) blocks one row more, so the last has n_rows // 7.
    return _halve(n_rows, np.arange(n_rows - n_rows // BLOCKS, n_rows))


def random(n_rows: int, one_in: int = 10) -> np.ndarray:
    """A tenth of the rows for test, one in so many for validation (rounded down), drawn at random, once for all runs.

    The authors of paper B train on nine tenths and have no validation rows; ``random-90`` comes as near as a run can
    that has to select something, with one row in a hundred.
    """
    tenth = n_rows // 10
    codes = np.full(n_rows, TRAIN, np.int8)
    validation = n_rows // one_in
    codes[:validation] = VAL
    codes[validation : validation + tenth] = TEST
    np.random.Generator(np.random.PCG64(derive_seed(0, "split"))).shuffle(codes)
    return codes


def last_day(days: np.ndarray) -> np.ndarray:
    """Train on all days but the last; of the last one's rows, in their order, the first half (rounded up) is test.

    Args:
        days: (n_rows,) integers that grow with time.

    Raises:
        BenchError: there is one day only.
    """
    latest = days == days.max()
    if latest.all():
        raise BenchError("all rows are of one day: split 'last-day' needs at least two; use split 'random'")
    return _halve(len(days), np.flatnonzero(latest))


def latest(times: np.ndarray) -> np.ndarray:
    """The latest tenth (rounded down) is test, the tenth before it validation; rows of equal time stay together.

    Args:
        times: (n_rows,) numbers that grow with time; the rows may stand in any order.

    Raises:
        BenchError: too many rows have the same time for three parts.
    """
    tenth, codes = len(times) // 10, np.full(len(times), TRAIN, np.int8)
    if tenth:
        first_val, first_test = np.partition(times, [-2 * tenth, -tenth])[[-2 * tenth, -tenth]]
        codes[times >= first_val] = VAL
        codes[times >= first_test] = TEST
        if len(np.unique(codes)) < len(SPLITS):
            raise BenchError(
                "too many rows have the same time for a split 'time', which leaves rows of one time together: give a "
                "column with finer times, or use split 'random'"
            )
    return codes


def _halve(n_rows: int, held_out: np.ndarray) -> np.ndarray:
    codes = np.full(n_rows, TRAIN, np.int8)
    half = (len(held_out) + 1) // 2
    codes[held_out[:half]] = TEST
    codes[held_out[half:]] = VAL
    return codes
