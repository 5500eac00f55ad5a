"""Cells read eight bytes at a time, against values worked out by hand and against every byte there is."""

import numpy as np
import pytest

from mlet_bench.data.cells import Cells, all_digits, decimals, hexes, integers, labels
from mlet_bench.data.raw import PAD

ONE = slice(0, 1)


def column(*values, separator=b"\t"):
    """One column of values."""
    cells = Cells.split(PAD + b"".join(value + b"\n" for value in values), separator, 1)
    assert cells is not None
    return cells


def test_cells_are_where_the_lines_have_them():
    cells = Cells.split(PAD + b"1,,34\n5,678,\n", b",", 3)
    assert (cells.ends - len(PAD)).tolist() == [[1, 7], [2, 11], [5, 12]]
    assert cells.lengths.tolist() == [[1, 1], [0, 3], [2, 0]]


@pytest.mark.parametrize(
    "text", [b"1,2\n", b"1,2,3,4\n", b"\n1,2,3\n", b"1,2\n3,4,5,6\n", b"1,2,3,4\n5,6\n", b"1,2,3\n\n"]
)
def test_lines_with_other_numbers_of_columns_are_refused_also_if_the_total_is_right(text):
    assert Cells.split(PAD + text, b",", 3) is None


def test_tokens_worked_out_by_hand():
    cells = column(b"00000000", b"0000000f", b"f0000000", b"DEADbeef", b"", b"12345678", b"ffffffff")
    assert hexes(cells, ONE).tolist() == [[0, 15, 0xF0000000, 0xDEADBEEF, 0, 0x12345678, 0xFFFFFFFF]]
    assert hexes(column(b""), ONE).tolist() == [[0]]  # nothing before it but the pad


@pytest.mark.parametrize("value", [b"1234567", b"123456789", b"1234567812345678", b"f"])
def test_tokens_of_another_length_are_refused(value):
    assert hexes(column(b"0000abcd", value), ONE) is None


@pytest.mark.parametrize("place", range(8))
def test_every_byte_at_every_place_of_a_token(place):
    for byte in set(range(256)) - {9, 10}:
        token = b"5a5A5f0F"[:place] + bytes([byte]) + b"5a5A5f0F"[place + 1 :]
        found = hexes(column(b"00000001", token), ONE)
        if byte in b"0123456789abcdefABCDEF":
            assert found.tolist() == [[1, int(token, 16)]]
        else:
            assert found is None, token


@pytest.mark.parametrize("place", range(8))
def test_every_byte_at_every_place_of_a_decimal(place):
    for byte in set(range(256)) - {9, 10}:
        value = b"90817263"[:place] + bytes([byte]) + b"90817263"[place + 1 :]
        cells = column(value)
        values, good = decimals(cells, cells.ends, cells.lengths)
        assert good.item() == (byte in b"0123456789"), value
        if good.item():
            assert values.item() == int(value)


def test_integers_worked_out_by_hand_and_what_is_left_over():
    cells = column(b"0", b"7", b"", b"-1", b"99999999", b"-12345678", b"100000000", b"-", b"5-", b"--1", b"007", b"-0")
    values, rest = integers(cells, ONE)
    right = [0, 1, 2, 3, 4, 5, 10, 11]
    assert values[0, right].tolist() == [0, 7, 0, -1, 99999999, -12345678, 7, 0]
    assert rest == [(0, 6, b"100000000"), (0, 7, b"-"), (0, 8, b"5-"), (0, 9, b"--1")]


def test_what_is_left_over_is_named_by_column_and_line():
    cells = Cells.split(PAD + b"1\t2\t3\n4\tx\t-6\n", b"\t", 3)
    values, rest = integers(cells, slice(1, 3))
    assert rest == [(0, 1, b"x")]
    assert values[1].tolist() == [3, -6]


def test_labels():
    assert labels(column(b"0", b"1", b"1"), ONE).tolist() == [[0, 1, 1]]
    for value in (b"", b"2", b"/", b"01", b"-"):
        assert labels(column(b"0", value), ONE) is None


def test_long_numbers_are_checked_to_their_first_digit():
    for length in range(1, 21):
        digits = b"98765432109876543210"[:length]
        assert all_digits(column(b"1", digits), ONE, 20)
        for place in range(length):
            assert not all_digits(column(digits[:place] + b":" + digits[place + 1 :], b"1"), ONE, 20)
    assert not all_digits(column(b"1" * 21), ONE, 20)
    assert not all_digits(column(b""), ONE, 20)


def test_a_block_of_many_values_reads_as_the_numbers_that_were_written():
    draw = np.random.default_rng(0)
    numbers = draw.integers(0, 10 ** draw.integers(1, 9, 100_000))
    tokens = draw.integers(0, 2**32, 100_000)
    text = "".join(f"{number}\t{token:08x}\n" for number, token in zip(numbers, tokens)).encode()
    cells = Cells.split(PAD + text, b"\t", 2)
    values, rest = integers(cells, ONE)
    assert rest == []
    np.testing.assert_array_equal(values[0], numbers)
    np.testing.assert_array_equal(hexes(cells, slice(1, 2))[0], tokens)
