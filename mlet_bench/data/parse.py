"""A block of lines as typed columns: exact, or refused with the place of the first fault.

polars splits the lines and reads the numbers. A general reader takes more for a value than a format allows, so values
are held against the pattern of their kind, the same that ``line_fault``, the definition, goes by; but for numbers where
what polars takes besides is known, which is quicker.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
import pyarrow as pa

from mlet_bench.data.base import KEY, Column, DataSet, shown
from mlet_bench.data.raw import BOM, Block, count_byte
from mlet_bench.errors import BenchError, UnreadableError

LENIENT = "+ \t"  # of values that are no numbers, polars takes those with one of these before the digits
FEW = 256  # lines to hold against the definition, one by one


def parse(block: Block, data: DataSet) -> pl.DataFrame:
    """The rows of a block, one a line.

    Returns:
        ``label`` (int8), the dense features (float32, transformed), the fields as tokens (uint32 for ``hex``, int64 for
        ``int``, strings for ``text``; null where missing) and, where the data set has an hour, ``KEY``: the day (int32,
        growing with time).

    Raises:
        BenchError: names file, line, column and value of the first fault.
    """
    rows = _read(block, data)
    if rows is not None:
        return rows
    if len(block) > FEW:
        return pl.concat([parse(half, data) for half in block.halves()])
    lines = block.text.split(b"\n")[:-1]
    for number, line in enumerate(lines, start=block.first_line):
        fault = line_fault(line, data)
        if fault is not None:
            raise UnreadableError(f"{block.where}, line {number}{fault}", line)
    raise BenchError(
        f"{block.where}, lines {block.first_line} to {number}: the fast reader refused them and the exact one found no "
        "fault. This is an error of mlet-bench: report it with these lines"
    )


def line_fault(line: bytes, data: DataSet) -> str | None:
    """The definition of a valid line, in plain Python: None, or the rest of a sentence that begins with the line."""
    if not line:
        return ": the line is blank; remove it"
    values = line.split(data.separator.encode())
    if len(values) != len(data.columns):
        return f": {len(values)} columns, {data.name} has {len(data.columns)}, separated by {data.separator!r}"
    for column, value in zip(data.columns, values):
        problem = _value_fault(value, column)
        if problem:
            return f", column {column.name}: {shown(value.decode('utf-8', 'backslashreplace'))} {problem}"
    return None


def _value_fault(value: bytes, column: Column) -> str | None:
    if not value:
        return None if column.optional else "is empty, a value is needed"
    kind = KINDS[column.kind]
    try:
        if re.fullmatch(kind.pattern, value.decode()) is None:
            return f"is not {kind.meaning}"
    except UnicodeDecodeError:
        return f"is not {kind.meaning}"
    return kind.fault(value.decode()) if kind.fault else None


def _int64_fault(value: str) -> str | None:
    digits = value.lstrip("-").lstrip("0")  # the length first: int() refuses thousands of digits
    if len(digits) > 19 or not -(2**63) <= int(value) < 2**63:
        return "is outside the 64-bit integers"
    return None


def _hour_fault(value: str) -> str | None:
    try:
        date(2000 + int(value[:2]), int(value[2:4]), int(value[4:6]))
    except ValueError:
        return "has no such day"
    return None if int(value[6:]) < 24 else "has an hour above 23"


def _hour(text: pl.Expr) -> pl.Expr:
    day = pl.concat_str(pl.lit("20"), text.str.head(6)).str.to_date("%Y%m%d", strict=False)
    hour = text.cast(pl.Int32, strict=False)
    return pl.when(day.is_not_null() & (hour % 100 < 24)).then(hour)


def hex_digits(tokens: pa.Array) -> pa.Array:
    """uint32 (n,) as strings of 8 lower-case hex digits."""
    digits = tokens.fill_null(0).to_numpy().astype(">u4").tobytes().hex().encode()
    ends = np.arange(0, 8 * (len(tokens) + 1), 8, dtype=np.int32)
    present = np.packbits(tokens.is_valid().to_numpy(zero_copy_only=False), bitorder="little")
    return pa.StringArray.from_buffers(len(tokens), *map(pa.py_buffer, (ends, digits, present)))


@dataclass(frozen=True)
class Kind:
    """What the values of a column are.

    Attributes:
        pattern: of the whole value, in a syntax that Python and polars share.
        meaning: its name in a sentence.
        read: a value that matches as what it stands for; null where ``fault`` finds one.
        fault: what to check besides the pattern.
        exact: whether polars refuses by itself what does not match, but for values with one of ``LENIENT``.
        dtype: what such columns are read as at once where there is none of these in sight.
        spell: tokens, an Arrow array, as the strings of a vocabulary.
    """

    pattern: str
    meaning: str
    read: Callable[[pl.Expr], pl.Expr]
    fault: Callable[[str], str | None] | None = None
    exact: bool = False
    dtype: type[pl.DataType] = pl.String
    spell: Callable[[pa.Array], pa.Array] = lambda tokens: tokens.cast(pa.string())


KINDS = {
    "label": Kind("[01]", "a label (0 or 1)", lambda text: text.cast(pl.Int8, strict=False)),
    "int": Kind(
        "-?[0-9]+",
        "an integer",
        lambda text: text.cast(pl.Int64, strict=False),
        _int64_fault,
        exact=True,
        dtype=pl.Int64,
    ),
    "hex": Kind(
        "[0-9a-fA-F]{8}",
        "a token of 8 hex digits",
        lambda text: pl.when(text.str.len_bytes() == 8).then(
            text.str.to_integer(base=16, dtype=pl.UInt32, strict=False)
        ),
        exact=True,
        spell=hex_digits,
    ),
    "text": Kind(r"[^\x00-\x1f\x7f\uFEFF]+", "text without control characters", lambda text: text),
    "hour": Kind("[0-9]{8}", "an hour (YYMMDDHH)", _hour, _hour_fault),
    "digits": Kind("[0-9]{1,20}", "a number of up to 20 digits", lambda text: text),
}


def _log1p(x: pl.Expr) -> pl.Expr:
    # float32(x) + 1 in float32, as facebookresearch/dlrm has it; then the logarithm in float64, rounded: float32
    # logarithms differ in the last bit between libraries and machines, and equal files must give equal numbers.
    return (x.clip(0).cast(pl.Float32) + pl.lit(1, pl.Float32)).cast(pl.Float64).log().cast(pl.Float32)


TRANSFORMS: dict[str, Callable[[pl.Expr], pl.Expr]] = {"log1p": _log1p, "none": lambda x: x.cast(pl.Float32)}


def _read(block: Block, data: DataSet) -> pl.DataFrame | None:
    """Read by polars: accepts what ``line_fault`` accepts in every line, else None."""
    strict = any(byte.encode() in block.text for byte in LENIENT if byte != data.separator)
    types = {column.name: pl.String if strict else KINDS[column.kind].dtype for column in data.columns}
    texts = _split(block.text, data.separator, types)
    if texts is None:
        return None
    faults, values = [], []
    for column in data.columns:
        text, kind = pl.col(column.name), KINDS[column.kind]
        values.append(kind.read(text))
        if strict or not kind.exact:
            faults.append((~text.str.contains(f"^(?:{kind.pattern})$")).any().alias(column.name))
    if any(texts.select(faults).row(0)):
        return None
    typed = texts.select(values)
    for column in data.columns:
        if typed[column.name].null_count() != (texts[column.name].null_count() if column.optional else 0):
            return None
    label = next(column.name for column in data.columns if column.kind == "label")
    hours = [pl.col(column.name) for column in data.columns if column.kind == "hour"]
    return typed.select(
        pl.col(label).alias("label"),
        *(
            TRANSFORMS[dense.transform](dense.of(pl.col(dense.column).fill_null(0))).alias(dense.column)
            for dense in data.features()
        ),
        *(pl.col(name) for name in data.fields),
        *((hour // 100).alias(KEY) for hour in hours[:1]),
    )


def _split(text: bytes, separator: str, types: dict[str, type[pl.DataType]]) -> pl.DataFrame | None:
    """The values, null where empty; None if a line has another number of columns, or one is not of its type."""
    # polars fills short lines up with nulls, skips blank ones, and drops a byte order mark at the start and a carriage
    # return before a line end; it refuses long lines, so that with the right total of separators none is short.
    lines = count_byte(text, "\n")
    if b"\r" in text or text.startswith(BOM) or count_byte(text, separator) != (len(types) - 1) * lines:
        return None
    try:
        texts = pl.read_csv(text, separator=separator, has_header=False, quote_char=None, schema=types)
    except pl.exceptions.PolarsError:
        return None
    return texts if texts.height == lines else None
