"""What a raw file's format is: its columns, what becomes of them, and the published facts about the complete file."""

from dataclasses import dataclass

from mlet_bench.errors import BenchError
from mlet_bench.spec import DatasetSchema


@dataclass(frozen=True)
class Column:
    """A column of a raw file.

    Attributes:
        kind: ``label`` (0 or 1), ``int`` (``-?[0-9]+`` within int64), ``hex`` (8 hex digits), ``hour`` (YYMMDDHH) or
            ``digits`` (up to 20 of them, checked and not used).
        optional: whether it may be empty.
    """

    name: str
    kind: str
    optional: bool = False


@dataclass(frozen=True)
class RawFormat:
    """A raw file's format and what becomes of it.

    Attributes:
        separator: one byte between columns; there is no quoting.
        header: whether the first line holds the column names.
        dense: the numeric columns that become features ln(x + 1), missing and negative values as 0; of an ``hour``
            column x is the hour of the day.
        fields: the categorical columns in model order.
        splits: names of the ways to split it (see ``mlet_bench.data.split``), the default first.
        full_rows, full_clicks, full_table_sizes: the published facts about the complete file.
        unix_hour: read an ``hour`` as seconds since 1970, as the authors' code does: 14102100 and all others of
            Avazu are in hour 5 of one day.
    """

    name: str
    separator: bytes
    header: bool
    columns: tuple[Column, ...]
    dense: tuple[str, ...]
    fields: tuple[str, ...]
    splits: tuple[str, ...]
    full_rows: int
    full_clicks: int
    full_table_sizes: tuple[int, ...]
    unix_hour: bool = False

    def kind(self, name: str) -> str:
        """The kind of the column called ``name``."""
        return next(column.kind for column in self.columns if column.name == name)

    def check_header(self, line: bytes, where: str) -> None:
        """Refuse a header line with other names, or in another order, than the format's.

        Raises:
            BenchError: names the first column that differs.
        """
        found = line.decode("utf-8", "backslashreplace").split(self.separator.decode())
        expected = [column.name for column in self.columns]
        for number, (have, want) in enumerate(zip(found, expected), start=1):
            if have != want:
                raise BenchError(
                    f"{where}, line 1 (header): column {number} is {shown(have)}, expected {want!r}; "
                    f"{self.name} needs the {len(expected)} columns {', '.join(expected)}"
                )
        if len(found) != len(expected):
            raise BenchError(f"{where}, line 1 (header): {len(found)} columns, expected {len(expected)}")

    def check_full(self, schema: DatasetSchema) -> None:
        """Compare a data set prepared from the complete genuine file with the published facts.

        Other numbers of rows, and planted files, pass unchecked.

        Raises:
            BenchError: the number of clicks or a table size differs.
        """
        if schema.source["rows"] != self.full_rows or schema.source["planted"] is not None:
            return
        advice = "the file is not the published one: fetch it anew, or check its md5"
        clicks = sum(schema.clicks.values())
        if clicks != self.full_clicks:
            raise BenchError(f"{schema.source['file']} has {clicks} clicks, published are {self.full_clicks}: {advice}")
        for field, size in zip(schema.fields, self.full_table_sizes, strict=True):
            if field.size != size:
                raise BenchError(
                    f"{schema.source['file']}: column {field.name} has {field.size} categories, published are {size}: "
                    f"{advice}"
                )


def shown(value: str) -> str:
    """A value of a file as error sentences quote it, shortened."""
    return repr(value if len(value) <= 40 else value[:40] + "...")
