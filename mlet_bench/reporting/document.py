"""A report free of markup: title, sections of text, figures and tables."""

from dataclasses import dataclass, field

import pandas as pd

NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """Rows of text; ``numeric`` columns are set flush right."""

    header: list[str]
    rows: list[list[str]]
    numeric: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Section:
    """A heading with paragraphs, then figures (names of ``write_figures``), then tables with a line above each."""

    title: str
    text: list[str] = field(default_factory=list)
    figures: list[tuple[str, str]] = field(default_factory=list)
    tables: list[tuple[str, Table]] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """``warning`` is empty for genuine data."""

    title: str
    warning: str
    lead: list[str]
    sections: list[Section]


def or_nothing(value: object) -> str:
    """A value as text; a dash where there is none."""
    return NOTHING if pd.isna(value) else str(value)


def signed(mean: float, low: float, high: float) -> str:
    """``+0.00123 [+0.00100, +0.00150]``; without the interval where a single pair gives none."""
    interval = "" if pd.isna(low) else f" [{low:+.5f}, {high:+.5f}]"
    return f"{mean:+.5f}{interval}"
