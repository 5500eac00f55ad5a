"""A block of lines as an array of cells, read by arithmetic on eight bytes at a time.

Every reader works on all cells of one kind of column at once and says of each whether it is right, so that nothing is
taken on trust from a general CSV reader. A value's last eight bytes, one uint64, are gathered from the text with the
first of them lowest; what follows is the same handful of operations for all values, which numpy runs in vector
instructions and with the interpreter's lock released.
"""

from dataclasses import dataclass

import numpy as np

from mlet_bench.data.raw import PAD

U64 = np.uint64


def _bytes(value: int) -> np.uint64:
    """One byte, eight times."""
    return U64(value * 0x0101010101010101)


@dataclass(frozen=True)
class Cells:
    """The cells of n lines with F columns.

    Attributes:
        text: the bytes of ``PAD`` and of the lines: a value's three words of eight bytes are within it.
        ends: (F, n) int64, where the byte behind a cell stands in ``text``.
        lengths: (F, n) int64, bytes of each cell.
    """

    text: np.ndarray
    ends: np.ndarray
    lengths: np.ndarray

    @classmethod
    def split(cls, padded: bytes | bytearray, separator: bytes, columns: int) -> "Cells | None":
        """The cells of a block's lines; None if one has another number of ``columns``."""
        text = np.frombuffer(padded, np.uint8)
        is_end = text == ord("\n")
        lines = int(np.count_nonzero(is_end))
        is_end |= text == ord(separator)
        ends = np.flatnonzero(is_end)
        # With the right total of cells and all line ends at the ends of lines, every other one is a separator.
        if len(ends) != columns * lines or (text[ends[columns - 1 :: columns]] != ord("\n")).any():
            return None
        ends = np.ascontiguousarray(ends.reshape(lines, columns).T)
        lengths = np.empty_like(ends)
        np.subtract(ends[1:], ends[:-1], out=lengths[1:])
        lengths[0, 0] = ends[0, 0] - len(PAD) + 1
        np.subtract(ends[0, 1:], ends[-1, :-1], out=lengths[0, 1:])
        lengths -= 1
        return cls(text, ends, lengths)

    def words(self, at: np.ndarray) -> np.ndarray:
        """The eight bytes from each place on, the first lowest: uint64."""
        every = np.ndarray((len(self.text) - 7,), "<u8", self.text, strides=(1,))
        return every[at]


def labels(cells: Cells, columns: slice) -> np.ndarray | None:
    """``0`` and ``1`` as (F, n) int8; None if there is anything else."""
    values = cells.text[cells.ends[columns] - 1] - np.uint8(ord("0"))
    return values.view(np.int8) if (cells.lengths[columns] == 1).all() and (values <= 1).all() else None


def hexes(cells: Cells, columns: slice) -> np.ndarray | None:
    """Tokens of eight hex digits as (F, n) uint32, 0 where the cell is empty; None if there is anything else."""
    lengths = cells.lengths[columns]
    if np.bitwise_or.reduce(lengths, axis=None) & ~8:
        return None
    # An empty cell reads the zeros of PAD.
    letters = cells.words((cells.ends[columns] - 8) * (lengths > 0)).view(np.uint8)
    digits = letters - np.uint8(ord("0"))
    is_digit = digits < 10
    letters |= np.uint8(0x20)  # lower case
    letters -= np.uint8(ord("a"))
    is_letter = letters < 6
    if not (is_digit | is_letter).all():
        return None
    letters += np.uint8(10)
    letters *= is_letter.view(np.uint8)
    digits *= is_digit.view(np.uint8)
    digits |= letters
    # Digits 0 to 7 are bytes 0 to 7: bytes 0, 2, 4, 6 become pairs of digits, and those a number, the first highest.
    word = digits.view(U64)
    pairs = word << U64(4)
    word >>= U64(8)
    pairs |= word
    return pairs.view(np.uint16).astype(np.uint8).view(">u4").astype(np.uint32)


def decimals(cells: Cells, ends: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values (int64) of up to eight digits before each end, and which of them are digits and so few."""
    word = cells.words(ends - 8) ^ _bytes(ord("0"))
    others = ((8 - lengths) << 3).view(U64)  # bits that belong to the cell before; a shift by 64 leaves 0
    word >>= others
    word <<= others
    good = ((word + _bytes(6)) | word) & _bytes(0xF0) == 0
    if lengths.max(initial=0) > 8:
        good &= lengths <= 8
    # 8 digits -> 4 numbers of two -> 2 of four, in the upper half of two products -> 1.
    lower = word >> U64(8)
    word *= U64(10)
    word += lower
    lower = word >> U64(16)
    for part, scale in ((word, 100 + (1_000_000 << 32)), (lower, 1 + (10_000 << 32))):
        part &= U64(0xFF000000FF)
        part *= U64(scale)
    word += lower
    word >>= U64(32)
    return word.view(np.int64), good


def integers(cells: Cells, columns: slice) -> tuple[np.ndarray, list[tuple[int, int, bytes]]]:
    """Integers as (F, n) int64, 0 where the cell is empty, and the cells left over.

    Those are given as (position among ``columns``, line, bytes): faulty, or of more than eight digits.
    """
    ends, lengths = cells.ends[columns], cells.lengths[columns]
    values, good = decimals(cells, ends, lengths)
    odd = np.flatnonzero(~good)
    if not len(odd):
        return values, []
    ends, lengths = ends.reshape(-1)[odd], lengths.reshape(-1)[odd]
    minus = cells.text[ends - lengths] == ord("-")
    absolute, good = decimals(cells, ends, lengths - minus)
    good &= lengths > minus
    values.reshape(-1)[odd] = np.where(minus, -absolute, absolute)
    rest = [
        (
            *divmod(int(odd[number]), values.shape[1]),
            cells.text[ends[number] - lengths[number] : ends[number]].tobytes(),
        )
        for number in np.flatnonzero(~good)
    ]
    return values, rest


def all_digits(cells: Cells, columns: slice, most: int) -> bool:
    """Whether every cell has 1 to ``most`` digits, 24 at most, and nothing else."""
    ends, lengths = cells.ends[columns], cells.lengths[columns]
    if lengths.min() < 1 or lengths.max() > most:
        return False
    parts = [(ends - skip, (lengths - skip).clip(0, 8)) for skip in range(0, most, 8)]
    return all(decimals(cells, *part)[1].all() for part in parts)
