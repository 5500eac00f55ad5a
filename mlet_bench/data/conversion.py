"""What to do with a raw file that is in no form that is read: the form that is, and a line of shell that makes it."""

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mlet_bench.data.base import DataSet
from mlet_bench.data.forms import SEPARATORS
from mlet_bench.data.raw import RawFile
from mlet_bench.errors import UnreadableError

MISSING = ("NA", "NaN", "nan", "NULL", "null", "None", "<NA>")
TIME = r"20\d\d-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?"
CSV_OF_PARQUET = 'python -c "import sys, polars; polars.scan_parquet(sys.argv[1]).sink_csv(sys.argv[2])"'


@dataclass(frozen=True)
class Fault:
    """A place of a file that is not as its data set has it.

    Attributes:
        text: the line, or the file's start.
        separator: between the file's columns.
        hour: which of them, from 1, is the data set's hour; 0 for none.
    """

    data: DataSet
    text: bytes
    separator: str
    hour: int

    @property
    def values(self) -> list[str]:
        return re.split(f"[{''.join(SEPARATORS)}]", self.text.decode("utf-8", "backslashreplace"))

    def awk(self, program: str) -> str:
        """An awk filter that does something to each line's columns."""
        separator = self.separator.replace("\t", "\\t")
        return f"awk 'BEGIN {{FS = OFS = \"{separator}\"}} {{{program}; print}}'"


@dataclass(frozen=True)
class Conversion:
    """A way from another form.

    Attributes:
        form: the other form, in a sentence after "it has".
        line: a shell filter for a fault of that form, None for other faults.
        whole: whether the line is no filter, but takes both files as arguments.
    """

    form: str
    line: Callable[[Fault], str | None]
    whole: bool = False

    def shell(self, fault: Fault, raw: RawFile) -> str | None:
        """The line that turns a raw file into a new one; None if it is not of this form."""
        line = self.line(fault)
        if line is None or not self.whole:
            return line and raw.through(line)
        return f"{line} {shlex.quote(str(raw.path))} {shlex.quote(f'{raw.path}.converted')}"


def _begins(starts: tuple[bytes, ...], line: str) -> Callable[[Fault], str | None]:
    return lambda fault: line if fault.text.startswith(starts) else None


def _missing(fault: Fault) -> str | None:
    if not {*fault.values} & {*MISSING}:
        return None
    return fault.awk(f'for (i = 1; i <= NF; i++) if ($i ~ /^({"|".join(MISSING)})$/) $i = ""')


def _time(fault: Fault) -> str | None:
    if not fault.hour or not any(re.fullmatch(TIME, value) for value in fault.values):
        return None
    column = f"${fault.hour}"
    return fault.awk(f'if ({column} ~ /^20/) {{gsub(/[-:T ]/, "", {column}); {column} = substr({column} "00", 3, 8)}}')


def _index(fault: Fault) -> str | None:
    first, *others = fault.values
    more = not fault.data.header and first.isdecimal() and len(others) == len(fault.data.columns)
    return ("cut -f2-" if fault.separator == "\t" else f"cut -f2- -d {shlex.quote(fault.separator)}") if more else None


CONVERSIONS = (
    Conversion("the form of Parquet", _begins((b"PAR1",), CSV_OF_PARQUET), whole=True),
    Conversion("the form of bzip2", _begins((b"BZh",), "bzip2 -dc")),
    Conversion("the form of xz", _begins((b"\xfd7zXZ",), "xz -dc")),
    Conversion("the form of zstd", _begins((b"\x28\xb5\x2f\xfd",), "zstd -dc")),
    Conversion("text in UTF-16", _begins((b"\xff\xfe", b"\xfe\xff"), "iconv -f UTF-16 -t UTF-8")),
    Conversion("carriage returns for line ends", lambda fault: (
        "tr '\\r' '\\n'" if b"\r" in fault.text[:-1] and b"\n" not in fault.text else None)),
    Conversion("blank lines", lambda fault: None if fault.text else "grep ."),
    Conversion("quotes", lambda fault: "tr -d '\"'" if b'"' in fault.text else None),
    Conversion("an index column without a name", _index),
    Conversion("words for missing values", _missing),
    Conversion("times written out", _time),
)  # fmt: skip


@contextmanager
def converted(data: DataSet, source: Any) -> Iterator[None]:
    """Let the error about a file that cannot be read say which form can, and how this one becomes that, if we know.

    Args:
        source: what ``data.open`` gave.

    Raises:
        UnreadableError: the same, with more words.
    """
    try:
        yield
    except UnreadableError as error:
        raise UnreadableError(f"{error}{_advice(data, source, error.text)}", error.text) from None


def _advice(data: DataSet, raw: RawFile, text: bytes) -> str:
    """The end of a sentence on a fault."""
    names = [column.name for column in data.columns]
    separator, places = (raw.form.separator, raw.form.places) if raw.form else (data.separator, range(len(names)))
    hours = [place for place, column in zip(places, data.columns) if column.kind == "hour" and place is not None]
    fault = Fault(data, text, separator, hours[0] + 1 if hours else 0)
    advice = ""
    if len(fault.values) != len(names):
        header = "under a header of their names" if data.header else "without a header"
        advice = (
            f". {data.name} has the columns {', '.join(names)} {header} and {data.separator!r} between them; "
            "under a header they may be in any order, with others beside them"
        )
    for conversion in CONVERSIONS:
        if line := conversion.shell(fault, raw):
            return f"{advice}. This file has {conversion.form}, and this line converts it: {line}"
    return advice
