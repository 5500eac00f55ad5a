"""Quality over deployed bytes and over d: figures, and the tables of cells and of their differences from single."""

from collections.abc import Callable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlet_bench.arms import ARMS
from mlet_bench.display import plots
from mlet_bench.display.document import ARM, CELL_COLUMNS, Column, D, K, Row, Section, Table, number, plot, show
from mlet_bench.display.text import NOTHING, ends, megabytes, signed
from mlet_bench.models import model_title
from mlet_bench.report import FIGURES
from mlet_bench.statistics.intervals import DECISIVE_PAIRS, EQUIVALENT_AUC, MATERIAL_AUC
from mlet_bench.tables.quality import cells_table, differences_table
from mlet_bench.tables.results import CELL, Results

METRICS = {"auc": "test AUC", "logloss": "test LogLoss"}


@FIGURES.add
@plot(
    "Quality over deployed size",
    "Test AUC over the bytes of the deployed tables: means over seeds, bands from the lowest to the highest seed. In "
    "the page, a point under the pointer says what it is, and a key hides and shows its arm or k.",
)
def quality_over_size(results: Results) -> Figure | None:
    return _metrics_over(results, ["auc"], plots.lines_over_size, "deployed tables, MB", 2.7)


@FIGURES.add
@plot(
    "Quality over embedding width",
    "Test AUC (higher is better) and LogLoss (lower is better) over the embedding width d: means over seeds, bars from "
    "the lowest to the highest seed.",
)
def quality_over_d(results: Results) -> Figure | None:
    figure = _metrics_over(results, list(METRICS), plots.lines_over_d, "embedding width d", 2.6)
    if figure is not None:
        panels = plots.panels_of(results, _finished(results))
        for ax, panel in zip(figure.axes, panels):  # the first row is AUC
            if best := (results.planted(panel.dataset) or {}).get("best_auc"):
                plots.best_possible(ax, best)
    return figure


def _finished(results: Results) -> pd.DataFrame:
    cells = results.table(cells_table)
    return cells[cells["done"] > 0]


def _metrics_over(
    results: Results,
    metrics: list[str],
    draw: Callable[[Axes, pd.DataFrame, str, list[int]], None],
    axis: str,
    height: float,
) -> Figure | None:
    """A row of panels a metric, a column a data set and model; ``height`` is that of a panel."""
    cells = _finished(results)
    if cells.empty:
        return None
    panels = plots.panels_of(results, cells)
    figure, axes = plots.grid(len(metrics), len(panels), axis, [METRICS[metric] for metric in metrics], height)
    for column, panel in enumerate(panels):
        for row, metric in enumerate(metrics):
            draw(axes[row][column], panel.of(cells), metric, plots.inner_dims_of(cells))
            axes[row][column].set_title(plots.panel_title(panel))
    plots.legend(figure, cells)
    return figure


def main_section(results: Results) -> Section:
    """The figure of the first screen, and what its lines are."""
    rows = [[name, ARMS[name].purpose] for name in plots.arms_of(results.runs) if name in ARMS]
    arms = Table(["arm", "what it is"], rows)
    return Section(quality_over_size.title, figures=[quality_over_size.name], tables=[("The arms", arms)])


def quality_sections(results: Results) -> list[Section]:
    """Every cell with its means and its differences from ``single``; of several models each has a section."""
    text = [
        "Means over seeds with 95% intervals (Student's t); Δ is the mean of the paired differences from single at the "
        "same d, with a 95% interval (Student's t over seeds; of AUC over test rows too). A gain is a Δ AUC above 0 "
        "and a Δ LogLoss below 0. "
        f"Of AUC, {MATERIAL_AUC:g} counts as material and ±{EQUIVALENT_AUC:g} as equal; with fewer than "
        f"{DECISIVE_PAIRS} pairs a difference is undecided. MB is that of the deployed tables."
    ]
    largest = results.runs["max_logit_difference"].max()
    if pd.notna(largest):
        text.append(f"Collapsing changed no logit of a run by more than {largest:.1e}.")
    cells, differences = results.table(cells_table), results.table(differences_table)
    for metric in METRICS:
        of = differences[differences["metric"] == metric].set_index(CELL[:3])
        of = of[["pairs", "difference", "low", "high", "reading"]]
        cells = cells.join(of.add_suffix(f"_{metric}"), on=CELL[:3])
    columns = [
        *(ARM, D, K, Column("seeds", _seeds)),
        *(Column(name, _mean(metric)) for metric, name in (("auc", "AUC"), ("logloss", "LogLoss"))),
        Column("Δ AUC", _difference("auc")),
        Column("reading", _reading, numeric=False),
        Column("Δ LogLoss", _difference("logloss")),
        Column("MB", lambda row: megabytes(row["deployed_tables_bytes"]) if row["done"] else NOTHING),
    ]
    tables: dict[str, list[tuple[str, Table]]] = {}
    for setting in results.settings:
        shown = show(setting.of(cells), columns, csv="cells")
        model = model_title(setting.model)
        tables.setdefault(model, []).append((f"{setting.dataset}, {model}", shown))
    title, figures = quality_over_d.title, [quality_over_d.name]
    if len(tables) == 1:
        return [Section(title, text, figures, *tables.values())]
    return [Section(title, text, figures), *(Section(model, tables=made) for model, made in tables.items())]


def _seeds(cell: Row) -> str:
    return str(cell["done"]) if cell["done"] == cell["seeds"] else f"{cell['done']} of {cell['seeds']}"


def _mean(metric: str) -> Callable[[Row], str]:
    def text(cell: Row) -> str:
        if not cell["done"]:
            return "failed" if cell["failed"] else "missing"
        mean, low, high = (cell[name] for name in (metric, f"{metric}_low", f"{metric}_high"))
        return f"{mean:.5f}" if pd.isna(low) else f"{mean:.5f} ± {(high - low) / 2:.5f}"

    return text


def _difference(metric: str) -> Callable[[Row], str]:
    def text(cell: Row) -> str:
        pairs: Any = cell[f"pairs_{metric}"]
        if not cell["done"] or pd.isna(pairs):
            return NOTHING
        return signed(*(cell[f"{name}_{metric}"] for name in ("difference", "low", "high"))) if pairs else "no pair"

    return text


def _reading(cell: Row) -> str:
    if not cell["done"]:
        return NOTHING
    return "" if pd.isna(cell["reading_auc"]) else cell["reading_auc"]


def doubt_section(results: Results) -> Section | None:
    """Two sources of doubt beside each other."""
    differences = results.table(differences_table)
    table = differences[(differences["metric"] == "auc") & (differences["pairs"] > 0)]
    if table.empty:
        return None
    text = [
        "The mean difference in AUC from single at the same d and seed, with two 95% intervals. Over seeds: what "
        "training again would change (Student's t). Over test rows: what other test rows would change, the "
        "trained models held fixed (DeLong). Neither contains the other; the ledger's intervals hold both."
    ]
    columns = [
        *(*CELL_COLUMNS, number("seeds", "pairs"), number("Δ AUC", "difference", "+.5f")),
        Column("over seeds", lambda row: ends(row["seeds_low"], row["seeds_high"])),
        Column("over test rows", lambda row: ends(row["rows_low"], row["rows_high"])),
    ]
    return Section("How sure: seeds and test rows", text, tables=[("", show(table, columns, csv="differences"))])
