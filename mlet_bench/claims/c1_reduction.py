"""C1: how much wider a single layer must be to match MLET, and so how much a table can be cut at equal quality."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from mlet_bench.arms import BASELINE, TREATED
from mlet_bench.claims import CLAIMS
from mlet_bench.claims.baselines import Baseline, single, strongest_rival
from mlet_bench.claims.claim import MODELS_A, PAPER_A, Claim, ClaimRow
from mlet_bench.claims.finding import Finding, few, notes, undone
from mlet_bench.claims.verdicts import NOT_REPRODUCED, NOT_RUN, REPRODUCED, UNDECIDED
from mlet_bench.display import plots
from mlet_bench.display.document import CELL_COLUMNS, Column, Section, number, plot, show
from mlet_bench.display.svg import add_tip
from mlet_bench.display.text import NOTHING, counted
from mlet_bench.statistics.reduction import Reduction, reduction_factor
from mlet_bench.tables.cells import arm_cells, open_cells, paired, records, stream, whole_widths
from mlet_bench.tables.results import CELL, Results, Setting

REDUCTION = 4.0  # "4-8x"; its lower end is what the claim promises
CLAIMED = (4, 8)
METRICS = {"auc": "AUC", "logloss": "LogLoss"}  # at equal values of which
# A factor with its interval, the factors at the ends of the measured widths, and all of it in words: of d, of bytes.
COLUMNS = ("factor", "factor_low", "factor_high", "least", "most", "text")
BYTES_COLUMNS = ("bytes_factor", "bytes_low", "bytes_high", "bytes_least", "bytes_most", "bytes_text")


def judge_reduction(chosen: Reduction, able: Sequence[Reduction], complete: bool) -> str:
    """C1: at equal AUC a table can be ``REDUCTION`` times narrower.

    *Reproduced*: the interval of the cell that validation chose lies at ``REDUCTION`` or above; a bound counts as what
    it is known to be. *Not reproduced*: the intervals of all cells that could have shown it lie below. A cell could not
    if the widest baseline is less than ``REDUCTION`` times as wide.

    Args:
        chosen: the factor, on test, of the cell with the largest factor on validation.
        able: the factors of all cells that could have shown it.
        complete: False if a cell is missing that could have shown it.
    """
    if chosen.decides and chosen.floor >= REDUCTION:
        return REPRODUCED
    below = all(factor.decides and factor.ceiling < REDUCTION for factor in able)
    return NOT_REPRODUCED if able and complete and below else UNDECIDED


def reduction_table(results: Results) -> pd.DataFrame:
    """One row a cell of another arm than ``single`` and metric: the reduction factor at equal quality.

    Only seeds that the cell and every width of ``single`` have finished enter. Where there are none, or ``single`` has
    fewer than two widths, the factor is NaN and ``text`` says why. A factor that is infinite or 0 is known to be beyond
    ``most`` or ``least``, those at the ends of the measured widths. ``bytes_...``: the same of table bytes, not of d.
    """
    return _factors(results, single, lambda arm: arm != BASELINE)


def rival_reduction_table(results: Results) -> pd.DataFrame:
    """The same of MLET's cells against the strongest rival."""
    return _factors(results, strongest_rival, lambda arm: arm == TREATED)


def _factors(
    results: Results, baseline: Callable[[pd.DataFrame], Baseline], compared: Callable[[str], bool]
) -> pd.DataFrame:
    """A row a cell of the arms ``compared`` and metric; of the baseline's widths those that have a run."""
    rows = []
    for setting in results.settings:
        runs, base = setting.runs, baseline(setting.runs)
        sizes = runs[runs["status"] == "done"].groupby("cell")["deployed_tables_bytes"].first().astype(float)
        dims = [dim for dim in sorted(base.cells) if base.cells[dim] in sizes.index]
        line = [base.cells[dim] for dim in dims]
        cells = records(runs.loc[runs["arm"].map(compared).astype(bool), CELL].drop_duplicates())
        for cell, metric in product(cells, METRICS):
            values = paired(runs, [*line, cell["cell"]], f"test_{metric}").to_numpy().T  # (W + 1, S)
            row = cell | {"metric": metric, "pairs": values.shape[1]}
            if len(line) < 2 or not values.size:
                reason = f"{base.name} has one width" if len(line) < 2 else "no seed is done in all widths"
                rows.append(row | {"text": f"not known: {reason}"})
                continue
            in_d = np.array(dims, float), cell["dim"]
            in_bytes = sizes[line].to_numpy(), sizes[cell["cell"]]
            for (widths, width), names in zip((in_d, in_bytes), (COLUMNS, BYTES_COLUMNS)):
                # The same draws for both units.
                generator = stream(base.stream(f"reduction/{setting.where}/{cell['cell']}/{metric}"))
                found = reduction_factor(widths, values[:-1], width, values[-1], generator, metric == "auc")
                ends = (found.factor, found.low, found.high, found.least, found.most, found.text)
                row |= dict(zip(names, ends))
            rows.append(row)
    types = {name: "string" if name.endswith("text") else float for name in (*COLUMNS, *BYTES_COLUMNS)}
    return whole_widths(pd.DataFrame(rows, columns=[*CELL, "metric", "pairs", *types]).astype(types))


def find_reduction(setting: Setting, base: Baseline) -> Finding:
    """The factor at equal AUC of the MLET cell that validation chooses, and at equal LogLoss beside it."""
    runs, dims = setting.runs, sorted(base.cells)
    if len(dims) < 2:
        return Finding(NOT_RUN, note=f"two widths or more of {base.name} are needed, found {len(dims)}")
    line = [base.cells[dim] for dim in dims]
    cells = arm_cells(runs, TREATED)
    table = setting.of(setting.results.table(reduction_table if base.name == BASELINE else rival_reduction_table))
    rows = {(row["cell"], row["metric"]): row for row in records(table)}
    factors, on_validation, lacking = {}, {}, []
    for (dim, inner), cell in cells.items():
        val = paired(runs, [*line, cell], "val_auc")
        if open_cells(runs, [cell]) or val.empty:
            lacking.append(cell)
        if val.empty:
            continue
        factors[cell] = _reduction(rows[cell, "auc"]), dim, inner
        middle = val.mean().to_numpy()
        # Of means, as if of one seed: no draw.
        on_validation[cell] = reduction_factor(np.array(dims, float), middle[:-1, None], dim, middle[-1:], stream(""))
    if not factors:
        return Finding(NOT_RUN, note=undone(runs, line) or "no MLET cell shares a seed with all widths")
    chosen = max(factors, key=lambda cell: on_validation[cell].known)
    factor, dim, inner = factors[chosen]
    row = rows[chosen, "auc"]
    in_bytes = f" ({row['bytes_text']} in bytes)" if row["bytes_text"] != row["text"] else ""
    loss = rows[chosen, "logloss"]["text"]
    able = [found for found, d, _ in factors.values() if dims[-1] >= REDUCTION * d]
    return Finding(
        judge_reduction(factor, able, not lacking),
        f"{factor.text} at equal AUC{in_bytes}, {loss} at equal LogLoss (d={dim}, k={inner})",
        (chosen, *line),
        notes(undone(runs, [*line, *lacking]), few(factor.pairs)),
        factor,
    )


def _reduction(row: dict[str, Any]) -> Reduction:
    return Reduction(*(row[name] for name in ("factor", "factor_low", "factor_high", "least", "most", "pairs")))


@plot(
    "Reduction factor at equal quality",
    "How many times wider a single layer has to be; bars are 95% intervals over seeds. An open arrow is a bound: "
    "single reaches the quality at no width measured (up), or at every one (down).",
)
def reduction(results: Results) -> Figure | None:
    table = results.table(reduction_table).dropna(subset="factor")
    if table.empty:
        return None
    panels = plots.panels_of(results, table)
    labels = [f"single's width\nat equal {label}, × d" for label in METRICS.values()]
    figure, axes = plots.grid(len(METRICS), len(panels), "embedding width d", labels, 2.6, 5.2)
    for column, panel in enumerate(panels):
        part = panel.of(table)
        for row, (metric, label) in enumerate(METRICS.items()):
            _draw_factors(axes[row][column], part[part["metric"] == metric], plots.inner_dims_of(table), label)
        axes[0][column].set_title(plots.panel_title(panel))
    low, high = CLAIMED
    plots.legend(
        figure,
        table,
        [Patch(color=PAPERS, label=f"the paper: {low}-{high}x"), Patch(color=BEYOND, label="not measured")],
    )
    return figure


PAPERS, BEYOND = "#f6d9a8", "#ececec"


def _draw_factors(ax: Axes, part: pd.DataFrame, inner_dims: list[int], metric: str) -> None:
    lines = list(plots.by_line(part))
    for ((arm, inner_dim), line), shift in zip(lines, plots.spread(len(lines))):
        # Infinity and 0 say that only a bound is known; they are drawn at it.
        at = line["dim"].astype(float).to_numpy() * 2 ** (3 * shift)
        least, most = line["least"].to_numpy(), line["most"].to_numpy()
        factor, low, high = (line[name].clip(least, most) for name in ("factor", "factor_low", "factor_high"))
        style, several = plots.line_style(arm, inner_dim, inner_dims), line["factor_low"].notna()
        bars = [(factor - low)[several], (high - factor)[several]]
        ax.errorbar(at[several], factor[several], yerr=bars, fmt="none", ecolor=style["color"], elinewidth=0.9)
        ax.plot(at, factor.where(np.isfinite(line["factor"]) & (line["factor"] > 0)), **style)
        for bound, arrow in ((np.inf, "^"), (0.0, "v")):
            only = (line["factor"] == bound).to_numpy()
            ax.plot(at[only], factor[only], arrow, color=style["color"], markersize=8, fillstyle="none")
        for x, y, row in zip(at, factor, records(line)):
            add_tip(ax, x, y, f"{plots.name_of(row)}: {row['text']} at equal {metric}, {counted(row['pairs'], 'seed')}")
    ends = part.groupby("dim")[["least", "most"]].first()
    dims = ends.index.to_numpy(float)
    bottom, top = ends["least"].min() / 1.5, max(ends["most"].max(), CLAIMED[1]) * 1.5
    edge = dims * np.where(dims == dims[0], 1 / 1.3, np.where(dims == dims[-1], 1.3, 1.0))  # to the panel's sides
    for inner, outer in ((ends["most"], top), (ends["least"], bottom)):
        ax.fill_between(edge, inner, outer, color=BEYOND, linewidth=0, zorder=0)
    ax.axhspan(*CLAIMED, color=PAPERS, alpha=0.6, linewidth=0, zorder=0.5)
    ax.axhline(1, color="#666666", linewidth=0.8)
    plots.ticks_of_d(ax, part)
    ax.set_yscale("log", base=2)
    ax.yaxis.set_major_locator(LogLocator(2))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    ax.set_ylim(bottom, top)


@CLAIMS.add
class ReductionClaim(Claim):
    name = "C1"
    sentence = "At equal model quality MLET allows d, and so table memory, to be cut 4-8x."
    source = PAPER_A
    models = MODELS_A
    rule = staticmethod(judge_reduction)
    tables = {"reduction": reduction_table}  # noqa: RUF012
    plot = reduction
    question = "What it buys"
    brief = "that tables can be cut 4-8x at equal quality"
    brief_number = True

    def find(self, setting: Setting, base: Baseline) -> Finding:
        return find_reduction(setting, base)

    def answer(self, told: str, row: ClaimRow, results: Results) -> str:
        return f"{bought(row.verdict, row.rival_verdict)}: {told}"

    def section(self, results: Results) -> Section | None:
        """How much wider a single layer must be to match each cell."""
        table = results.table(reduction_table)
        if table.empty:
            return None
        differ = bool((table["text"] != table["bytes_text"]).fillna(False).any())
        units = {"text": ""} | ({"bytes_text": " in bytes"} if differ else {})
        cells = table.drop_duplicates(CELL)
        for metric in METRICS:
            of = table[table["metric"] == metric].set_index(CELL[:3])[list(units)]
            cells = cells.join(of.add_suffix(f"_{metric}"), on=CELL[:3])
        factors = [
            Column(f"at equal {label}{said}", lambda row, at=f"{unit}_{metric}": row[at] or NOTHING, numeric=False)
            for unit, said in units.items()
            for metric, label in METRICS.items()
        ]
        same = "Table bytes do not grow as d here, so the factor in bytes stands beside it"
        same = same if differ else "Table bytes grow as d, so the factor in bytes is the same"
        text = [
            "The width at which single reaches the cell's quality, over the cell's own d, with a 95% interval over "
            f"paired seeds. {same}. Beyond the widths that were measured there are bounds (>=, <=), no extrapolation; "
            "few seeds give wide intervals, one gives none."
        ]
        shown = show(cells, [*CELL_COLUMNS, number("seeds", "pairs"), *factors])
        return Section("Reduction factor at equal quality", text, [reduction.name], [("", shown)])


def bought(ours: str, theirs: str) -> str:
    """What the two verdicts come to; it says no more than they do."""
    match ours, theirs:
        case "not reproduced", _:
            return "not tables 4x smaller"
        case "reproduced", "reproduced":
            return "tables 4x smaller, also beside a single layer set up better"
        case "reproduced", "not reproduced":
            return "tables 4x smaller than the paper's baseline, but not than a single layer set up better"
        case "reproduced", _:
            return "tables 4x smaller than the paper's baseline; beside a single layer set up better that is open"
        case _, "not reproduced":
            return "not tables 4x smaller than a single layer set up better; beside the paper's baseline that is open"
    return "not known from these runs"
