"""Figures of the evidence behind two claims: reduction factors over d (C1), gains by category frequency (C7)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from mlet_bench.reporting.collect import Results
from mlet_bench.reporting.document import counted, group_words, signed
from mlet_bench.reporting.drawing import (
    ARM_STYLE,
    by_line,
    grid,
    inner_dims_of,
    legend,
    line_style,
    name_of,
    panel_title,
    panels_of,
    spread,
    ticks_of_d,
)
from mlet_bench.reporting.evidence import rare_table, reduction_table
from mlet_bench.reporting.tables import PAPER_REDUCTION
from mlet_bench.reporting.vector import add_tip


def reduction(results: Results) -> Figure | None:
    """Reduction factors at equal AUC and LogLoss over d; where there is only a bound, an arrow at the bound."""
    table = reduction_table(results.runs).dropna(subset="factor")
    if table.empty:
        return None
    panels = panels_of(table)
    figure, axes = grid(2, len(panels), height=2.6, width=5.2)
    for column, (dataset, model) in enumerate(panels):
        part = table[(table["dataset"] == dataset) & (table["model"] == model)]
        for row, (metric, label) in enumerate((("auc", "AUC"), ("logloss", "LogLoss"))):
            ax = axes[row][column]
            _factors_over_d(ax, part[part["metric"] == metric], inner_dims_of(table), label)
            ax.set_ylabel(f"single's width\nat equal {label}, × d" if column == 0 else "")
        axes[0][column].set_title(panel_title(results, dataset, model))
        axes[1][column].set_xlabel("embedding width d")
    low, high = PAPER_REDUCTION
    marks = [
        Patch(color=CLAIMED, label=f"the paper: {low}-{high}x"),
        Patch(color=BEYOND, label="not measured"),
    ]
    legend(figure, table, marks)
    return figure


CLAIMED, BEYOND = "#f6d9a8", "#ececec"


def _factors_over_d(ax: Axes, part: pd.DataFrame, inner_dims: list[int], metric: str) -> None:
    lines = list(by_line(part))
    for ((arm, inner_dim), line), shift in zip(lines, spread(len(lines))):
        # Infinity and 0 say that only a bound is known; they are drawn at it.
        at = line["dim"].astype(float).to_numpy() * 2 ** (3 * shift)
        least, most = line["least"].to_numpy(), line["most"].to_numpy()
        factor, low, high = (np.clip(line[name], least, most) for name in ("factor", "factor_low", "factor_high"))
        style, several = line_style(arm, inner_dim, inner_dims), line["factor_low"].notna()
        bars = [(factor - low)[several], (high - factor)[several]]
        ax.errorbar(at[several], factor[several], yerr=bars, fmt="none", ecolor=style["color"], elinewidth=0.9)
        ax.plot(at, factor.where(np.isfinite(line["factor"]) & (line["factor"] > 0)), **style)
        for bound, arrow in ((np.inf, "^"), (0.0, "v")):
            only = (line["factor"] == bound).to_numpy()
            ax.plot(at[only], factor[only], arrow, color=style["color"], markersize=8, fillstyle="none")
        for x, y, row in zip(at, factor, line.to_dict("records")):
            add_tip(ax, x, y, f"{name_of(row)}: {row['text']} at equal {metric}, {counted(row['pairs'], 'seed')}")
    ends = part.groupby("dim")[["least", "most"]].first()
    dims = ends.index.to_numpy(float)
    bottom, top = ends["least"].min() / 1.5, max(ends["most"].max(), PAPER_REDUCTION[1]) * 1.5
    edge = dims * np.where(dims == dims[0], 1 / 1.3, np.where(dims == dims[-1], 1.3, 1.0))  # to the panel's sides
    for inner, outer in ((ends["most"], top), (ends["least"], bottom)):
        ax.fill_between(edge, inner, outer, color=BEYOND, linewidth=0, zorder=0)
    ax.axhspan(*PAPER_REDUCTION, color=CLAIMED, alpha=0.6, linewidth=0, zorder=0.5)
    ax.axhline(1, color="#666666", linewidth=0.8)
    ticks_of_d(ax, part)
    ax.set_yscale("log", base=2)
    ax.yaxis.set_major_locator(LogLocator(2))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    ax.set_ylim(bottom, top)


def rare(results: Results) -> Figure | None:
    """Gain in AUC over ``single`` of the same d, by how often a row's rarest category was trained on."""
    table = rare_table(results.rare)
    table = table[table["grouping"] == "rarest"]
    if table.empty:
        return None
    panels, dims = panels_of(table), sorted(table["dim"].unique())
    figure, axes = grid(len(panels), len(dims), height=2.8, width=3.6)
    for row, (dataset, model) in enumerate(panels):
        of_set = table[(table["dataset"] == dataset) & (table["model"] == model)]
        for column, dim in enumerate(dims):
            ax = axes[row][column]
            if column:
                ax.sharey(axes[row][0])
            _gains_by_group(ax, of_set[of_set["dim"] == dim], inner_dims_of(table))
            ax.set_title(f"{panel_title(results, dataset, model)}\nd = {dim}")
            ax.set_ylabel("gain in AUC over single" if column == 0 else "")
            ax.set_xlabel("training rows with it" if row == len(panels) - 1 else "")
    legend(figure, table)
    return figure


def _gains_by_group(ax: Axes, part: pd.DataFrame, inner_dims: list[int]) -> None:
    groups = part.drop_duplicates("group").sort_values("group")
    lines = list(by_line(part))
    for ((arm, inner_dim), line), shift in zip(lines, spread(len(lines))):
        line = line.sort_values("group")
        at = line["group"].to_numpy(float) + 4 * shift
        several = line["gain_low"].notna().to_numpy()
        bars = [(line["gain"] - line["gain_low"])[several], (line["gain_high"] - line["gain"])[several]]
        ax.errorbar(at[several], line["gain"][several], yerr=bars, fmt="none", ecolor=ARM_STYLE[arm][0], elinewidth=0.9)
        ax.plot(at, line["gain"], **line_style(arm, inner_dim, inner_dims))
        for x, row in zip(at, line.to_dict("records")):
            gain = signed(row["gain"], row["gain_low"], row["gain_high"])
            words = f"rarest category seen {group_words(row)}, {row['rows']:,} rows: {gain}"
            add_tip(ax, x, row["gain"], f"{name_of(row)}, {words}, {counted(row['pairs'], 'seed')}")
    ax.axhline(0, color="#666666", linewidth=0.8)
    ax.set_xticks(groups["group"], [group_words(row) for row in groups.to_dict("records")], fontsize=8)
