"""The ledger as a forest plot: a row a number, on its claim's scale, beside the value of no effect and the paper's.

It is made from ``estimates_table`` alone and knows no claim. A page draws it in HTML, so that it fits any width; the
figure is for print.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import AutoLocator, FuncFormatter, LogLocator, NullLocator

from mlet_bench.claims.ledger import estimates_table
from mlet_bench.claims.verdicts import NOT_REPRODUCED, NOT_RUN, REPRODUCED, UNDECIDED, VACUOUS
from mlet_bench.display.document import cell_folder, plot
from mlet_bench.display.text import counted
from mlet_bench.models import model_title
from mlet_bench.report import FIGURES
from mlet_bench.tables.cells import records
from mlet_bench.tables.results import Results

# As in report.css.
COLORS = {
    REPRODUCED: "#00694b",
    NOT_REPRODUCED: "#a83c00",
    UNDECIDED: "#55606e",
    VACUOUS: "#5b3fa0",
    NOT_RUN: "#55606e",
}
PAPERS = "#f6d9a8"


@dataclass(frozen=True)
class Bar:
    """A number with its interval, in its unit.

    Attributes:
        name: what it is a number of.
        comparison: what MLET stands against.
        says: it in words.
        verdict: empty for generated rows, which have none.
        low, high: one that is NaN is not known, and drawn as an arrow; without either there is no interval.
        folder: of its first cell's runs.
    """

    name: str
    comparison: str
    says: str
    at: float
    low: float
    high: float
    verdict: str
    folder: str

    @property
    def opens(self) -> tuple[bool, bool]:
        """Whether the lower end, and whether the upper end, of an interval is not known."""
        low, high = math.isnan(self.low), math.isnan(self.high)
        return low and not high, high and not low

    def span(self, ends: tuple[float, float]) -> tuple[float, float]:
        """From where to where it is drawn, on an axis of these ends."""
        known = [self.at if math.isnan(end) else end for end in (self.low, self.high)]
        left, right = (end if opens else x for x, end, opens in zip(known, ends, self.opens))
        return left, right


@dataclass(frozen=True)
class Axis:
    """The bars of one claim that share a unit, and their scale.

    Attributes:
        reference: the value that means "no effect".
        paper: the paper's value or range, as low and high; NaN where it has none.
        ends: of the axis.
    """

    claim: str
    unit: str
    log: bool
    reference: float
    paper: tuple[float, float]
    ends: tuple[float, float]
    bars: list[Bar]

    def place(self, value: float) -> float:
        """Where a value lies, in % of the axis."""
        low, high, value = (math.log2(x) if self.log else x for x in (*self.ends, value))
        return round(100 * (value - low) / (high - low), 2)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Round values within the axis: place and text."""
        locator = LogLocator(2) if self.log else AutoLocator()
        inside = [x for x in locator.tick_values(*self.ends) if self.ends[0] <= x <= self.ends[1]]
        every = -(-len(inside) // 5)
        return [(self.place(x), worded(x, self.unit, short=True)) for x in inside[::every]]

    @property
    def papers(self) -> str:
        """What the paper says, in words; empty where it says no number."""
        low, high = self.paper
        if math.isnan(low):
            return ""
        return worded(low, self.unit, True) + ("" if low == high else f" to {worded(high, self.unit, True)}")


def axes_of(results: Results) -> list[Axis]:
    """The axes of all claims, in the order of the ledger."""
    table = results.table(estimates_table)
    return [_axis(part) for _, part in table.groupby(["claim", "unit", "scale", "reference"], sort=False)]


def _axis(part: pd.DataFrame) -> Axis:
    first = records(part)[0]
    log = first["scale"] == "log"
    shown = part[["value", "low", "high", "reference", "paper_low", "paper_high"]].to_numpy(float).ravel()
    shown = shown[np.isfinite(shown) & ((shown > 0) | (not log))]
    low, high = float(shown.min()), float(shown.max())
    margin = (high / low) ** 0.06 * 1.02 if log else 0.06 * (high - low) or 1.0
    return Axis(
        claim=first["claim"],
        unit=first["unit"],
        log=log,
        reference=first["reference"],
        paper=(first["paper_low"], first["paper_high"]),
        ends=(low / margin, high * margin) if log else (low - margin, high + margin),
        bars=list(_bars(part)),
    )


def _bars(part: pd.DataFrame) -> Iterator[Bar]:
    several = part["model"].nunique() > 1
    for row in records(part):
        where = f"{row['dataset']}, {model_title(row['model'])}" if several else row["dataset"]
        yield Bar(
            name=f"{where}{' (generated)' if row['planted'] else ''}: {row['label']}",
            comparison=row["comparison"],
            says=_says(*(row[name] for name in ("value", "low", "high", "seeds", "unit"))),
            at=row["value"],
            low=row["low"],
            high=row["high"],
            verdict="" if row["planted"] else row["verdict"],
            folder=cell_folder(row | {"cell": row["cells"].split(" ")[0]}) if row["cells"] else "",
        )


def _says(value: float, low: float, high: float, seeds: int, unit: str) -> str:
    said, least, most = (worded(x, unit) for x in (value, low, high))
    if math.isnan(low) and math.isnan(high):
        return f"{said} ({counted(seeds, 'seed')})"
    if math.isnan(high):
        return f"{said}, {least} or more"
    return f"{said}, {most} or less" if math.isnan(low) else f"{said} [{least}, {most}]"


def worded(value: float, unit: str, short: bool = False) -> str:
    """``3.9x``, ``+12.0%``, ``+0.00123``; ``short`` for an axis."""
    if unit == "x":
        return f"{value:.3g}x"
    if unit == "%":
        return f"{value:+.3g}%" if short else f"{value:+.1f}%"
    return f"{value:+.4g}" if short else f"{value:+.5f}"


@FIGURES.add
@plot(
    "The ledger",
    "Each number with its 95% interval; a point alone has too few seeds for one. The line is the value of no effect, "
    "the band what the paper says, an arrow an end that is not known.",
)
def ledger(results: Results) -> Figure | None:
    axes = axes_of(results)
    if not axes:
        return None
    rows = [len(axis.bars) + 1.6 for axis in axes]
    figure = Figure(figsize=(11, 0.24 * sum(rows) + 0.6), layout="constrained")
    for axis, ax in zip(axes, figure.subplots(len(axes), 1, height_ratios=rows, squeeze=False)[:, 0]):
        if axis.papers:
            ax.axvspan(*axis.paper, color=PAPERS, linewidth=3)
        ax.axvline(axis.reference, color="#666666", linewidth=0.9)
        for y, bar in enumerate(axis.bars):
            color, (left, right) = COLORS.get(bar.verdict, COLORS[NOT_RUN]), bar.span(axis.ends)
            ax.plot([left, right], [y, y], color=color, linewidth=1.6)
            ax.plot(bar.at, y, "o", color=color, markersize=4.5)
            ax.plot(right, y, ">" if bar.opens[1] else "", color=color, markersize=5, clip_on=False)
            ax.plot(left, y, "<" if bar.opens[0] else "", color=color, markersize=5, clip_on=False)
            ax.text(1.01, y, f"{bar.says}  {bar.verdict}", color=color, transform=ax.get_yaxis_transform(), va="center")
        ax.set_yticks(range(len(axis.bars)), [f"{bar.comparison}, {bar.name}" for bar in axis.bars])
        ax.set_ylim(len(axis.bars) - 0.4, -0.6)
        if axis.log:
            ax.set_xscale("log", base=2)
            ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _, unit=axis.unit: worded(x, unit, short=True)))
        ax.set_xlim(*axis.ends)
        ax.set_title(f"{axis.claim}, {axis.unit}" + (f"; the paper: {axis.papers}" if axis.papers else ""), loc="left")
    return figure
