"""What the figures share: panels, line styles, the legend.

Arms differ by colour and line style, inner widths k by marker, so that the lines stay apart in grey. Colours are Okabe
and Ito's, which colour-blind readers tell apart.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from mlet_bench.reporting.collect import Results
from mlet_bench.reporting.document import counted
from mlet_bench.reporting.vector import add_tip

STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "axes.edgecolor": "#666666",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "svg.hashsalt": "mlet-bench",
    "svg.fonttype": "path",
    "figure.facecolor": "white",
}
ARM_STYLE = {
    "single": ("#000000", "-"),
    "mlet": ("#0072B2", "-"),
    "single-lr": ("#E69F00", "--"),
    "single-lr-tuned": ("#D55E00", (0, (5, 1.5))),
    "single-init": ("#009E73", "-."),
    "mlet-frozen": ("#56B4E9", (0, (1, 1.2))),
    "mlet-unit": ("#CC79A7", (0, (4, 1.2, 1, 1.2, 1, 1.2))),
    "mlet-lr-tuned": ("#5B3FA0", (0, (5, 1.5))),
}
MARKERS = "osD^vPX*h<>p"


def grid(rows: int, columns: int, height: float, width: float = 4.2) -> tuple[Figure, np.ndarray]:
    """A figure with a (rows, columns) array of axes."""
    figure = Figure(figsize=(max(width * columns, 6.0), height * rows + 0.7), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def lines_over_d(ax: Axes, part: pd.DataFrame, value: str, inner_dims: list[int]) -> None:
    """A line an arm and k, slightly shifted along d so that the bars do not hide each other."""
    lines = list(by_line(part))
    for ((arm, inner_dim), line), shift in zip(lines, spread(len(lines))):
        at = line["dim"].astype(float) * 2**shift
        middle = line[value].astype(float)
        if f"{value}_min" in line:
            # The range, not the t interval: with two seeds that is 13 times as wide as all that was seen.
            several = line["done"] > 1
            bars = [(middle - line[f"{value}_min"])[several], (line[f"{value}_max"] - middle)[several]]
            color = ARM_STYLE[arm][0]
            ax.errorbar(at[several], middle[several], yerr=bars, fmt="none", ecolor=color, elinewidth=0.9, alpha=0.6)
        ax.plot(at, middle, **line_style(arm, inner_dim, inner_dims))
        for x, y, cell in zip(at, middle, line.to_dict("records")):
            add_tip(ax, x, y, words_of(cell))
    ticks_of_d(ax, part)
    ax.yaxis.get_major_formatter().set_useOffset(False)


def spread(count: int) -> np.ndarray:
    """How far aside each of several lines stands, (count,), about 0, so that their bars do not hide each other."""
    return (np.arange(count) - (count - 1) / 2) * 0.16 / max(count, 4)


def ticks_of_d(ax: Axes, table: pd.DataFrame) -> None:
    """The x-axis of embedding widths: logarithmic, a tick at each d of a table."""
    dims = sorted(int(dim) for dim in table["dim"].unique())
    ax.set_xscale("log", base=2)
    ax.set_xticks(dims, [str(dim) for dim in dims])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(dims[0] / 1.3, dims[-1] * 1.3)


def lines_over_size(ax: Axes, part: pd.DataFrame, value: str, inner_dims: list[int]) -> None:
    """A line an arm and k over megabytes of inference tables, log axis, with a band from lowest to highest seed."""
    lines = list(by_line(part))
    for place, ((arm, inner_dim), line) in enumerate(lines):
        size, middle = line["inference_tables_bytes"].astype(float) / 1e6, line[value].astype(float)
        if len(line) == 1:  # points at one width, controls mostly, would hide each other
            size = size * 2 ** ((place - len(lines) / 2) * 0.03)
        low, high = line[f"{value}_min"].astype(float), line[f"{value}_max"].astype(float)
        color = ARM_STYLE[arm][0]
        ax.fill_between(size, low, high, color=color, alpha=0.13, linewidth=0)
        if len(line) == 1:  # a band of one point has no area
            ax.vlines(size, low, high, color=color, linewidth=0.9, alpha=0.6)
        ax.plot(size, middle, **line_style(arm, inner_dim, inner_dims))
        for x, y, cell in zip(size, middle, line.to_dict("records")):
            add_tip(ax, x, y, words_of(cell))
    sizes = part.groupby("dim")["inference_tables_bytes"].mean().astype(float) / 1e6
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes.to_list(), [f"{size:,.3g}\nd = {dim}" for dim, size in sizes.items()])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(sizes.min() / 1.3, sizes.max() * 1.3)
    ax.yaxis.get_major_formatter().set_useOffset(False)


def words_of(cell: dict[str, Any]) -> str:
    """What a point says on hover: the row of a ``cells_table``, or of ``rank_means``."""
    name = name_of(cell)
    if "effective_rank" in cell:
        return f"{name}: effective rank {cell['effective_rank']:.2f}, stable rank {cell['stable_rank']:.2f}"
    auc, logloss = (
        f"{cell[metric]:.5f}" + (f" ({cell[f'{metric}_min']:.5f} to {cell[f'{metric}_max']:.5f})" if several else "")
        for metric, several in (("auc", cell["done"] > 1), ("logloss", cell["done"] > 1))
    )
    size, seeds = cell["inference_tables_bytes"] / 1e6, counted(cell["done"], "seed")
    return f"{name}: AUC {auc}, LogLoss {logloss}, tables {size:,.3g} MB, {seeds}"


def name_of(cell: dict[str, Any]) -> str:
    """``mlet, d = 4, k = 64``."""
    inner = "" if pd.isna(cell["inner_dim"]) else f", k = {cell['inner_dim']}"
    return f"{cell['arm']}, d = {cell['dim']}{inner}"


def best_possible(ax: Axes, best: float) -> None:
    """The planted model's own AUC: a line where it fits beside the data, else a note at the panel's edge."""
    low, high = ax.get_ylim()
    span, text = high - low, f"best possible {best:.4f}"
    if low - span <= best <= high + span:
        ax.axhline(best, color="#555555", linestyle=":", linewidth=1.2)
        ax.set_ylim(min(low, best - 0.1 * span), max(high, best + 0.2 * span))
        ax.annotate(text, (0.01, best), (0, 3), xycoords=("axes fraction", "data"), textcoords="offset points")
    else:
        ax.set_ylim(low, high + 0.12 * span)
        where = "above" if best > high else "below"
        ax.text(0.01, 0.99, f"{text} ({where})", transform=ax.transAxes, va="top", color="#555555")


def line_style(arm: str, inner_dim: int | None, inner_dims: list[int]) -> dict[str, Any]:
    """Keyword arguments of ``Axes.plot`` for a line; the baseline is the thick one."""
    color, dashes = ARM_STYLE[arm]
    if arm == "single":
        return {"color": color, "linestyle": dashes, "linewidth": 2.2, "marker": ".", "markersize": 8, "zorder": 5}
    style = {"color": color, "linestyle": dashes, "linewidth": 1.2}
    if inner_dim is None:  # a cross has no area, so that it needs a thicker edge to be seen
        return style | {"marker": "x", "markersize": 6, "markeredgewidth": 1.6}
    return style | {"marker": MARKERS[inner_dims.index(inner_dim) % len(MARKERS)], "markersize": 4.5}


def legend(figure: Figure, table: pd.DataFrame, more: Sequence[Artist] = ()) -> None:
    """Arms (colour and line style) and inner widths (marker) that occur, above the panels; then what else is drawn."""
    handles = []
    for arm in ARM_STYLE:
        if (table["arm"] == arm).any():
            style = line_style(arm, None, []) if arm == "single" else line_style(arm, None, []) | {"marker": ""}
            handles.append(Line2D([], [], label=arm, **style))
    for inner_dim, marker in zip(inner_dims_of(table), MARKERS):
        marks = {"color": "#444444", "linestyle": "none", "markersize": 5}
        handles.append(Line2D([], [], label=f"k = {inner_dim}", marker=marker, **marks))
    handles += more
    columns = max(2, int(figure.get_figwidth() / 1.6))
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), columns), handlelength=3)


def by_line(table: pd.DataFrame) -> Iterator[tuple[tuple[str, int | None], pd.DataFrame]]:
    """((arm, k), rows sorted by d) of each line, arms in their fixed order, k ascending."""
    for arm in ARM_STYLE:
        part = table[table["arm"] == arm]
        for inner_dim, line in part.groupby("inner_dim", dropna=False):
            order = ["dim", "rows"] if "rows" in line else ["dim"]
            yield (arm, None if pd.isna(inner_dim) else int(inner_dim)), line.sort_values(order)


def inner_dims_of(table: pd.DataFrame) -> list[int]:
    """Every k in a table, ascending: a k's place decides its marker."""
    return sorted(int(inner_dim) for inner_dim in table["inner_dim"].dropna().unique())


def panels_of(table: pd.DataFrame) -> list[tuple[str, str]]:
    """The (data set, model) pairs of a table, in its order."""
    return list(table[["dataset", "model"]].drop_duplicates().itertuples(index=False, name=None))


def panel_title(results: Results, dataset: str, model: str) -> str:
    """``avazu, DLRM``; rows that were made, not measured, say so in every figure."""
    return f"{dataset}, {model.upper()}" + (" (synthetic)" if results.planted(dataset) is not None else "")


def short_count(value: float, _: int) -> str:
    """1500000 as ``1.5M``; the second argument is the tick's place, which matplotlib passes."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
