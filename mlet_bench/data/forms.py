"""Other forms in which people pass a known raw file on: with a header, other separators, more columns, 4 as 4.0.

They are rewritten as the file's own form, so that ids, and where no value was lost the fingerprint, are those of the
original.
"""

import re
from dataclasses import dataclass

import polars as pl

from mlet_bench.data.base import DataSet
from mlet_bench.data.raw import BOM, count_byte
from mlet_bench.errors import BenchError, UnreadableError

SEPARATORS = ("\t", ",", ";", "|")
FLOAT = r"-?[0-9]+\.[0-9]*(?:e[+-]?[0-9]+)?"
WHOLE = ("label", "int", "hour")  # kinds that pandas writes as 4.0 where a column had gaps


@dataclass(frozen=True)
class Form:
    """The form of a file of ``data``.

    Attributes:
        separator: between its columns.
        width: how many columns it has.
        places: for each column of the data set, which of them it is; None for one that is left out and not needed.
        header: whether its first line holds names.
    """

    data: DataSet
    separator: str
    width: int
    places: tuple[int | None, ...]
    header: bool

    @property
    def skipped(self) -> int:
        """Lines at the start that the data set's own form does not have; -1 where it has one more."""
        return int(self.header) - int(self.data.header)

    def rewrite(self, text: bytes, line: int, where: str) -> bytes:
        """Whole lines, the first of which is number ``line``, as the data set's own form has them.

        Raises:
            BenchError: a line has another number of columns.
        """
        text, start = text.replace(b"\r\n", b"\n").replace(b'"', b""), b""
        if line == 1 and self.data.header:
            start = self.data.separator.join(column.name for column in self.data.columns).encode() + b"\n"
        if line == 1 and self.header:
            _, _, text = text.partition(b"\n")
            line += 1
        if not text:
            return start
        if count_byte(text, self.separator) != (self.width - 1) * count_byte(text, "\n"):
            for number, values in enumerate(text.split(b"\n")[:-1], start=line):
                found = values.count(self.separator.encode()) + 1
                if found != self.width:
                    sentence = f"{where}, line {number}: {found} columns, the first line has {self.width}"
                    raise UnreadableError(sentence, values)
        names = [str(number) for number in range(self.width)]
        try:
            schema = dict.fromkeys(names, pl.String)
            rows = pl.read_csv(text, separator=self.separator, has_header=False, quote_char=None, schema=schema)
        except pl.exceptions.PolarsError as error:
            raise BenchError(f"{where}, line {line} or below: {str(error).splitlines()[0]}") from None
        needed = needed_columns(self.data)
        columns = []
        for column, place in zip(self.data.columns, self.places, strict=True):
            value = pl.lit("0") if place is None else pl.col(str(place))
            if column.kind in WHOLE:
                value = value.str.replace(r"^(-?[0-9]+)\.0+$", "${1}")
            if column.name not in needed:  # 1.0000371904215119e+19, of which nobody needs the digits
                value = pl.when(value.str.contains(f"^(?:{FLOAT})$")).then(pl.lit("0")).otherwise(value)
            columns.append(value.alias(column.name))
        own = rows.select(columns).write_csv(
            separator=self.data.separator, include_header=False, quote_style="never", null_value=""
        )
        return start + own.encode()


def needed_columns(data: DataSet) -> set[str]:
    """The columns whose values decide something."""
    kinds = {column.name for column in data.columns if column.kind in ("label", "hour")}
    return kinds | {dense.column for dense in data.features()} | set(data.fields)


def form_of(data: DataSet, start: bytes) -> Form | None:
    """The form of a file by its start, two lines if it has as many; None where it is the data set's own, or unknown."""
    lines = (
        start.removeprefix(BOM).replace(b"\r", b"").replace(b'"', b"").decode("utf-8", "backslashreplace").split("\n")
    )
    own = [column.name for column in data.columns]
    for separator in SEPARATORS:
        first, second = (line.split(separator) for line in (lines[0], (*lines, "")[1]))
        names = [name.strip().lower() for name in first]
        as_it_is = separator == data.separator and not any(map(_is_float, second if data.header else first))
        places = tuple(names.index(name.lower()) if name.lower() in names else None for name in own)
        if not needed_columns(data) & {name for name, place in zip(own, places) if place is None}:
            whole = as_it_is and data.header and places == tuple(range(len(names)))
            return None if whole else Form(data, separator, len(names), places, header=True)
        label = [column.kind for column in data.columns].index("label")
        foreign = data.header or not as_it_is
        if foreign and len(names) == len(own) and names[label] in ("0", "1", "0.0", "1.0"):
            return Form(data, separator, len(names), tuple(range(len(own))), header=False)
    return None


def _is_float(value: str) -> bool:
    return re.fullmatch(FLOAT, value) is not None
