"""Given M megabytes for tables, what to train: the figure over deployed bytes, the advice, and what it costs."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mlet_bench.arms import ARMS, BASELINE
from mlet_bench.display import plots
from mlet_bench.display.document import Column, Row, Section, number, plot, show, words
from mlet_bench.display.svg import add_tip, mark
from mlet_bench.display.text import NOTHING, counted, duration, listed, megabytes, short_count
from mlet_bench.models import model_title
from mlet_bench.report import FIGURES
from mlet_bench.report.answer import named
from mlet_bench.runs import LOOKUPS, PLAIN
from mlet_bench.statistics.intervals import DECISIVE_PAIRS
from mlet_bench.tables.budget import budget_table, budgets_of, served_table
from mlet_bench.tables.cells import records
from mlet_bench.tables.results import Results

METRICS = {"auc": "test AUC", "logloss": "test LogLoss"}
SPREAD = 0.35  # of the range of the float32 lines, shown beyond them: a format that fails is no reason to see no line


@FIGURES.add
@plot(
    "Quality at equal deployed bytes",
    "Test AUC and LogLoss over the bytes of the tables as they are served: a line an arm in float32, means over seeds, "
    "bands from the lowest to the highest seed; small marks are the same runs in other formats. The star and the "
    "dotted line are the full table, tuned where that is better on validation; dashed lines are the budgets.",
)
def quality_at_bytes(results: Results) -> Figure | None:
    served = results.table(served_table)
    several = served["budget"].ne("").any() or served["format"].nunique() > 1 if len(served) else False
    if not several:
        return None
    panels = plots.panels_of(results, served)
    figure, axes = plots.grid(len(METRICS), len(panels), "tables as served, MB", list(METRICS.values()), 3.2, 4.4)
    formats = sorted(set(served["format"]) - {PLAIN}, key=list(results.config["formats"]).index)
    for column, panel in enumerate(panels):
        for row, metric in enumerate(METRICS):
            ax = axes[row][column]
            _draw(ax, panel.of(served), metric, formats, max(results.config["dims"]))
            for _, most in budgets_of(panel):
                ax.axvline(most / 1e6, color="#999999", linestyle=(0, (2, 3)), linewidth=0.7, zorder=0)
            ax.set_title(plots.panel_title(panel))
    marks = [_mark(name, formats) for name in formats]
    plots.legend(figure, served.drop(columns="inner_dim").assign(inner_dim=math.nan), [*marks, _star()])
    return figure


def _draw(ax: Axes, served: pd.DataFrame, metric: str, formats: list[str], widest: int) -> None:
    plain = served[served["format"] == PLAIN]
    for arm, _, line, _ in plots.each_line(ax, plain):
        line = line.sort_values("tables_bytes")
        style: Any = plots.line_style(arm, None, []) | {"markersize": 4}
        at, middle = line["tables_bytes"] / 1e6, line[metric]
        ax.fill_between(at, line[f"{metric}_min"], line[f"{metric}_max"], color=style["color"], alpha=0.1, linewidth=0)
        ax.plot(at, middle, **style)
        for x, y, cell in zip(at, middle, records(line)):
            add_tip(ax, x, y, _says(cell, metric))
    low, high = plain[metric].min(), plain[metric].max()
    room = SPREAD * max(high - low, 1e-4)
    ax.set_ylim(low - room, high + room)
    for name in formats:
        for cell in records(served[served["format"] == name]):
            x, y = cell["tables_bytes"] / 1e6, cell[metric]
            if low - room <= y <= high + room:
                color = plots.look_of(cell["arm"]).color
                ax.plot([x], [y], linestyle="none", color=color, alpha=0.75, **_shape(name, formats))
                add_tip(ax, x, y, _says(cell, metric))
                mark(ax.lines[-2:], cell["arm"], cell["inner_dim"])
    full = plain[(plain["dim"] == widest) & plain["arm"].map(_is_single)]
    full = full[full["val_auc"] == full["val_auc"].max()]
    for x, y in zip(full["tables_bytes"] / 1e6, full[metric]):
        ax.axhline(y, color="#000000", linestyle=":", linewidth=0.9)
        ax.plot([x], [y], marker="*", markersize=12, color="#000000", zorder=6)
    plots.ticks_of_size(ax)
    ax.ticklabel_format(axis="y", useOffset=False)


def _says(cell: Row, metric: str) -> str:
    return (
        f"{cell['cell']}, {cell['format']}: {METRICS[metric]} {cell[metric]:.5f}, {megabytes(cell['tables_bytes'])} MB"
    )


def _shape(name: str, formats: list[str]) -> dict[str, Any]:
    marker = plots.MARKERS[formats.index(name) % len(plots.MARKERS)]
    return {"marker": marker, "markersize": 3.6, "markerfacecolor": "none", "markeredgewidth": 0.9}


def _mark(name: str, formats: list[str]) -> Line2D:
    return Line2D([], [], label=name, linestyle="none", color="#444444", **_shape(name, formats))


def _star() -> Line2D:
    return Line2D([], [], label="the full table", linestyle="none", marker="*", markersize=11, color="#000000")


def advice(results: Results) -> list[str]:
    """For each data set what to train for each budget, and how far behind that MLET is where it is another."""
    table, said = results.table(budget_table), []
    several = len({setting.model for setting in results.settings}) > 1
    for setting in results.settings:
        budgets = [records(part) for _, part in setting.of(table[table["rank"].notna()]).groupby("budget", sort=False)]
        if budgets:
            of = f"On {named(setting)}" + (f" and {model_title(setting.model)}" if several else "")
            said.append(f"{of}, {listed(map(_best, budgets))}.")
            if (seeds := budgets[0][0]["seeds"]) < DECISIVE_PAIRS:
                said[-1] += f" {counted(seeds, 'seed')}, where {DECISIVE_PAIRS} are needed, cannot decide."
            if not all(_is_mlet(placed[0]["arm"]) for placed in budgets):
                said[-1] += f" MLET beside them: {'; '.join(map(_mlet, budgets))}."
    return said


def _best(placed: Sequence[Row]) -> str:
    """What does best within a budget, and how well."""
    best = placed[0]
    form = "" if best["format"] == PLAIN else f" in {best['format']}"
    return f"for {megabytes(best['budget_bytes'])} MB of tables train {best['cell']}{form} (AUC {best['auc']:.4f})"


def _mlet(placed: Sequence[Row]) -> str:
    """How far behind the first MLET is on the seeds that judge, which may turn the order of those that chose."""
    row = next((row for row in placed if _is_mlet(row["arm"])), None)
    if row is None or row is placed[0]:
        return "none fits" if row is None else "the same"
    if row["first_is"] == "equal":
        return "as good"
    mean, low, high = row["behind"], row["behind_low"], row["behind_high"]
    away, ends = ("behind", (low, high)) if mean >= 0 else ("ahead", (-high, -low))
    apart = f"{abs(mean):.4f} {away}"
    if math.isnan(low):
        return apart
    apart += " ({:.4f} to {:.4f})".format(*ends)
    return f"{apart}, too little to tell" if row["first_is"] == "undecided" else apart


def _is_single(arm: str) -> bool:
    return arm in ARMS and ARMS[arm].method == ARMS[BASELINE].method


def _is_mlet(arm: str) -> bool:
    return arm in ARMS and ARMS[arm].is_mlet


def budget_section(results: Results) -> Section | None:
    """The figure that the advice is read from, and for each budget the arms in their order with what they cost."""
    table = results.table(budget_table)
    text = [
        "Each method is as large as fits into a budget of bytes, counted from what is stored, and stands here in the "
        "format that does best. Which that is, and the order, is chosen by validation AUC on the first half of the "
        "seeds; the AUC and the distance to the first are those of the other half on test. Bytes are those of the "
        "tensors of the tables in the file that is served, scales and indices included; the MLPs and the header of "
        "the file are left out. Training is that of one seed, tuning left out; look-ups are rows a second of all "
        "fields on one CPU thread of this machine, the fastest of many calls.",
    ]
    if table["rank"].isna().all():
        return (
            None if results.table(served_table).empty else Section(quality_at_bytes.title, [], [quality_at_bytes.name])
        )
    columns = [
        Column("budget, MB", lambda row: megabytes(row["budget_bytes"])),
        *(number("place", "rank"), words("arm", "arm"), words("cell", "cell"), words("format", "format")),
        Column("MB", lambda row: NOTHING if pd.isna(row["tables_bytes"]) else megabytes(row["tables_bytes"])),
        Column("AUC", lambda row: _with_half(row, "auc", ".5f")),
        Column("behind", lambda row: NOTHING if row["rank"] == 1 else _with_half(row, "behind", "+.5f")),
        Column("training", lambda row: NOTHING if pd.isna(row["seconds"]) else duration(row["seconds"])),
        Column("memory, MB", lambda row: _count(row["peak_memory_bytes"] / 1e6)),
        *(
            Column(f"rows/s at {size:,}", lambda row, size=size: _speed(row[f"rows_per_second_{size}"]))
            for size in LOOKUPS
        ),
    ]
    tables = []
    for setting in results.settings:
        own = setting.of(table)
        placed, absent = own[own["rank"].notna()], own[own["rank"].isna()]
        front = placed[(placed["rank"] <= 2) | placed["arm"].map(_is_mlet)]
        name = f"{setting.dataset}, {model_title(setting.model)}"
        if len(placed):
            tables += [
                (f"{name}: the first two within each budget, and MLET", show(front, columns, csv="budget")),
                (f"{name}: every arm", show(placed, columns, folded=counted(len(placed), "row"), csv="budget")),
            ]
        if len(absent):
            missing = [columns[0], words("arm", "arm"), words("why not", "reason")]
            tables.append((f"{name}: cannot be that small, or did not run", show(absent, missing)))
    return Section(quality_at_bytes.title, text, [quality_at_bytes.name], tables)


def _with_half(row: Row, name: str, form: str) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if pd.isna(value):
        return NOTHING
    return f"{value:{form}}" + ("" if pd.isna(low) else f" ± {(high - low) / 2:.5f}")


def _count(value: float) -> str:
    return NOTHING if pd.isna(value) else f"{value:,.0f}"


def _speed(value: float) -> str:
    return NOTHING if pd.isna(value) else short_count(float(f"{value:.2g}"))
