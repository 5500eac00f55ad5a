"""What figures share: panels, line styles, the legend.

Arms differ by colour and line style, inner widths k by marker, so that the lines stay apart in grey. Colours are Okabe
and Ito's, which colour-blind readers tell apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

from mlet_bench.arms import ARMS, BASELINE, Look
from mlet_bench.display.svg import KEYS, add_tip, mark
from mlet_bench.display.text import counted, slug
from mlet_bench.models import model_title
from mlet_bench.tables.cells import records
from mlet_bench.tables.results import Results, Setting

STYLE: Any = {
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
    "svg.fonttype": "none",  # text stays text: it can be searched, copied, and read aloud
    "figure.facecolor": "white",
    "axes.facecolor": "none",
}
# For arms that bring no look of their own, by their place among those; dashes tell them from the built-in ones.
PALETTE = ("#8C510A", "#01665E", "#762A83", "#666666", "#B2182B", "#4D9221")
PALETTE_DASHES = (0, (6, 1.5, 1.5, 1.5))
MARKERS, GLYPHS = "osD^vPX*h<>p", "●■◆▲▼✚✖★⬢◀▶⬟"  # the same, drawn and written
DASHES: dict[str, tuple[float, ...]] = {"-": (), "--": (3.7, 1.6), "-.": (6.4, 1.6, 1, 1.6), ":": (1, 1.65)}
WIDEST = 16.0  # inches of a figure


def grid(
    rows: int, columns: int, x: str, y: str | Sequence[str], height: float, width: float = 4.2
) -> tuple[Figure, np.ndarray]:
    """A figure with a (rows, columns) array of axes, labelled x and y, or one y a row; each can stand alone in a page.

    Columns that a page of paper cannot hold stand below the others, with all their rows.
    """
    layers = -(-columns // max(1, int(WIDEST / width)))
    across = -(-columns // layers)
    down = rows * layers
    figure = Figure(figsize=(max(width * across, 6.0), height * down + 0.7), layout="constrained")
    places = figure.add_gridspec(down, across)
    axes = np.empty((rows, columns), dtype=object)
    for row, label in enumerate([y] * rows if isinstance(y, str) else y):
        for column in range(columns):
            place = places[column // across * rows + row, column % across]
            axes[row, column] = figure.add_subplot(place, xlabel=x, ylabel=label)
    return figure, axes


def lines_over_d(ax: Axes, part: pd.DataFrame, value: str, inner_dims: list[int]) -> None:
    """A line an arm and k, slightly shifted along d so that the bars do not hide each other."""
    for arm, inner_dim, line, shift in each_line(ax, part):
        at = line["dim"].astype(float) * 2**shift
        middle = line[value].astype(float)
        if f"{value}_min" in line:
            # The range, not the t interval: with two seeds that is 13 times as wide as all that was seen.
            several = line["done"] > 1
            bars = [(middle - line[f"{value}_min"])[several], (line[f"{value}_max"] - middle)[several]]
            color = look_of(arm).color
            ax.errorbar(at[several], middle[several], yerr=bars, fmt="none", ecolor=color, elinewidth=0.9, alpha=0.6)
        ax.plot(at, middle, **line_style(arm, inner_dim, inner_dims))
        for x, y, cell in zip(at, middle, records(line)):
            add_tip(ax, x, y, words_of(cell))
    ticks_of_d(ax, part)
    ax.ticklabel_format(axis="y", useOffset=False)


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


def ticks_of_size(ax: Axes) -> None:
    """A logarithmic x-axis with ticks at 1, 2 and 5 of each decade; at 1 alone where that would be too many."""
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 2000 * low else (1,), numticks=20))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())


def lines_over_size(ax: Axes, part: pd.DataFrame, value: str, inner_dims: list[int]) -> None:
    """A line an arm and k over megabytes of inference tables, log axis, with a band from lowest to highest seed."""
    for arm, inner_dim, line, shift in each_line(ax, part):
        size, middle = line["deployed_tables_bytes"].astype(float) / 1e6, line[value].astype(float)
        if len(line) == 1:  # points at one width, controls mostly, would hide each other
            size = size * 2**shift
        low, high = line[f"{value}_min"].astype(float), line[f"{value}_max"].astype(float)
        color = look_of(arm).color
        ax.fill_between(size, low, high, color=color, alpha=0.13, linewidth=0)
        if len(line) == 1:  # a band of one point has no area
            ax.vlines(size, low, high, color=color, linewidth=0.9, alpha=0.6)
        ax.plot(size, middle, **line_style(arm, inner_dim, inner_dims))
        for x, y, cell in zip(size, middle, records(line)):
            add_tip(ax, x, y, words_of(cell))
    sizes = part.groupby("dim")["deployed_tables_bytes"].mean().astype(float) / 1e6
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes.to_list(), [f"{size:,.3g}\nd = {dim}" for dim, size in sizes.items()])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(sizes.min() / 1.3, sizes.max() * 1.3)
    ax.ticklabel_format(axis="y", useOffset=False)


def words_of(cell: dict[str, Any]) -> str:
    """What a point says on hover: the row of a ``cells_table``, or of ``rank_means``."""
    name = name_of(cell)
    if "effective_rank" in cell:
        return f"{name}: effective rank {cell['effective_rank']:.2f}, stable rank {cell['stable_rank']:.2f}"
    auc, logloss = (
        f"{cell[metric]:.5f}" + (f" ({cell[f'{metric}_min']:.5f} to {cell[f'{metric}_max']:.5f})" if several else "")
        for metric, several in (("auc", cell["done"] > 1), ("logloss", cell["done"] > 1))
    )
    size, seeds = cell["deployed_tables_bytes"] / 1e6, counted(cell["done"], "seed")
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
    look = look_of(arm)
    style: dict[str, Any] = {"color": look.color, "linestyle": look.dashes, "linewidth": 1.2}
    if arm == BASELINE:
        return style | {"linewidth": 2.2, "marker": ".", "markersize": 8, "zorder": 5}
    if inner_dim is None:  # a cross has no area, so that it needs a thicker edge to be seen
        return style | {"marker": "x", "markersize": 6, "markeredgewidth": 1.6}
    return style | {"marker": MARKERS[inner_dims.index(inner_dim) % len(MARKERS)], "markersize": 4.5}


def look_of(arm: str) -> Look:
    """Colour and dashes of an arm's lines: its own look, or one from the palette."""
    look = ARMS[arm].look if arm in ARMS else None
    without = [name for name in ARMS if ARMS[name].look is None]
    place = without.index(arm) if arm in without else len(without)
    return look or Look(PALETTE[place % len(PALETTE)], PALETTE_DASHES)


def arms_of(table: pd.DataFrame) -> list[str]:
    """The arms that occur in a table, in their fixed order; last those that are not known here, of a plugin say."""
    found = list(dict.fromkeys(table["arm"]))
    return [*(arm for arm in ARMS if arm in found), *(arm for arm in found if arm not in ARMS)]


def legend(figure: Figure, table: pd.DataFrame, more: Sequence[Artist] = ()) -> None:
    """Arms (colour and line style) and inner widths (marker) that occur, above the panels; then what else is drawn."""
    handles = []
    for arm in arms_of(table):
        style = line_style(arm, None, [])
        style["marker"] = style["marker"] if arm == BASELINE else ""
        handles.append(Line2D([], [], label=arm, **style))
    for inner_dim, marker in zip(inner_dims_of(table), MARKERS):
        handles.append(Line2D([], [], label=f"k = {inner_dim}", marker=marker, color="#444444", ls="none", ms=5))
    columns = max(2, int(figure.get_figwidth() / 1.6))
    if more:
        figure.legend(handles=more, loc="outside lower center", ncols=columns)
    keys = figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), columns), handlelength=3)
    keys.set_gid(KEYS)  # a page has keys of its own, which hide and show


@dataclass(frozen=True)
class Key:
    """What a page says of an arm or a k beside a figure; ``name`` is the class of its lines."""

    name: str
    label: str
    meaning: str = ""
    color: str = ""
    dashes: str = ""
    marker: str = ""


def keys_of(marks: set[str], inner_dims: Sequence[int]) -> list[Key]:
    """The keys of arms, given as classes, in their fixed order, then those of k, ascending."""
    known = {slug(f"arm {name}"): name for name in ARMS}
    names = known | {of: of.removeprefix("arm-") for of in sorted(marks - set(known))}
    arms = []
    for of, name in names.items():
        if of in marks:
            look, meaning = look_of(name), ARMS[name].purpose if name in ARMS else ""
            dashes = DASHES[look.dashes] if isinstance(look.dashes, str) else look.dashes[1]
            arms.append(Key(of, name, meaning, look.color, " ".join(f"{1.5 * dash:g}" for dash in dashes)))
    markers = (GLYPHS[place % len(GLYPHS)] for place in range(len(inner_dims)))
    return [*arms, *(Key(f"k-{k}", f"k = {k}", marker=marker) for k, marker in zip(inner_dims, markers))]


def by_line(table: pd.DataFrame) -> Iterator[tuple[tuple[str, int | None], pd.DataFrame]]:
    """((arm, k), rows sorted by d) of each line, arms in their fixed order, k ascending."""
    for arm in arms_of(table):
        part = table[table["arm"] == arm]
        lines: Any = part.groupby("inner_dim", dropna=False)
        for inner_dim, line in lines:
            order = ["dim", "rows"] if "rows" in line else ["dim"]
            yield (arm, None if pd.isna(inner_dim) else int(inner_dim)), line.sort_values(order)


def each_line(ax: Axes, table: pd.DataFrame) -> Iterator[tuple[str, int | None, pd.DataFrame, float]]:
    """(arm, k, rows, how far aside) of each line; what is drawn of one before the next is asked for bears its mark."""
    lines = list(by_line(table))
    for ((arm, inner_dim), line), shift in zip(lines, spread(len(lines))):
        before = set(ax.get_children())
        yield arm, inner_dim, line, float(shift)
        mark([artist for artist in ax.get_children() if artist not in before], arm, inner_dim)


def inner_dims_of(table: pd.DataFrame) -> list[int]:
    """Every k in a table, ascending: a k's place decides its marker."""
    return sorted(int(inner_dim) for inner_dim in table["inner_dim"].dropna().unique())


def panels_of(results: Results, table: pd.DataFrame) -> list[Setting]:
    """The data sets and models that a table has rows of: a column of panels each."""
    return [setting for setting in results.settings if len(setting.of(table))]


def panel_title(setting: Setting) -> str:
    """``avazu, DLRM``; rows that were made, not measured, say so in every figure."""
    return f"{setting.dataset}, {model_title(setting.model)}" + (" (synthetic)" if setting.is_planted else "")
