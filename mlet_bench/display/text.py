"""Numbers and names as text: the same number reads the same in tables, figures, the ledger and the pages."""

import math
import re
from collections.abc import Iterable
from typing import Any

import pandas as pd

from mlet_bench.statistics.intervals import Interval

NOTHING = "–"


def or_nothing(value: Any) -> str:
    """A value as text; a dash where there is none."""
    return NOTHING if pd.isna(value) else str(value)


def signed(mean: float, low: float = math.nan, high: float = math.nan) -> str:
    """``+0.00123 [+0.00100, +0.00150]``; without the interval where a single pair gives none."""
    return f"{mean:+.5f}" + ("" if pd.isna(low) else f" {ends(low, high)}")


def ends(low: float, high: float) -> str:
    """``[+0.00100, +0.00150]``; a dash where there is no interval."""
    return NOTHING if pd.isna(low) else f"[{low:+.5f}, {high:+.5f}]"


def percent(share: float, low: float = math.nan, high: float = math.nan) -> str:
    """``+12.3% [+10.0%, +15.0%]``; without the interval where one value gives none."""
    return f"{share:+.1%}" + ("" if pd.isna(low) else f" [{low:+.1%}, {high:+.1%}]")


def said(interval: Interval, form: str = "+.5f") -> str:
    """``+0.00123 [+0.00100, +0.00150]``; of too few seeds ``+0.00123 (range of 2 seeds: +0.00100 to +0.00150)``."""
    mean, low, high = (format(number, form) for number in interval.numbers)
    if interval.known:
        return f"{mean} [{low}, {high}]"
    if interval.count == 1:
        return f"{mean} (one seed)"
    return f"{mean} (range of {interval.count} seeds: {interval.least:{form}} to {interval.most:{form}})"


def counted(number: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def listed(names: Iterable[object]) -> str:
    """``a, b and c``; empty of nothing."""
    texts = list(map(str, names))
    return ", ".join(texts[:-1]) + (" and " if len(texts) > 1 else "") + texts[-1] if texts else ""


def commas(names: Iterable[object]) -> str:
    """``a, b, c``."""
    return ", ".join(map(str, names))


def slug(text: str) -> str:
    """A name as an id or a class of a page: ``arm-single-lr``."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def classes_of(arm: str, inner_dim: Any) -> str:
    """The classes of a page that an arm and its k have: ``arm-mlet k-64``."""
    return slug(f"arm {arm}") + ("" if pd.isna(inner_dim) else f" k-{int(inner_dim)}")


def megabytes(size: float) -> str:
    """Bytes as megabytes, three digits or whole."""
    return f"{size / 1e6:,.3g}" if size < 1e8 else f"{size / 1e6:,.0f}"


def duration(seconds: float) -> str:
    """``12.5 s``, ``3.2 min``, ``4.1 h``."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def short_count(value: float, _: int = 0) -> str:
    """1500000 as ``1.5M``; the second argument is a tick's place, which matplotlib passes."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
