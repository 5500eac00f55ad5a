"""What pages are put of, free of markup: sections of text, figures and tables; and a frame as a table of text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from mlet_bench.display.text import NOTHING, or_nothing, signed
from mlet_bench.tables.cells import records
from mlet_bench.tables.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """Rows of text; ``numeric`` columns are set flush right.

    A table with ``folded`` is closed until a reader opens it, and left out of Markdown: those words stand for it.
    """

    header: list[str]
    rows: list[list[str]]
    numeric: frozenset[int] = frozenset()
    folded: str = ""


@dataclass(frozen=True)
class Section:
    """A heading with paragraphs, figures by name, and tables with a line above each.

    A figure for which there are no data is left out, and with it a section that has nothing else.
    """

    title: str
    text: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)
    tables: list[tuple[str, Table]] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """``warning`` is empty for genuine data; ``lead`` is the first thing said, a paragraph each."""

    title: str
    warning: str
    lead: list[str]
    sections: list[Section]


class Plot:
    """A figure of the report.

    Attributes:
        name: of its files, that of the function.
        title: of its section, where no other section shows it.
        caption: what a reader sees in it.
        draw: makes it of results; None where there are no data for it.
    """

    def __init__(self, draw: Callable[[Results], "Figure | None"], title: str, caption: str):
        self.name, self.title, self.caption, self.draw = draw.__name__, title, caption, draw
        self.__module__ = draw.__module__


def plot(title: str, caption: str) -> Callable[[Callable[[Results], "Figure | None"]], Plot]:
    """Make a ``Plot`` of a function.

    Example::

        @FIGURES.add
        @plot("Learning curves", "Validation AUC over the training rows seen.")
        def curves(results: Results) -> Figure | None: ...
    """
    return lambda draw: Plot(draw, title, caption)


@dataclass(frozen=True)
class Column:
    """A column of a table of text.

    Attributes:
        text: what it says of a row of the frame.
        numeric: whether it is set flush right.
        if_varied: leave it out where all rows say the same, and there are several.
    """

    heading: str
    text: Callable[[Row], str]
    numeric: bool = True
    if_varied: bool = False


def show(frame: pd.DataFrame, columns: Sequence[Column], folded: str = "") -> Table:
    """A frame as a table of text."""
    rows = records(frame)
    texts = [[column.text(row) for row in rows] for column in columns]
    kept = [(column, of) for column, of in zip(columns, texts) if not (column.if_varied and len(set(of)) < 2)]
    return Table(
        header=[column.heading for column, _ in kept],
        rows=[list(row) for row in zip(*(of for _, of in kept))],
        numeric=frozenset(place for place, (column, _) in enumerate(kept) if column.numeric),
        folded=folded,
    )


def words(heading: str, name: str) -> Column:
    """A column of the frame as it is, set flush left."""
    return Column(heading, lambda row: or_nothing(row[name]), numeric=False)


def number(heading: str, name: str, form: str = "") -> Column:
    """A column of numbers, in a format such as ``.5f``; a dash where there is none."""
    return Column(heading, lambda row: NOTHING if pd.isna(row[name]) else format(row[name], form))


def difference(heading: str, name: str, low: str, high: str) -> Column:
    """A column of signed numbers with their intervals; a dash where there is none."""
    return Column(heading, lambda row: NOTHING if pd.isna(row[name]) else signed(row[name], row[low], row[high]))


DATASET = words("data", "dataset")
MODEL = Column("model", lambda row: row["model"].upper(), numeric=False, if_varied=True)
ARM, D, K = words("arm", "arm"), number("d", "dim"), number("k", "inner_dim")
CELL_COLUMNS = [DATASET, MODEL, ARM, D, K]
