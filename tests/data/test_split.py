"""Splits: sizes and places, worked out by hand."""

import numpy as np
import pytest

from mlet_bench.data.split import TEST, TRAIN, VAL, assign, blocks, last_day, random
from mlet_bench.errors import BenchError


def sizes(codes):
    return [int((codes == code).sum()) for code in (TRAIN, VAL, TEST)]


def test_blocks_of_fifteen_rows():
    # array_split: 3 2 2 2 2 2 2; of the last two, the first is for test.
    assert blocks(15).tolist() == [TRAIN] * 13 + [TEST, VAL]
    # 3 x 7: the last three are halved, two for test.
    assert blocks(21).tolist() == [TRAIN] * 18 + [TEST, TEST, VAL]


@pytest.mark.parametrize("n_rows", range(14, 60))
def test_blocks_are_those_of_array_split(n_rows):
    last = np.array_split(np.arange(n_rows), 7)[6]
    assert np.flatnonzero(blocks(n_rows) != TRAIN).tolist() == last.tolist()


def test_blocks_of_the_complete_criteo_file():
    codes = blocks(45_840_617)
    assert codes.dtype == np.int8
    assert sizes(codes) == [39_291_958, 3_274_329, 3_274_330]
    assert np.flatnonzero(codes == TEST)[[0, -1]].tolist() == [39_291_958, 42_566_287]
    assert (codes[42_566_288:] == VAL).all()


@pytest.mark.parametrize(("n_rows", "expected"), [(10, [8, 1, 1]), (19, [17, 1, 1]), (1000, [800, 100, 100])])
def test_random_has_exact_sizes(n_rows, expected):
    assert sizes(random(n_rows)) == expected


def test_nine_tenths_train_but_for_a_hundredth():
    assert sizes(assign("random-90", 1234, np.empty(0))) == sizes(random(1234, one_in=100)) == [1099, 12, 123]


def test_random_is_the_same_each_time_and_spreads_over_the_file():
    codes = random(100_000)
    assert np.array_equal(codes, random(100_000))
    for code, share in ((VAL, 0.1), (TEST, 0.1)):
        quarters = (codes == code).reshape(4, -1).mean(axis=1)
        assert np.abs(quarters - share).max() < 0.01  # 5 standard deviations


def test_last_day_takes_the_latest_wherever_it_stands():
    days = np.array([8, 9, 7, 9, 9, 8, 7])
    assert last_day(days).tolist() == [TRAIN, TEST, TRAIN, TEST, VAL, TRAIN, TRAIN]


def test_last_day_refuses_a_single_day():
    with pytest.raises(BenchError, match="all rows are of one day"):
        last_day(np.array([5, 5, 5]))


@pytest.mark.parametrize(
    ("name", "n_rows", "empty"), [("blocks", 13, "val"), ("blocks", 6, "val"), ("random", 9, "val")]
)
def test_an_empty_part_is_refused(name, n_rows, empty):
    with pytest.raises(BenchError, match=f"{n_rows} rows are too few: split '{name}' leaves no row for {empty}"):
        assign(name, n_rows, np.empty(0))


def test_a_last_day_of_one_row_leaves_no_validation():
    with pytest.raises(BenchError, match="leaves no row for val"):
        assign("last-day", 3, np.array([1, 1, 2]))


def test_assign_finds_each_split_and_refuses_others():
    days = np.array([1, 1, 2, 2])
    assert assign("last-day", 4, days).tolist() == [TRAIN, TRAIN, TEST, VAL]
    assert assign("blocks", 20, days).tolist() == blocks(20).tolist()
    assert assign("random", 20, days).tolist() == random(20).tolist()
    with pytest.raises(BenchError, match="unknown split 'weekly'"):
        assign("weekly", 20, days)
