"""The report's figures, as matplotlib ``Figure`` objects, and their SVG and PNG files."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mlet_bench.files import atomic
from mlet_bench.reporting.collect import Results
from mlet_bench.reporting.drawing import (
    MARKERS,
    STYLE,
    best_possible,
    by_line,
    grid,
    inner_dims_of,
    legend,
    line_style,
    lines_over_d,
    lines_over_size,
    panel_title,
    panels_of,
    short_count,
)
from mlet_bench.reporting.evidence import reweighting_table
from mlet_bench.reporting.evidence_figures import rare, reduction
from mlet_bench.reporting.tables import PAPER_OVERHEAD, cells_table, overhead_table, rank_means, spectrum_table
from mlet_bench.reporting.vector import add_tip, with_titles


def write_figures(results: Results, folder: Path) -> dict[str, Path]:
    """Draw what there are data for, as SVG and PNG; figures of an earlier report that have none are removed.

    Returns:
        the SVG of each figure drawn, by name, in the order of the report.
    """
    makers = {
        "quality_over_size": quality_over_size,
        "quality_over_d": quality_over_d,
        "reduction": reduction,
        "rare": rare,
        "curves": curves,
        "longer": longer,
        "effective_rank": effective_rank,
        "reweighting": reweighting,
        "overhead": overhead,
    }
    written = {}
    with matplotlib.rc_context(STYLE):
        for name, make in makers.items():
            figure = make(results)
            for suffix in ("svg", "png"):
                path = folder / f"{name}.{suffix}"
                if figure is None:
                    path.unlink(missing_ok=True)
                    continue
                # The date would make two equal reports differ.
                metadata = {"Date": None} if suffix == "svg" else {"Software": None}
                with atomic(path) as partial:
                    figure.savefig(partial, dpi=150, metadata=metadata)
                    figure.set_layout_engine("none")  # laid out once for both files: that is half of the work
                    if suffix == "svg":
                        partial.write_text(with_titles(partial.read_text(encoding="utf-8")), encoding="utf-8")
            if figure is not None:
                written[name] = folder / f"{name}.svg"
    return written


def quality_over_size(results: Results) -> Figure | None:
    """Test AUC and LogLoss over the bytes of the deployed tables, a line an arm and k, bands from seed to seed."""
    cells = cells_table(results.runs)
    cells = cells[cells["done"] > 0]
    if cells.empty:
        return None
    panels = panels_of(cells)
    figure, axes = grid(2, len(panels), height=2.7, width=5.2)
    for column, (dataset, model) in enumerate(panels):
        part = cells[(cells["dataset"] == dataset) & (cells["model"] == model)]
        for row, (metric, label) in enumerate((("auc", "test AUC"), ("logloss", "test LogLoss"))):
            ax = axes[row][column]
            lines_over_size(ax, part, metric, inner_dims_of(cells))
            ax.set_ylabel(label if column == 0 else "")
        axes[0][column].set_title(panel_title(results, dataset, model))
        axes[1][column].set_xlabel("deployed tables, MB")
    legend(figure, cells)
    return figure


def quality_over_d(results: Results) -> Figure | None:
    """Test AUC and LogLoss over d, a line an arm and k, bars from the lowest to the highest seed."""
    cells = cells_table(results.runs)
    cells = cells[cells["done"] > 0]
    if cells.empty:
        return None
    panels = panels_of(cells)
    figure, axes = grid(2, len(panels), height=2.6)
    for column, (dataset, model) in enumerate(panels):
        part = cells[(cells["dataset"] == dataset) & (cells["model"] == model)]
        for row, (metric, label) in enumerate((("auc", "test AUC"), ("logloss", "test LogLoss"))):
            ax = axes[row][column]
            lines_over_d(ax, part, metric, inner_dims_of(cells))
            ax.set_ylabel(label if column == 0 else "")
        axes[0][column].set_title(panel_title(results, dataset, model))
        axes[1][column].set_xlabel("embedding width d")
        planted = results.planted(dataset)
        if planted and planted.get("best_auc"):
            best_possible(axes[0][column], planted["best_auc"])
    legend(figure, cells)
    return figure


def curves(results: Results) -> Figure | None:
    """Validation AUC over training rows of the main grid."""
    return _curves(results, results.curves)


def longer(results: Results) -> Figure | None:
    """The same of the cells trained for more epochs."""
    return _curves(results, results.longer_curves)


def _curves(results: Results, points: pd.DataFrame) -> Figure | None:
    """Means over the seeds that are done; a column a width d, a row a data set and model.

    A point needs a validation at the same row in some seed; the earliest part of training lies below the axis.
    """
    points = points.dropna(subset="val_auc")
    if points.empty:
        return None
    means = points.groupby(["dataset", "model", "arm", "dim", "inner_dim", "rows"], dropna=False)["val_auc"].mean()
    means = means.reset_index()
    panels, dims = panels_of(points), sorted(points["dim"].unique())
    figure, axes = grid(len(panels), len(dims), height=2.7, width=2.8)
    for row, (dataset, model) in enumerate(panels):
        for column, dim in enumerate(dims):
            ax = axes[row][column]
            part = means[(means["dataset"] == dataset) & (means["model"] == model) & (means["dim"] == dim)]
            for (arm, inner_dim), line in by_line(part):
                style = line_style(arm, inner_dim, inner_dims_of(points))
                ax.plot(line["rows"], line["val_auc"], **style | {"markersize": 3})
            ax.set_title(f"{panel_title(results, dataset, model)}\nd = {dim}")
            ax.xaxis.set_major_formatter(FuncFormatter(short_count))
            ax.xaxis.set_major_locator(MaxNLocator(4))
            ax.set_ylabel("validation AUC" if column == 0 else "")
            ax.set_xlabel("training rows" if row == len(panels) - 1 else "")
        # The start is far below where the lines part: the axis begins at the lowest value after a third of the rows.
        late = means[(means["dataset"] == dataset) & (means["model"] == model)]
        late = late[late["rows"] >= late["rows"].max() / 3]["val_auc"]
        margin = 0.05 * (late.max() - late.min()) + 1e-4
        for ax in axes[row]:
            ax.set_ylim(late.min() - margin, late.max() + margin)
    legend(figure, points)
    return figure


def effective_rank(results: Results) -> Figure | None:
    """Effective rank of the collapsed tables as a share of d, means over fields and seeds, all rows alike."""
    ranks = rank_means(spectrum_table(results.spectrum))
    ranks = ranks[(ranks["weighting"] == "uniform") & (ranks["stage"] == "trained")]
    if ranks.empty:
        return None
    ranks = ranks.assign(share=ranks["effective_rank"] / ranks["dim"].astype(float))
    panels = panels_of(ranks)
    figure, axes = grid(1, len(panels), height=3.2)
    for column, (dataset, model) in enumerate(panels):
        ax = axes[0][column]
        part = ranks[(ranks["dataset"] == dataset) & (ranks["model"] == model)]
        lines_over_d(ax, part, "share", inner_dims_of(ranks))
        ax.axhline(1, color="#777777", linewidth=0.8, linestyle=":")
        ax.set_title(panel_title(results, dataset, model))
        ax.set_xlabel("embedding width d")
        ax.set_ylabel("effective rank / d" if column == 0 else "")
    legend(figure, ranks)
    return figure


def reweighting(results: Results) -> Figure | None:
    """The factors that scale gradients, field by field, of the MLET cell of the largest d and k of each data set."""
    table = reweighting_table(results.reweighting)
    table = table[table["arm"] == "mlet"]
    if table.empty:
        return None
    panels = panels_of(table)
    figure, axes = grid(1, len(panels), height=3.0, width=5.2)
    for column, (dataset, model) in enumerate(panels):
        ax = axes[0][column]
        part = table[(table["dataset"] == dataset) & (table["model"] == model)]
        dim, inner_dim = part[["dim", "inner_dim"]].drop_duplicates().sort_values(["dim", "inner_dim"]).iloc[-1]
        part = part[(part["dim"] == dim) & (part["inner_dim"] == inner_dim)]
        fields = list(dict.fromkeys(part["field"]))
        stages = (("initial", "at the start", "o", "#777777", -0.15), ("trained", "trained", "s", "#0072B2", 0.15))
        for stage, label, marker, color, shift in stages:
            line = part[part["stage"] == stage].set_index("field").loc[fields]
            at, bars = np.arange(len(fields)) + shift, [line["median"] - line["low"], line["high"] - line["median"]]
            style = {"marker": marker, "color": color, "linestyle": "none", "markersize": 4, "elinewidth": 0.9}
            ax.errorbar(at, line["median"], yerr=bars, label=label, **style)
            for x, (field, row) in zip(at, line.iterrows()):
                words = f"{field}, {label}: {row['median']:.3g} ({row['low']:.3g} to {row['high']:.3g})"
                add_tip(ax, x, row["median"], words)
        ax.axhline(1, color="#000000", linewidth=1, linestyle="--", label="single")
        ax.set_yscale("log")
        ax.set_xticks(range(len(fields)), fields, rotation=90, fontsize=7)
        ax.set_title(f"{panel_title(results, dataset, model)}, d = {dim}, k = {inner_dim}")
        ax.set_ylabel("σ²(W1) + σ²(W2)" if column == 0 else "")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return figure


def overhead(results: Results) -> Figure | None:
    """Extra time of an MLET step over a single-layer step: median and quartiles of the paired ratios, per (d, k)."""
    table = overhead_table(results.overhead)
    if table.empty:
        return None
    panels = panels_of(table)
    settings = list(table[["device", "batch_size"]].drop_duplicates().itertuples(index=False, name=None))
    figure, axes = grid(len(settings), len(panels), height=2.9)
    for row, (device, batch_size) in enumerate(settings):
        for column, (dataset, model) in enumerate(panels):
            ax = axes[row][column]
            setting = (table["device"] == device) & (table["batch_size"] == batch_size)
            part = table[setting & (table["dataset"] == dataset) & (table["model"] == model)]
            _overhead_points(ax, part, inner_dims_of(table), sorted(int(dim) for dim in table["dim"].unique()))
            ax.set_title(f"{dataset}, {model.upper()}, B = {batch_size}\n{device}")
            ax.set_xlabel("embedding width d" if row == len(settings) - 1 else "")
            ax.set_ylabel("extra time of a step, %" if column == 0 else "")
    handles, labels = axes[0][0].get_legend_handles_labels()
    # matplotlib lists lines before points; the measured points come first here.
    figure.legend([*handles[1:], handles[0]], [*labels[1:], labels[0]], loc="outside upper center", ncols=6)
    return figure


def _overhead_points(ax: Axes, part: pd.DataFrame, inner_dims: list[int], dims: list[int]) -> None:
    """A group of points a d, one point a k, from light to dark."""
    width = 0.6 / len(inner_dims)
    for place, inner_dim in enumerate(inner_dims):
        line = part[part["inner_dim"] == inner_dim]
        at = [dims.index(dim) + (place - (len(inner_dims) - 1) / 2) * width for dim in line["dim"]]
        bars = [100 * (line["ratio"] - line["ratio_q25"]), 100 * (line["ratio_q75"] - line["ratio"])]
        color = matplotlib.colormaps["cividis_r"](0.25 + 0.75 * (place + 1) / len(inner_dims))
        style = {"marker": MARKERS[place % len(MARKERS)], "color": color, "linestyle": "none", "capsize": 2}
        ax.errorbar(at, 100 * (line["ratio"] - 1), yerr=bars, label=f"k = {inner_dim}", **style)
        for place, timed in zip(at, line.to_dict("records")):
            extra, low, high = (100 * (timed[name] - 1) for name in ("ratio", "ratio_q25", "ratio_q75"))
            words = f"d = {timed['dim']}, k = {inner_dim}: {extra:+.1f}% ({low:+.1f}% to {high:+.1f}%)"
            add_tip(ax, place, extra, f"{words}, {timed['single_ms']:.3f} to {timed['mlet_ms']:.3f} ms a step")
    ax.axhline(0, color="#666666", linewidth=0.8)
    ax.axhline(100 * PAPER_OVERHEAD, color="#D55E00", linestyle="--", linewidth=1, label="the paper's average")
    ax.set_xticks(range(len(dims)), [str(dim) for dim in dims])
    ax.set_xlim(-0.6, len(dims) - 0.4)
