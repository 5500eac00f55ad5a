"""How MLET reweights gradients: the figure and the table of the factors σ²(W1) + σ²(W2)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlet_bench.arms import PAPER_W2_STD, TREATED
from mlet_bench.display import plots
from mlet_bench.display.document import CELL_COLUMNS, Row, Section, number, plot, show
from mlet_bench.display.svg import add_tip
from mlet_bench.report import FIGURES
from mlet_bench.tables.results import CELL, Results

STAGES = {"initial": "start", "trained": "trained"}


def reweighting_table(results: Results) -> pd.DataFrame:
    """One row a cell, field and stage: quantiles of the factors of ``statistics.reweighting``, means over seeds."""
    grouped = results.reweighting.groupby([*CELL, "field", "stage"], sort=False, dropna=False)
    return grouped[["low", "median", "high", "w1", "w2"]].mean().reset_index()


@FIGURES.add
@plot(
    "How gradients are reweighted",
    "Factors of each field of the widest MLET cell, at the start and trained: medians, bars from 10% to 90%.",
)
def reweighting(results: Results) -> Figure | None:
    table = results.table(reweighting_table)
    table = table[table["arm"] == TREATED]
    if table.empty:
        return None
    panels = plots.panels_of(results, table)
    figure, axes = plots.grid(1, len(panels), "", "σ²(W1) + σ²(W2)", 3.0, 5.2)
    for ax, panel in zip(axes[0], panels):
        part = panel.of(table)
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
                says = f"{field}, {label}: {row['median']:.3g} ({row['low']:.3g} to {row['high']:.3g})"
                add_tip(ax, x, row["median"], says)
        ax.axhline(1, color="#000000", linewidth=1, linestyle="--", label="single")
        ax.set_yscale("log")
        ax.set_xticks(range(len(fields)), fields, rotation=90, fontsize=7)
        ax.set_title(f"{plots.panel_title(panel)}, d = {dim}, k = {inner_dim}")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return figure


def reweighting_section(results: Results) -> Section | None:
    """How gradients are scaled in trained models."""
    table = results.table(reweighting_table)
    if table.empty:
        return None
    rows = []
    for key, cell in table.groupby(CELL, sort=False, dropna=False):
        row: Row = dict(zip(CELL, key))
        row["start_of_recipe"] = row["inner_dim"] * results.config["training"].get("w2_std", PAPER_W2_STD) ** 2
        for stage in STAGES:
            of = cell[cell["stage"] == stage]
            row[stage] = _over_fields(of["median"])
            row |= {f"{part}_{stage}": of[part].median() for part in ("w1", "w2")}
        rows.append(row)
    columns = [
        *(*CELL_COLUMNS, number("kσ²", "start_of_recipe", "g")),
        *(number(f"factor{said}", stage) for stage, said in (("initial", " at start"), ("trained", ", trained"))),
        *(
            number(f"{part.upper()}, {said}", f"{part}_{stage}", ".3g")
            for stage, said in STAGES.items()
            for part in ("w1", "w2")
        ),
    ]
    text = [
        "An SGD step on W1 and W2 moves the table as a step on the single layer would, with the gradient's component "
        "along W1's i-th left and W2's j-th right singular vector scaled by σᵢ(W1)² + σⱼ(W2)²; the single layer's "
        "scale is 1. The W2 part changes the step size of the rows in a batch, the W1 part moves rows that are not in "
        "it. Shown is the median factor of a table: the middle one of the fields, and in brackets the least and the "
        "greatest. With W2 drawn from N(0, σ²) its part is kσ² on average: k/16 in the first paper's recipe, k/4 in "
        "the second's.",
    ]
    shown = show(pd.DataFrame(rows), columns, csv="reweighting")
    return Section("How gradients are reweighted", text, [reweighting.name], [("", shown)])


def _over_fields(medians: pd.Series) -> str:
    return f"{medians.median():.3g} [{medians.min():.3g}, {medians.max():.3g}]"
