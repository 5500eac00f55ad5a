"""A claim on one data set and model: a number with its interval, the cells, a verdict; and the words around it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlet_bench.analysis.comparison import Baseline, open_cells
from mlet_bench.analysis.reduction import Reduction
from mlet_bench.analysis.statistics import DECISIVE_PAIRS, Interval

# The generator of an interval by its name: a cell that is added or fails leaves the others' intervals as they are.
Streams = Callable[[str], np.random.Generator]


@dataclass(frozen=True)
class Finding:
    """One claim on one data set and model.

    Attributes:
        verdict: before the limits that the data set sets (generated rows, a part of the rows).
        number: the number with its interval, in words; empty if there is none.
        cells: what it rests on.
        note: why there is no verdict, or what else a reader must know.
        factor: of C1, the factor of the chosen cell; C6 is made from it.
        rival: the cells of the strongest rival, where it stands against that.
        unfinished: cells that could be a stronger rival, had they finished.
    """

    verdict: str
    number: str = ""
    cells: tuple[str, ...] = ()
    note: str = ""
    factor: Reduction | None = None
    rival: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()


def signed(interval: Interval) -> str:
    """``+0.00123 [+0.00100, +0.00150]``; no interval with one seed."""
    ends = f" [{interval.low:+.5f}, {interval.high:+.5f}]" if interval.known else ""
    return f"{interval.mean:+.5f}{ends}"


def percent(interval: Interval) -> str:
    """``+12.3% [+10.0%, +15.0%]``; no interval with one value."""
    ends = f" [{interval.low:+.1%}, {interval.high:+.1%}]" if interval.known else ""
    return f"{interval.mean:+.1%}{ends}"


def prefix(what: str, base: Baseline) -> str:
    """The stream of a number: what it is alone against ``single``, as in the tables, and with the rival otherwise."""
    return what if base.name == "single" else f"{what}-{base.name}"


def undone(runs: pd.DataFrame, cells: Sequence[str]) -> str:
    """Which of the cells have a run that is missing or failed; empty if none."""
    found = open_cells(runs, list(dict.fromkeys(cells)))
    return f"missing or failed: {listed(found)}" if found else ""


def few(count: int) -> str:
    """That the seeds are too few to decide; empty if they are not."""
    if count >= DECISIVE_PAIRS:
        return ""
    return f"{count} paired seed{'s' if count > 1 else ''}, {DECISIVE_PAIRS} are needed"


def listed(names: Iterable[object]) -> str:
    """``a, b, c``."""
    return ", ".join(map(str, names))


def notes(*parts: str) -> str:
    """Those that say something, each once, in one line."""
    return "; ".join(dict.fromkeys(filter(None, parts)))
