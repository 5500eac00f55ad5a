"""What pages are put of, free of markup: sections of text, figures and tables; and a frame as a table of text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from mlet_bench.display.text import NOTHING, classes_of, or_nothing, signed, slug
from mlet_bench.models import model_title
from mlet_bench.tables.cells import records
from mlet_bench.tables.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """Rows of text.

    Attributes:
        numeric: the columns that are set flush right.
        folded: words; a table that has them is closed until a reader opens it, and in Markdown they stand for it.
        csv: the file of ``tables/`` that its numbers come from.
        links: (row, column) → where that text leads, from the results folder.
        marks: for each row the classes of its arm and k, by which a page hides it; empty for a table without.
    """

    header: list[str]
    rows: list[list[str]]
    numeric: frozenset[int] = frozenset()
    folded: str = ""
    csv: str = ""
    links: dict[tuple[int, int], str] = field(default_factory=dict)
    marks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Section:
    """A heading with paragraphs, figures by name, and tables with a line above each.

    A figure for which there are no data is left out, and with it a section that has nothing else.
    """

    title: str
    text: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)
    tables: list[tuple[str, Table]] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """Its id in a page."""
        return slug(self.title)


@dataclass(frozen=True)
class Report:
    """What a page says.

    Attributes:
        warning: empty for genuine data.
        lead: the first thing said, a paragraph each.
        ledger: the entries that a page draws in place of the figure ``ledger``.
    """

    title: str
    warning: str
    lead: list[str]
    sections: list[Section]
    ledger: Sequence[Any] = ()


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
        link: where the text leads, from the results folder; empty for nowhere.
    """

    heading: str
    text: Callable[[Row], str]
    numeric: bool = True
    if_varied: bool = False
    link: Callable[[Row], str] = lambda row: ""


def show(frame: pd.DataFrame, columns: Sequence[Column], folded: str = "", csv: str = "") -> Table:
    """A frame as a table of text; rows that have an arm bear its mark."""
    rows = records(frame)
    texts = [[column.text(row) for row in rows] for column in columns]
    kept = [(column, of) for column, of in zip(columns, texts) if not (column.if_varied and len(set(of)) < 2)]
    links = {(at, place): column.link(row) for place, (column, _) in enumerate(kept) for at, row in enumerate(rows)}
    return Table(
        header=[column.heading for column, _ in kept],
        rows=[list(row) for row in zip(*(of for _, of in kept))],
        numeric=frozenset(place for place, (column, _) in enumerate(kept) if column.numeric),
        folded=folded,
        csv=csv,
        links={place: link for place, link in links.items() if link},
        marks=[classes_of(row["arm"], row["inner_dim"]) for row in rows] if {"arm", "inner_dim"} <= {*frame} else [],
    )


def cell_folder(row: Row) -> str:
    """Where the runs of a row's cell are, from the results folder; empty if the row is of no cell."""
    names = [row.get(name) for name in ("dataset", "model", "cell")]
    return f"runs/{'/'.join(map(str, names))}/" if all(isinstance(name, str) for name in names) else ""


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
MODEL = Column("model", lambda row: model_title(row["model"]), numeric=False, if_varied=True)
ARM = Column("arm", lambda row: row["arm"], numeric=False, link=cell_folder)
D, K = number("d", "dim"), number("k", "inner_dim")
CELL_COLUMNS = [DATASET, MODEL, ARM, D, K]
