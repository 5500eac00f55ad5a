"""A report free of markup: title, sections of text, figures and tables."""

from dataclasses import dataclass, field

import pandas as pd

NOTHING = "–"


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
    """A heading with paragraphs, figures (names of ``write_figures``), and tables with a line above each."""

    title: str
    text: list[str] = field(default_factory=list)
    figures: list[tuple[str, str]] = field(default_factory=list)
    tables: list[tuple[str, Table]] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """``warning`` is empty for genuine data; ``lead`` is the first thing said, a paragraph each."""

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


def group_words(group: dict) -> str:
    """How often a group's category was trained on: ``0``, ``1 to 78``."""
    low, high = f"{group['low']:,g}", f"{group['high']:,g}"
    return low if low == high else f"{low} to {high}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 run``, ``2 runs``; ``plural`` where an s does not make it."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(names: list[str]) -> str:
    """``a, b and c``; empty of nothing."""
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1] if names else ""


def megabytes(size: float) -> str:
    """Bytes as megabytes, three digits or whole."""
    return f"{size / 1e6:,.3g}" if size < 1e8 else f"{size / 1e6:,.0f}"


def percent(ratio: float) -> str:
    """A ratio of times as what it adds: 1.25 as ``+25.0%``."""
    return f"{100 * (ratio - 1):+.1f}%"
