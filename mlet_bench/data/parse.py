"""A block of lines as a typed table: exact, or refused with the place of the first fault."""

import re
from collections.abc import Callable
from datetime import date

import polars as pl

from mlet_bench.data.format import Column, RawFormat, shown
from mlet_bench.data.raw import Block, count_byte
from mlet_bench.errors import BenchError

DAY_ZERO = date(2000, 1, 1)


def parse(block: Block, fmt: RawFormat) -> pl.DataFrame:
    """A block as a table, one row a line.

    Returns:
        columns ``label`` (Int8), the dense features (Float32, transformed), the fields (UInt32 for ``hex``, Int64 for
        ``int``; null where empty) and, where the format has an hour, ``day`` (UInt16, days since 2000-01-01).

    Raises:
        BenchError: names file, line, column and value of the first fault.
    """
    frame = _read(block.text, fmt)
    if frame is not None:
        return frame
    for number, line in enumerate(block.text.split(b"\n")[:-1], start=block.first_line):
        fault = line_fault(line, fmt)
        if fault is not None:
            raise BenchError(f"{block.where}, line {number}{fault}")
    last = block.first_line + block.text.count(b"\n") - 1
    raise BenchError(
        f"{block.where}, lines {block.first_line} to {last}: the fast reader refused them and the exact one found no "
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


def _read(text: bytes, fmt: RawFormat) -> pl.DataFrame | None:
    """The fast reader: accepts what ``line_fault`` accepts in every line, else None."""
    lines = count_byte(text, b"\n")
    # polars fills short lines with nulls and refuses long ones. With the right total of separators no line is short
    # unless another is long, so the two together are exact.
    if count_byte(text, fmt.separator) != (len(fmt.columns) - 1) * lines:
        return None
    # polars takes "+5" and " 5" for integers; no kind of column has a byte beyond these.
    if text.translate(None, b"0123456789abcdefABCDEF-\n" + fmt.separator):
        return None
    types = {column.name: pl.Int64 if column.kind == "int" else pl.String for column in fmt.columns}
    try:
        frame = pl.read_csv(text, has_header=False, separator=fmt.separator.decode(), quote_char=None, schema=types)
    except pl.exceptions.PolarsError:
        return None
    if frame.height != lines:
        return None
    # Tokens are parsed once, for the check and for the result.
    hexes = [column.name for column in fmt.columns if column.kind == "hex"]
    tokens = frame.select(pl.col(name).str.to_integer(base=16, dtype=pl.UInt32, strict=False) for name in hexes)
    if frame.select(hexes).null_count().row(0) != tokens.null_count().row(0) or _has_fault(frame, fmt):
        return None
    return frame.with_columns(tokens).select(_output(frame, fmt))


def _has_fault(frame: pl.DataFrame, fmt: RawFormat) -> bool:
    """Whether a value is against the definition, hex digits left out: those were seen when they were parsed."""
    faults = []
    for column in fmt.columns:
        value = pl.col(column.name)
        if not column.optional:
            faults.append(value.is_null().any())
        match column.kind:
            case "label":
                faults.append(~value.is_in(["0", "1"]).all())
            case "hex":
                faults.append((value.str.len_bytes() != 8).any())
            case "digits":
                faults.append(~value.str.contains("^[0-9]{1,20}$").all())
            case "hour":
                # A file has few distinct hours: each goes through the definition itself.
                hours = frame[column.name].drop_nulls().unique()
                if any(_value_fault(hour.encode(), column) for hour in hours):
                    return True
    return any(frame.select(fault.alias(str(number)) for number, fault in enumerate(faults)).row(0))


def _output(frame: pl.DataFrame, fmt: RawFormat) -> list[pl.Expr]:
    label = next(column.name for column in fmt.columns if column.kind == "label")
    columns = [pl.col(label).cast(pl.Int8).alias("label")]
    for name in fmt.dense:
        value = pl.col(name)
        if fmt.kind(name) == "hour":
            value = value.cast(pl.Int64) // 3600 % 24 if fmt.unix_hour else value.str.slice(6, 2).cast(pl.Int64)
        # float32(x) + 1 in float32, as facebookresearch/dlrm has it; then the logarithm in float64, rounded: float32
        # logarithms differ in the last bit between libraries and machines, and equal files must give equal numbers.
        shifted = value.fill_null(0).clip(0).cast(pl.Float32) + pl.lit(1, pl.Float32)
        columns.append(shifted.cast(pl.Float64).log().cast(pl.Float32).alias(name))
    for name in fmt.fields:
        columns.append(pl.col(name))
    for column in fmt.columns:
        if column.kind == "hour":
            hours = frame[column.name].unique()
            days = pl.Series([_day(hour) for hour in hours], dtype=pl.UInt16)
            columns.append(pl.col(column.name).replace_strict(hours, days, return_dtype=pl.UInt16).alias("day"))
    return columns
