"""What a data set is: its columns and what becomes of them, where its files lie, and what a planted one looks like.

A description imports neither numpy nor polars: the command line and the config read it to know what can be chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from mlet_bench.data.remote import RemoteFile
from mlet_bench.errors import BenchError, UnreadableError
from mlet_bench.spec import DatasetSchema

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

KEY = "split key"  # the column of typed rows, beside label, dense features and fields, that a split goes by
PREPARED = "prepared"  # the source of a data set that is ready as a folder


@dataclass(frozen=True)
class Column:
    """A column of a raw file.

    Attributes:
        kind: a name of ``mlet_bench.data.parse.KINDS``: ``label``, ``int``, ``hex``, ``text``, ``hour``, ``digits``.
        optional: whether it may be empty.
    """

    name: str
    kind: str
    optional: bool = False


@dataclass(frozen=True)
class Dense:
    """A dense feature, called as the numeric column that it is made of; a missing value is 0.

    Attributes:
        transform: a name of ``mlet_bench.data.parse.TRANSFORMS``: ``log1p``, ln(x + 1) with a negative x as 0;
            ``none``; or ``standard``, by mean and standard deviation of the training rows, where the missing value is
            the mean.
        of: x as an expression of the column's value, if it is not the value itself.
    """

    column: str
    transform: str = "log1p"
    of: Callable[[pl.Expr], pl.Expr] = lambda value: value


@dataclass(frozen=True)
class Option:
    """An option of a preparation, known to the command line, the config's schema and ``schema.json`` by its name.

    Attributes:
        help: a sentence.
        schema: JSON schema of its values, which also says how the command line reads a word.
        default: its value where it is left out.
    """

    help: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "boolean"})
    default: Any = False


@dataclass(frozen=True)
class Integers:
    """Planted integers, log-normal: share without a value, median, 90th percentile.

    Attributes:
        negative: share of values in -1..-3 instead.
    """

    missing: float
    median: float
    top: float
    negative: float = 0.0


@dataclass(frozen=True)
class Hours:
    """Planted hours, growing along the file over ``days`` days from ``first`` on."""

    first: date
    days: int


@dataclass(frozen=True)
class Planted:
    """What the real file looks like, for a generated one (``mlet_bench.data.generate``).

    Attributes:
        stream: a number of its own for each data set, which sets its random numbers apart from another's.
        click_rate: share of clicks.
        best_auc: the AUC that the labels are scaled to.
        dense: a law for each dense feature, in the data set's order.
        tied: how much the fields of a row hang together: the mean share of rows in which a field goes by the context.
        powers: exponents of the fields' power laws, none 1; 1.1 where none is given.
        missing: share of rows without a value, for the fields that have such rows; their category 0 is the missing one.
        first: of fields of kind ``int``, what is written for category 0; the others count on from there.
        zero: of such fields, what is written for category 0 instead.
    """

    stream: int
    click_rate: float
    best_auc: float
    dense: Mapping[str, Integers | Hours]
    tied: float = 0.5
    powers: Mapping[str, float] = field(default_factory=dict)
    missing: Mapping[str, float] = field(default_factory=dict)
    first: Mapping[str, int] = field(default_factory=dict)
    zero: Mapping[str, int] = field(default_factory=dict)


class Source(Protocol):
    """A raw file, or several, to iterate over once, in blocks.

    Attributes:
        rows: rows given out so far.
        share: how much of the file is read; for showing the time left.
        whole: whether everything was read; False where ``max_rows`` left something.
        md5: of the unpacked bytes given out so far.
    """

    rows: int
    share: float
    whole: bool

    @property
    def md5(self) -> str: ...

    def __iter__(self) -> Iterator[Any]: ...


class DataSet:
    """A data set of text lines: a subclass describes it, an instance is the data set prepared with certain options.

    Attributes:
        name: what it is called in the command line, the config and ``schema.json``.
        columns: the file's columns in order; one of kind ``label``.
        dense: the dense features in model order.
        fields: the categorical columns in model order.
        splits: names of the ways to split it (see ``mlet_bench.data.split``), the default first.
        separator: one byte between columns; there is no quoting.
        header: whether the first line holds the column names.
        options: options of the preparation, name → ``Option``, or for a switch that is off by default its sentence of
            help.
        recorded: written into the schema's ``preparation`` beside split, max_rows and options.
        min_count: categories with fewer training rows are put together.
        max_categories: a column that has more is hashed into as many; None: none is.
        of_papers: whether the papers report it; a verdict on another data set is one about its rows alone.
        full_rows, full_clicks, table_sizes: the published facts about the complete file; a table's size counts the
            missing value. None and empty where nothing is published.
        downloads: what ``mlet-bench download`` takes → the files, of which the first that can be had is taken.
        served: ``source: download`` or ``sample`` in a config → names of ``downloads``, of which the first is taken
            whose files have the order that the split needs.
        planted: what the generator needs, besides ``full_rows`` and ``table_sizes``; None: nothing can be generated.
    """

    name: ClassVar[str]
    columns: tuple[Column, ...]
    dense: tuple[Dense, ...]
    fields: tuple[str, ...]
    splits: tuple[str, ...] = ("random",)
    separator: str = "\t"
    header: bool = False
    options: ClassVar[Mapping[str, str | Option]] = {}
    recorded: ClassVar[Mapping[str, Any]] = {}
    min_count: int = 1
    max_categories: int | None = None
    of_papers: ClassVar[bool] = False
    full_rows: int | None = None
    full_clicks: int | None = None
    table_sizes: tuple[int, ...] = ()
    downloads: ClassVar[Mapping[str, tuple[RemoteFile, ...]]] = {}
    served: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    planted: Planted | None = None

    def __init__(self, options: Mapping[str, Any] | None = None, split: Any = None):
        """
        Args:
            options: values of options; those left out have their defaults.
            split: a name of ``splits``, or what else a subclass takes; None for the first.

        Raises:
            BenchError: there is no such option or split.
        """
        for name in options or {}:
            if name not in self.options:
                known = f"there are {', '.join(self.options)}" if self.options else "it has none"
                raise BenchError(f"{self.name} has no option {name!r}: {known}; leave it out")
        self.chosen = {name: option.default for name, option in self.every_option().items()} | dict(options or {})
        self.split = self.read_split(self.splits[0] if split is None else split)

    @classmethod
    def every_option(cls) -> dict[str, Option]:
        """The options, switches among them."""
        return {name: Option(said) if isinstance(said, str) else said for name, said in cls.options.items()}

    @classmethod
    def split_schema(cls) -> dict[str, Any]:
        """JSON schema of the splits that a config may ask for."""
        return {"enum": list(cls.splits), "default": cls.splits[0]}

    def read_split(self, split: Any) -> Any:
        """The split as ``schema.json`` has it.

        Raises:
            BenchError: there is no such split.
        """
        if split not in self.splits:
            raise BenchError(f"{self.name} has no split {split!r}: there are {', '.join(self.splits)}")
        return split

    @classmethod
    def sources(cls) -> tuple[str, ...]:
        """Where a config may take it from: ``download``, ``sample``, ``synthesize``, ``file``, ``prepared``."""
        return (*cls.served, *(["synthesize"] if cls.planted else []), "file", PREPARED)

    @classmethod
    def files(cls, given: Path | str) -> list[Path]:
        """The raw files that a path stands for.

        Raises:
            BenchError: there is none.
        """
        if not Path(given).is_file():
            raise BenchError(f"{str(given)!r} is no file (looked in {Path.cwd()})")
        return [Path(given)]

    @classmethod
    def installed(cls) -> Path | None:
        """The raw file of a data set that a Python package holds; None for the others.

        Raises:
            BenchError: the package is not installed.
        """
        return None

    @classmethod
    def download_name(cls, source: str, split: str) -> str:
        """What ``mlet-bench download`` takes for a config's ``source`` and ``split``.

        Raises:
            BenchError: the data set has no such download, or none in the order that the split needs.
        """
        if source not in cls.served:
            raise BenchError(f"{cls.name} cannot be had by source {source!r}: use {' or '.join(cls.sources())}")
        for name in cls.served[source]:
            if split == "random" or all(file.order == "original" for file in cls.downloads[name]):
                return name
        raise BenchError(f"the files of {cls.name} by source {source!r} are shuffled, unfit for split {split!r}")

    @classmethod
    def kind(cls, name: str) -> str:
        """The kind of the column called ``name``."""
        return next(column.kind for column in cls.columns if column.name == name)

    def features(self) -> tuple[Dense, ...]:
        """The dense features with the options that were chosen."""
        return self.dense

    def open(self, path: Path | str, scratch: Path, max_rows: int | None = None) -> Source:
        """A raw file as blocks, of which ``rows`` makes typed columns.

        Args:
            scratch: a folder for what has to be unpacked first.
        """
        from mlet_bench.data.forms import form_of
        from mlet_bench.data.raw import RawFile

        return RawFile(path, self.check_header if self.header else None, max_rows, partial(form_of, self))

    def rows(self, block: Any) -> pl.DataFrame:
        """The rows of a block as ``mlet_bench.data.parse.parse`` describes them.

        Raises:
            BenchError: names file, line, column and value of the first fault.
        """
        from mlet_bench.data.parse import parse

        return parse(block, self)

    def types(self) -> dict[str, str]:
        """What the columns of an opened file were taken for, where that was for the file to say."""
        return {}

    def spell(self, field: str, tokens: pa.Array) -> pa.Array:
        """Tokens of a field as the strings of its vocabulary."""
        from mlet_bench.data.parse import KINDS

        return KINDS[self.kind(field)].spell(tokens)

    def check_header(self, line: bytes, where: str) -> None:
        """Refuse a header line with other names, or in another order, than the columns'.

        Raises:
            BenchError: names the first column that differs.
        """
        found = line.decode("utf-8", "backslashreplace").split(self.separator)
        expected = [column.name for column in self.columns]
        for number, (have, want) in enumerate(zip(found, expected), start=1):
            if have != want:
                raise UnreadableError(
                    f"{where}, line 1 (header): column {number} is {shown(have)}, expected {want!r}; "
                    f"{self.name} needs the {len(expected)} columns {', '.join(expected)}",
                    line,
                )
        if len(found) != len(expected):
            raise UnreadableError(f"{where}, line 1 (header): {len(found)} columns, expected {len(expected)}", line)

    def check_full(self, schema: DatasetSchema) -> None:
        """Compare a data set prepared from the complete genuine file with the published facts.

        Other numbers of rows, and planted files, pass unchecked.

        Raises:
            BenchError: the number of clicks or a table size differs.
        """
        if schema.source["rows"] != self.full_rows or schema.source["planted"] is not None:
            return
        file = schema.source["file"]
        advice = "the file is not the published one: fetch it again, or check its md5"
        clicks = sum(schema.clicks.values())
        if self.full_clicks not in (None, clicks):
            raise BenchError(f"{file} has {clicks} clicks, published are {self.full_clicks}: {advice}")
        for found, size in zip(schema.fields, self.table_sizes, strict=bool(self.table_sizes)):
            if found.size != size:
                problem = f"column {found.name} has {found.size} categories, published are {size}"
                raise BenchError(f"{file}: {problem}: {advice}")


def shown(value: str) -> str:
    """A value of a file as error sentences quote it, shortened."""
    return repr(value if len(value) <= 40 else value[:40] + "...")
