"""The columns of a table as label, dense features, tokens and split key: exact, or refused with a fault's place."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from mlet_bench.data.base import KEY, shown
from mlet_bench.data.parse import TRANSFORMS
from mlet_bench.data.split import TEST, TRAIN, VAL
from mlet_bench.data.tablefile import Chunk, no_column
from mlet_bench.errors import BenchError

if TYPE_CHECKING:
    from mlet_bench.data.tabular import TableData

LABEL, ROW = "the label's value", "the row's number"  # columns beside the table's own while it is read
LARGEST = 3.4028234e38  # of float32
EXACT = 2.0**53  # from here on a float stands for several whole numbers
TRUE, FALSE = ("1", "1.0", "true"), ("0", "0.0", "false")
TIMES = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")


@dataclass(frozen=True)
class Reading:
    """How a column is read.

    Attributes:
        column: its name in sentences.
        meaning: what a value at fault is not.
        source: the values as they stand, null where missing.
        values: what they stand for; null where missing or at fault.
        optional: whether a value may be missing.
    """

    column: str
    meaning: str
    source: pl.Expr
    values: pl.Expr
    optional: bool = True


class Typing:
    """What each column of a table is taken for, decided by the first rows of its first file."""

    def __init__(self, table: "TableData", head: Chunk):
        self.table = table
        self._split = None if isinstance(table.split, str) else table.split
        found = head.frame.schema
        for column in table.used:
            if column not in found:
                raise BenchError(no_column(head.where, column, found.names()))
        self._label = _expression(table.chosen["label"], "label", head)
        self._where = None if table.chosen["where"] is None else _expression(table.chosen["where"], "where", head)
        mentioned = self._label.meta.root_names() + ([] if self._where is None else self._where.meta.root_names())
        self.used = list(dict.fromkeys([*table.used, *mentioned]))
        for column in self.used:
            if f"{column}_duplicated_0" in found:
                raise BenchError(f"{head.where} has two columns {column!r}: rename one")
        self._found = {column: found[column] for column in self.used}
        kinds = {name: _number_of(head.frame[name]) for name in dict.fromkeys(mentioned)}
        self._numbers = {name: kind for name, kind in kinds.items() if kind is not None}
        self._whole = {name for name in table.fields if _is_whole(found[name])}

    def described(self) -> dict[str, str]:
        """Each column: its type in the file, and what it is taken for."""
        roles: dict[str, list[str]] = {name: [] for name in self._found}
        for dense in self.table.dense:
            roles[dense.column].append(f"dense ({dense.transform})")
        for name in self.table.fields:
            roles[name].append("categorical, " + ("integers" if name in self._whole else "text"))
        if self._split:
            roles[self._split["column"]].append(f"split by {self._split['by']}")
        for part, expression in (("label", self._label), ("where", self._where)):
            for name in [] if expression is None else expression.meta.root_names():
                roles[name].append(f"{part}, read as {self._numbers.get(name, self._found[name])}")
        return {name: f"{self._found[name]}: {'; '.join(dict.fromkeys(said))}" for name, said in roles.items()}

    def rows(self, chunk: Chunk) -> pl.DataFrame:
        """The rows to keep: ``label`` (int8), dense features (float32; float64 with nulls where they are to be
        standardised), tokens (int64 or strings), and the split's key.

        Raises:
            BenchError: names file, row, column and value of the first fault.
        """
        frame = chunk.frame.with_row_index(ROW, chunk.first_row)
        numbers = self._as_numbers(frame, chunk.where)
        if self._where is not None:
            keep = _evaluated(self._where, "where", numbers, chunk.where)
            if keep.dtype != pl.Boolean:
                raise BenchError(f"where: {self.table.chosen['where']!r} gives {keep.dtype}, not true or false")
            frame, numbers = frame.filter(keep), numbers.filter(keep)
        frame = frame.with_columns(_evaluated(self._label, "label", numbers, chunk.where).alias(LABEL))
        readings = self._readings(frame.schema, chunk.where)
        typed = _checked(frame, readings, chunk.where)
        transforms = {dense.column: TRANSFORMS.get(dense.transform) for dense in self.table.dense}
        return typed.with_columns(
            transform(pl.col(name).fill_null(0)).alias(name) for name, transform in transforms.items() if transform
        )

    def _as_numbers(self, frame: pl.DataFrame, where: str) -> pl.DataFrame:
        """The columns of expressions, as numbers where the first rows had numbers."""
        kinds = self._numbers.items()
        readings = {
            name: Reading(name, f"a number ({kind}), as those of the first rows are", pl.col(name), _cast(name, kind))
            for name, kind in kinds
        }
        return frame.with_columns(_checked(frame, readings, where)) if readings else frame

    def _readings(self, schema: pl.Schema, where: str) -> dict[str, Reading]:
        readings = {"label": _label(self.table.chosen["label"], schema[LABEL], where)}
        readings |= {dense.column: _dense(dense.column, schema[dense.column], where) for dense in self.table.dense}
        for name in self.table.fields:
            readings[name] = _token(name, schema[name], name in self._whole, where)
        if self._split:
            column = self._split["column"]
            if self._split["by"] == "time":
                readings[KEY] = _time(column, schema[column], where)
            else:
                readings[KEY] = _part(_token(column, schema[column], False, where), self._split)
        return readings


def _expression(said: str, option: str, head: Chunk) -> pl.Expr:
    """A column, or else an SQL expression over columns."""
    if said in head.frame.columns:
        return pl.col(said)
    try:
        expression = pl.sql_expr(said)
        names = expression.meta.root_names()
    except pl.exceptions.PolarsError as error:
        raise BenchError(f"{option} {said!r} is neither a column nor an SQL expression: {_reason(error)}") from None
    for name in names:
        if name not in head.frame.columns:
            raise BenchError(f"{option}: {no_column(head.where, name, head.frame.columns)}")
    return expression


def _evaluated(expression: pl.Expr, option: str, frame: pl.DataFrame, where: str) -> pl.Series:
    try:
        return frame.select(pl.first().is_null().alias(ROW), expression.alias(LABEL))[LABEL]
    except pl.exceptions.PolarsError as error:
        raise BenchError(f"{where}: {option} cannot be computed ({_reason(error)})") from None


def _checked(frame: pl.DataFrame, readings: dict[str, Reading], where: str) -> pl.DataFrame:
    """The values of readings, by their names.

    Raises:
        BenchError: names the first fault of the first column that has one.
    """
    typed = frame.select(reading.values.alias(name) for name, reading in readings.items())
    faults = frame.select(reading.source.is_not_null().alias(name) for name, reading in readings.items())
    for name, reading in readings.items():
        bad = typed[name].is_null() & (faults[name] if reading.optional else True)
        if bad.any():
            at = int(bad.arg_max() or 0)
            value = frame.select(reading.source.alias(name))[name][at]
            problem = (
                "a value is missing, and one is needed"
                if value is None
                else f"{shown(str(value))} is not {reading.meaning}"
            )
            raise BenchError(f"{where}, row {frame[ROW][at]}, column {reading.column}: {problem}")
    return typed


def _label(said: str, kind: pl.DataType, where: str) -> Reading:
    value, meaning = pl.col(LABEL), "a label (0 or 1)"
    if kind == pl.String:
        lower = value.str.to_lowercase()
        read = pl.when(lower.is_in(TRUE)).then(1).when(lower.is_in(FALSE)).then(0)
    elif kind.is_numeric() or kind in (pl.Boolean, pl.Null):
        number = value.cast(pl.Float64)
        read = pl.when(number == 1).then(1).when(number == 0).then(0)
    else:
        raise BenchError(f"{where}, column {said}: {kind} cannot be a label: it must be 0 or 1, or true or false")
    return Reading(said, meaning, value, read.cast(pl.Int8), optional=False)


def _dense(column: str, kind: pl.DataType, where: str) -> Reading:
    if not (kind.is_numeric() or kind in (pl.Boolean, pl.String, pl.Null)):
        raise BenchError(f"{where}, column {column}: {kind} cannot be dense, which is a number; is it categorical?")
    source = _without_nan(column, kind)
    number = source.cast(pl.Float64, strict=False)
    values = pl.when(number.abs() <= LARGEST).then(number)
    return Reading(column, "a finite number that float32 holds", source, values)


def _token(column: str, kind: pl.DataType, whole: bool, where: str) -> Reading:
    """Values as tokens: int64 where ``whole``, else strings."""
    source, meaning = _without_nan(column, kind), "a token"
    if kind.is_float():
        meaning = "a whole number below 2^53, as a category has to be; is it dense?"
        values = pl.when((source == source.round()) & (source.abs() < EXACT)).then(source).cast(pl.Int64, strict=False)
    elif kind.is_temporal():
        values = source.dt.to_string("iso")
    elif kind.is_numeric() or kind in (pl.String, pl.Categorical, pl.Enum, pl.Boolean, pl.Null):
        values = source
    else:
        raise BenchError(f"{where}, column {column}: {kind} cannot be categorical: write it as text, or leave it out")
    if whole and not (_is_whole(kind) or kind == pl.Null):
        raise BenchError(f"{where}, column {column}: {kind}, but integers at the start of the table; give it one type")
    return Reading(column, meaning, source, values.cast(pl.Int64 if whole else pl.String, strict=False))


def _time(column: str, kind: pl.DataType, where: str) -> Reading:
    """Values as int64 or float64 that grow with time."""
    value = pl.col(column)
    if kind in (pl.Date, pl.Datetime):
        values = value.cast(pl.Datetime("us")).to_physical()
    elif kind.is_temporal() or kind.is_integer():
        values = value.to_physical().cast(pl.Int64, strict=False)
    elif kind.is_numeric():
        values = value.cast(pl.Float64)
        values = pl.when(values.is_finite()).then(values)
    elif kind == pl.String:
        values = _time_of_text(value)
    else:
        raise BenchError(f"{where}, column {column}: {kind} is no time: give dates, numbers, or text in ISO 8601")
    meaning = "a time: a number, or ISO 8601 such as 2013-01-31 or 2013-01-31T10:00:00Z"
    return Reading(column, meaning, value, values, optional=False)


def _time_of_text(value: pl.Expr) -> pl.Expr:
    """ISO 8601 as microseconds, or a number as it is: float64."""
    text = value.str.replace("T", " ", literal=True).str.strip_suffix("Z")
    times = [text.str.to_datetime(form, time_unit="us", strict=False) for form in TIMES]
    zoned = text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%z", time_unit="us", strict=False).dt.replace_time_zone(None)
    number = value.cast(pl.Float64, strict=False)
    return pl.coalesce(
        [pl.when(number.is_finite()).then(number), *(t.to_physical().cast(pl.Float64) for t in (*times, zoned))]
    )


def _part(token: Reading, split: dict) -> Reading:
    """Values as positions in ``mlet_bench.spec.SPLITS``."""
    parts = {VAL: split["val"], TEST: split["test"]}
    texts = {
        code: [str(v).lower() if isinstance(v, bool) else str(v) for v in values] for code, values in parts.items()
    }
    code = pl.when(token.values.is_in(texts[VAL])).then(VAL).when(token.values.is_in(texts[TEST])).then(TEST)
    return Reading(token.column, token.meaning, token.source, code.otherwise(TRAIN).cast(pl.Int8))


def _without_nan(column: str, kind: pl.DataType) -> pl.Expr:
    """The column, NaN as a missing value."""
    return pl.col(column).fill_nan(None) if kind.is_float() else pl.col(column)


def _is_whole(kind: pl.DataType) -> bool:
    """Whether a column's categories are held as int64; wider integers are held as text."""
    return kind.is_float() or (kind.is_integer() and kind not in (pl.UInt64, pl.Int128, pl.UInt128))


def _number_of(values: pl.Series) -> type[pl.DataType] | None:
    """Int64 or Float64 where that is what all texts are; None for other columns."""
    texts = values.drop_nulls()
    if texts.dtype != pl.String or not len(texts):
        return None
    kinds = (pl.Int64, pl.Float64)
    return next((kind for kind in kinds if not texts.cast(kind, strict=False).null_count()), None)


def _cast(name: str, kind: type[pl.DataType]) -> pl.Expr:
    return pl.col(name).cast(kind, strict=False)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split("\n\n")[0].split())[:200]
