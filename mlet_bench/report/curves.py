"""Learning curves: validation AUC over the rows trained on, of the main grid and of longer trainings."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mlet_bench.arms import BASELINE
from mlet_bench.display import plots
from mlet_bench.display.document import CELL_COLUMNS, Section, difference, number, plot, show
from mlet_bench.display.text import short_count
from mlet_bench.report import FIGURES
from mlet_bench.statistics.intervals import paired_interval
from mlet_bench.tables.cells import whole_widths
from mlet_bench.tables.results import CELL, Results


def longer_table(results: Results) -> pd.DataFrame:
    """One row a longer cell and epoch: validation AUC at its end, and the gain over ``single`` of the same d."""
    curves = results.longer_curves
    # At the end of an epoch a curve's rows are a multiple of the training rows.
    per_epoch = curves["dataset"].map({name: schema.rows["train"] for name, schema in results.schemas.items()})
    ends = curves[curves["rows"] % per_epoch == 0].assign(epoch=curves["rows"] // per_epoch)
    pairing = ["dataset", "model", "dim", "seed", "epoch"]
    single = ends[ends["arm"] == BASELINE][[*pairing, "val_auc"]]
    joined = ends.merge(single, on=pairing, how="left", suffixes=("", "_single"))
    rows = []
    for key, part in joined.groupby([*CELL, "epoch"], sort=False, dropna=False):
        row = dict(zip([*CELL, "epoch"], key)) | {"seeds": len(part), "val_auc": part["val_auc"].mean()}
        both = part.dropna(subset="val_auc_single")
        if row["arm"] != BASELINE and len(both):
            gain = paired_interval(both["val_auc"].to_numpy(), both["val_auc_single"].to_numpy())
            row |= {"gain": gain.mean, "gain_low": gain.low, "gain_high": gain.high}
        rows.append(row)
    table = pd.DataFrame(rows, columns=[*CELL, "epoch", "seeds", "val_auc", "gain", "gain_low", "gain_high"])
    return whole_widths(table.astype({"gain": float, "gain_low": float, "gain_high": float}))


@FIGURES.add
@plot(
    "Learning curves",
    "Validation AUC over the training rows seen, means over seeds; the first third may lie below the axis.",
)
def curves(results: Results) -> Figure | None:
    return _draw(results, results.curves)


@FIGURES.add
@plot("Longer trainings", "Validation AUC of the longer trainings over the training rows seen, means over seeds.")
def longer(results: Results) -> Figure | None:
    return _draw(results, results.longer_curves)


def _draw(results: Results, points: pd.DataFrame) -> Figure | None:
    """Means over the seeds that are done; a column a width d, a row a data set and model.

    A point needs a validation at the same row in some seed; the earliest part of training lies below the axis.
    """
    points = points.dropna(subset="val_auc")
    if points["rows"].nunique() < 2:  # validated once, which makes no curve
        return None
    means = points.groupby(["dataset", "model", "arm", "dim", "inner_dim", "rows"], dropna=False)["val_auc"].mean()
    means = means.reset_index()
    panels, dims = plots.panels_of(results, points), sorted(points["dim"].unique())
    figure, axes = plots.grid(len(panels), len(dims), "training rows", "validation AUC", 2.7, 2.8)
    for row, panel in enumerate(panels):
        of_panel = panel.of(means)
        for column, dim in enumerate(dims):
            ax = axes[row][column]
            for arm, inner_dim, line, _ in plots.each_line(ax, of_panel[of_panel["dim"] == dim]):
                style = plots.line_style(arm, inner_dim, plots.inner_dims_of(points))
                ax.plot(line["rows"], line["val_auc"], **style | {"markersize": 3})
            ax.set_title(f"{plots.panel_title(panel)}\nd = {dim}")
            ax.xaxis.set_major_formatter(FuncFormatter(short_count))
            ax.xaxis.set_major_locator(MaxNLocator(4))
        # The start is far below where the lines part: the axis begins at the lowest value after a third of the rows.
        late = of_panel[of_panel["rows"] >= of_panel["rows"].max() / 3]["val_auc"]
        margin = 0.05 * (late.max() - late.min()) + 1e-4
        for ax in axes[row]:
            ax.set_ylim(late.min() - margin, late.max() + margin)
    plots.legend(figure, points)
    return figure


def longer_section(results: Results) -> Section | None:
    """Whether a difference lasts when training goes on."""
    table = results.table(longer_table)
    if table.empty:
        return None
    text = ["Validation AUC at the end of each epoch of the longer trainings, and its paired gain over single."]
    columns = [
        *(*CELL_COLUMNS, number("epochs", "epoch"), number("seeds", "seeds")),
        number("validation AUC", "val_auc", ".5f"),
        difference("gain over single", "gain", "gain_low", "gain_high"),
    ]
    return Section("Does it last?", text, [longer.name], [("", show(table, columns, csv="longer"))])
