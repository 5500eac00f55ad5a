"""A block of lines as typed columns: exact, or refused with the place of the first fault."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby

import numpy as np

from mlet_bench.data.cells import Cells, all_digits, decimals, hexes, integers, labels
from mlet_bench.data.format import Column, RawFormat, shown
from mlet_bench.data.raw import Block
from mlet_bench.errors import BenchError

DAY_ZERO = date(2000, 1, 1)


@dataclass(frozen=True)
class Rows:
    """n rows as typed columns.

    Attributes:
        features: ``label`` (int8), the dense features (float32, transformed) and, where the format has an hour, ``day``
            (uint16, days since 2000-01-01), by name, each (n,).
        tokens: the fields by name, each (n,): uint32 for ``hex``, int64 for ``int``; 0 where missing.
        missing: of the optional fields, which rows have no token: (n,) bool.
    """

    features: dict[str, np.ndarray]
    tokens: dict[str, np.ndarray]
    missing: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.features["label"])


def parse(block: Block, fmt: RawFormat) -> Rows:
    """The rows of a block, one a line.

    Raises:
        BenchError: names file, line, column and value of the first fault.
    """
    rows = _read(block, fmt)
    if rows is not None:
        return rows
    lines = block.text.split(b"\n")[:-1]
    for number, line in enumerate(lines, start=block.first_line):
        fault = line_fault(line, fmt)
        if fault is not None:
            raise BenchError(f"{block.where}, line {number}{fault}")
    raise BenchError(
        f"{block.where}, lines {block.first_line} to {number}: the fast reader refused them and the exact one found no "
        "fault. This is an error of mlet-bench: report it with these lines"
    )


def line_fault(line: bytes, fmt: RawFormat) -> str | None:
    """The definition of a valid line, in plain Python: None, or the rest of a sentence that begins with the line."""
    if not line:
        return ": the line is blank; remove it"
    values = line.split(fmt.separator)
    if len(values) != len(fmt.columns):
        return f": {len(values)} columns, {fmt.name} has {len(fmt.columns)}"
    for column, value in zip(fmt.columns, values):
        problem = _value_fault(value, column)
        if problem:
            return f", column {column.name}: {shown(value.decode('utf-8', 'backslashreplace'))} {problem}"
    return None


def _value_fault(value: bytes, column: Column) -> str | None:
    if not value:
        return None if column.optional else "is empty, a value is needed"
    pattern, meaning, further = KINDS[column.kind]
    if re.fullmatch(pattern, value) is None:
        return f"is not {meaning}"
    return further(value) if further else None


def _int64_fault(value: bytes) -> str | None:
    digits = value.lstrip(b"-").lstrip(b"0")  # the length first: int() refuses thousands of digits
    if len(digits) > 19 or not -(2**63) <= int(value) < 2**63:
        return "is outside the 64-bit integers"
    return None


def _hour_fault(value: bytes) -> str | None:
    try:
        _day(value.decode())
    except ValueError:
        return "has no such day"
    return None if int(value[6:]) < 24 else "has an hour above 23"


def _day(hour: str) -> int:
    return (date(2000 + int(hour[:2]), int(hour[2:4]), int(hour[4:6])) - DAY_ZERO).days


# Of each kind: the pattern, its name in a sentence, and what to check besides.
KINDS: dict[str, tuple[bytes, str, Callable[[bytes], str | None] | None]] = {
    "label": (rb"[01]", "a label (0 or 1)", None),
    "int": (rb"-?[0-9]+", "an integer", _int64_fault),
    "hex": (rb"[0-9a-fA-F]{8}", "a token of 8 hex digits", None),
    "hour": (rb"[0-9]{8}", "an hour (YYMMDDHH)", _hour_fault),
    "digits": (rb"[0-9]{1,20}", "a number of up to 20 digits", None),
}


def _read(block: Block, fmt: RawFormat) -> Rows | None:
    """The fast reader: accepts what ``line_fault`` accepts in every line, else None."""
    cells = Cells.split(block.padded, fmt.separator, len(fmt.columns))
    if cells is None or any((cells.lengths[i] == 0).any() for i, c in enumerate(fmt.columns) if not c.optional):
        return None
    found = {}
    for kind, columns in _runs(fmt):
        values = READERS[kind](cells, columns, fmt)
        if values is None:
            return None
        found |= zip([column.name for column in fmt.columns[columns]], values)
    features = {"label": next(found[column.name] for column in fmt.columns if column.kind == "label")}
    for name in fmt.dense:
        value = found[name]
        if fmt.kind(name) == "hour":
            value = value // 3600 % 24 if fmt.unix_hour else value % 100
        features[name] = _logarithm(value)
    for column in fmt.columns:
        if column.kind == "hour":
            hours, which = np.unique(found[column.name], return_inverse=True)
            features["day"] = np.array([_day(f"{hour:08d}") for hour in hours], np.uint16)[which]
    optional = {column.name: i for i, column in enumerate(fmt.columns) if column.optional}
    missing = {name: cells.lengths[optional[name]] == 0 for name in fmt.fields if name in optional}
    return Rows(features, {name: found[name] for name in fmt.fields}, missing)


def _runs(fmt: RawFormat) -> Iterator[tuple[str, slice]]:
    """Neighbouring columns of one kind, which are read together."""
    start = 0
    for kind, run in groupby(column.kind for column in fmt.columns):
        stop = start + len(list(run))
        yield kind, slice(start, stop)
        start = stop


def _integers(cells: Cells, columns: slice, fmt: RawFormat) -> np.ndarray | None:
    values, rest = integers(cells, columns)
    for column, line, value in rest:  # few: the definition itself decides
        if _value_fault(value, fmt.columns[columns][column]):
            return None
        values[column, line] = int(value)
    return values


def _hours(cells: Cells, columns: slice, fmt: RawFormat) -> np.ndarray | None:
    values, good = decimals(cells, cells.ends[columns], cells.lengths[columns])
    if not good.all() or (cells.lengths[columns] != 8).any():
        return None
    # A file has few distinct hours: each goes through the definition itself.
    faults = (_value_fault(b"%08d" % hour, fmt.columns[columns][0]) for hour in np.unique(values))
    return None if any(faults) else values


def _digits(cells: Cells, columns: slice, fmt: RawFormat) -> np.ndarray | None:
    return cells.ends[columns] if all_digits(cells, columns, 20) else None  # not used, whatever they are


# Of each kind: the columns' values, (columns, n), or None if one of them is against the definition.
READERS = {
    "label": lambda cells, columns, fmt: labels(cells, columns),
    "int": _integers,
    "hex": lambda cells, columns, fmt: hexes(cells, columns),
    "hour": _hours,
    "digits": _digits,
}

# float32(x) + 1 in float32, as facebookresearch/dlrm has it; then the logarithm in float64, rounded: float32 logarithms
# differ in the last bit between libraries and machines, and equal files must give equal numbers.
_LOGARITHMS = np.log(np.arange(1, 1 + (1 << 16), dtype=np.float64)).astype(np.float32)


def _logarithm(values: np.ndarray) -> np.ndarray:
    """ln(x + 1) of integers, float32; negative ones as 0."""
    result = _LOGARITHMS.take(values, mode="clip")  # most values are small, a table is quicker than a logarithm
    large = np.flatnonzero(values >= len(_LOGARITHMS))
    if len(large):
        result[large] = np.log((values[large].astype(np.float32) + np.float32(1)).astype(np.float64))
    return result
