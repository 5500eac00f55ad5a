"""C1: whether MLET of width d is as good as a single layer four times as wide, and how much a table can be cut."""

import math
from collections.abc import Mapping
from itertools import chain, product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from mlet_bench.arms import BASELINE
from mlet_bench.claims import CLAIMS
from mlet_bench.claims.claim import MODELS_A, PAPER_A, Claim
from mlet_bench.claims.comparisons import AS_PAPER, INNER_DIM, Comparison
from mlet_bench.claims.finding import Estimate, Finding, drawn, few, notes, power, undone
from mlet_bench.claims.verdicts import NOT_RUN, UNDECIDED, VACUOUS, Judged, decide
from mlet_bench.display import plots
from mlet_bench.display.document import CELL_COLUMNS, Column, Section, number, plot, show
from mlet_bench.display.svg import add_tip
from mlet_bench.display.text import NOTHING, commas, counted, said
from mlet_bench.statistics.intervals import EQUIVALENT_AUC, LEVEL, Interval
from mlet_bench.statistics.reduction import Reduction, reduction_factor
from mlet_bench.tables.cells import added, contrast, mean_of, paired, records, row_deviations, whole_widths
from mlet_bench.tables.results import CELL, Results, Setting

REDUCTION = 4  # "4-8x"; its lower end is what the claim promises
WIDTHS = (4, 8, 16)  # d, each beside a single layer of REDUCTION d
CLAIMED = (4, 8)
METRICS = {"auc": "AUC", "logloss": "LogLoss"}  # at equal values of which
# A factor with its interval, the factors at the ends of the measured widths, and all of it in words: of d, of the bytes
# of the embedding's tables, and of these with the linear part, a number for each category that no arm makes less.
COLUMNS = ("factor", "factor_low", "factor_high", "least", "most", "text")
BYTES_COLUMNS = ("bytes_factor", "bytes_low", "bytes_high", "bytes_least", "bytes_most", "bytes_text")
LINEAR_COLUMNS = ("linear_factor", "linear_low", "linear_high", "linear_least", "linear_most", "linear_text")
UNITS = (COLUMNS, BYTES_COLUMNS, LINEAR_COLUMNS)
IN_BYTES, IN_ALL_BYTES = "in bytes", "in bytes with the linear part"


def judge_reduction(ahead: Interval, width: Interval) -> Judged:
    """C1: MLET of width d is as good as a single layer ``REDUCTION`` times as wide.

    One question, put beforehand: k = ``INNER_DIM``, the mean over those of d = ``WIDTHS`` that have run. *Reproduced*:
    MLET is shown to be less than ``EQUIVALENT_AUC`` behind, and the single layer to gain more than that from being
    ``REDUCTION`` times as wide. *Not reproduced*: MLET is shown to be behind, and not by so little. *Vacuous*: the
    single layer is shown to gain less than ``EQUIVALENT_AUC``: this baseline does not need its width, whatever MLET
    does. The reduction factor is a description beside it.

    Args:
        ahead: AUC of MLET minus that of the wider single layer.
        width: AUC of the wider single layer minus that of the one of MLET's width.
    """
    if width.p_below(EQUIVALENT_AUC) <= LEVEL:
        return Judged(VACUOUS)
    near = ahead.p_above(-EQUIVALENT_AUC)
    return decide([near, width.p_above(EQUIVALENT_AUC)], [ahead.p_below(0)] if near > LEVEL else [])


def reduction_table(results: Results) -> pd.DataFrame:
    """One row a cell of another arm than ``single`` and metric: the reduction factor at equal quality.

    Only seeds that the cell and every width of ``single`` have finished enter. Where there are none, or ``single`` has
    fewer than two widths, the factor is NaN and ``text`` says why. A factor that is infinite or 0 is known to be beyond
    ``most`` or ``least``, those at the ends of the measured widths. ``bytes_...``: the same of the bytes of the
    embedding's tables, not of d; ``linear_...``: of those and the linear part's.
    """
    rows = []
    for setting in results.settings:
        line = AS_PAPER.baseline_cells(setting.runs)
        cells = records(setting.runs.loc[setting.runs["arm"] != BASELINE, CELL].drop_duplicates())
        for cell, metric in product(cells, METRICS):
            row = cell | {"metric": metric, "pairs": 0}
            found = reductions(setting, cell["cell"], cell["dim"], line, metric)
            if not found:
                rows.append(row | {"text": "not measurable: single has one width, or no seed is done in all of them"})
                continue
            for factor, names in zip(found, UNITS):
                ends = (factor.factor, factor.low, factor.high, factor.least, factor.most, factor.text)
                row |= dict(zip(names, ends)) | {"pairs": factor.pairs}
            rows.append(row)
    types = {name: "string" if name.endswith("text") else float for name in chain(*UNITS)}
    return whole_widths(pd.DataFrame(rows, columns=[*CELL, "metric", "pairs", *types]).astype(types))


def reductions(
    setting: Setting, cell: str, dim: int, line: Mapping[int, str], metric: str = "auc", p: float = LEVEL
) -> tuple[Reduction, ...]:
    """A cell's reduction factor of d, of table bytes, and of these with the linear part's, all at the same quality.

    Empty where ``line`` has one width or no seed has it all.

    Args:
        line: d → cell of the baseline; those without a run are left out.
        p: what the intervals miss.
    """
    runs = setting.runs
    stored = runs[runs["status"] == "done"].groupby("cell")[["deployed_tables_bytes", "deployed_linear_bytes"]].first()
    tables, linear = stored.astype(float).to_numpy().T
    sizes = pd.DataFrame({"tables": tables, "all": tables + linear}, index=stored.index)
    dims = [width for width in sorted(line) if line[width] in sizes.index]
    names = [line[width] for width in dims]
    table = paired(runs, [*names, cell], f"test_{metric}")
    if len(names) < 2 or table.empty:
        return ()
    values = table.to_numpy().T  # (W + 1, S)
    rows = row_deviations(setting, [*names, cell], list(table.index)) if metric == "auc" else None
    of_bytes = ((size[names].to_numpy(), float(size[cell])) for _, size in sizes.items())
    units = [(np.array(dims, float), float(dim)), *of_bytes]
    higher = metric == "auc"
    return tuple(reduction_factor(widths, values[:-1], own, values[-1], higher, rows, p) for widths, own in units)


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
            axes[row][column].set_title(plots.panel_title(panel))
    low, high = CLAIMED
    plots.legend(
        figure,
        table,
        [Patch(color=PAPERS, label=f"the paper: {low}-{high}x"), Patch(color=BEYOND, label="not measured")],
    )
    return figure


PAPERS, BEYOND = "#f6d9a8", "#ececec"


def _draw_factors(ax: Axes, part: pd.DataFrame, inner_dims: list[int], metric: str) -> None:
    for arm, inner_dim, line, shift in plots.each_line(ax, part):
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

    def find(self, setting: Setting, comparison: Comparison) -> Finding:
        """MLET beside a single layer four times as wide, and the reduction factor at each d."""
        treated, base = comparison.treated_cells(setting.runs), comparison.baseline_cells(setting.runs)
        dims = [d for d in WIDTHS if d in treated and {d, REDUCTION * d} <= base.keys()]
        if not dims:
            needs = f"{comparison.treated} at k={INNER_DIM} and d, and {comparison.baseline} at d and {REDUCTION}d"
            return Finding(Judged(NOT_RUN), note=f"needs {needs}, for a d of {commas(WIDTHS)}")
        wider = mean_of(base[REDUCTION * d] for d in dims)
        weights = added(mean_of(treated[d] for d in dims), {cell: -weight for cell, weight in wider.items()})
        needed = added(wider, mean_of((base[d] for d in dims), -1))
        rests = tuple(dict.fromkeys([*weights, *needed]))
        open_cells = undone(setting.runs, rests)
        ahead, width = contrast(setting, weights), contrast(setting, needed)
        if ahead is None or width is None:
            return Finding(Judged(NOT_RUN), cells=rests, note=open_cells)
        judged = Judged(UNDECIDED) if open_cells else judge_reduction(ahead, width)
        factors = {d: found for d in dims if (found := reductions(setting, treated[d], d, base))}
        wide = [f"{in_units(*found)} at d={d}" for d, found in factors.items()]
        factor = f"; reduction factor {commas(wide)}" if wide else ""
        needless = f"{comparison.baseline} does not need its width: {said(width)} from four times of it"
        return Finding(
            judged,
            f"{said(ahead)} AUC beside {REDUCTION} times the width (d={commas(dims)}){factor}",
            power(ahead),
            rests,
            notes(open_cells, few(ahead.count), needless if judged.verdict == VACUOUS else ""),
            (
                drawn(f"{comparison.treated} beside {REDUCTION}x the width", ahead),
                *(drawn_factor(f"reduction at d={d}", of_d) for d, (of_d, *_) in factors.items()),
            ),
        )

    def section(self, results: Results) -> Section | None:
        """How much wider a single layer must be to match each cell."""
        table = results.table(reduction_table)
        if table.empty:
            return None
        differ, linear = (
            bool((table[one] != table[other]).fillna(False).any())
            for one, other in (("text", "bytes_text"), ("bytes_text", "linear_text"))
        )
        units = {"text": ""} | ({"bytes_text": f" {IN_BYTES}"} if differ else {})
        units |= {"linear_text": f" {IN_ALL_BYTES}"} if linear else {}
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
        if linear:
            same += ". The linear part has a number for each category whatever d: with its bytes the factor is less"
        text = [
            "The width at which single reaches the cell's quality, over the cell's own d, with a 95% interval over "
            f"paired seeds. {same}. Beyond the widths that were measured there are bounds (>=, <=), no extrapolation; "
            "few seeds give wide intervals, one gives none."
        ]
        shown = show(cells, [*CELL_COLUMNS, number("seeds", "pairs"), *factors])
        return Section("Reduction factor at equal quality", text, [reduction.name], [("", shown)])


def in_units(of_d: Reduction, of_bytes: Reduction, of_all: Reduction) -> str:
    """A factor of d, with those of bytes where they are others."""
    others = [(of_bytes.text, IN_BYTES)] if of_bytes.text != of_d.text else []
    others += [(of_all.text, IN_ALL_BYTES)] if of_all.text != of_bytes.text else []
    return of_d.text + (f" ({', '.join(f'{text} {unit}' for text, unit in others)})" if others else "")


def drawn_factor(label: str, factor: Reduction, paper: tuple[float, float] = CLAIMED) -> Estimate:
    """A reduction factor as it is drawn: a bound as what it is known to be, an end that is not known as NaN."""
    low = factor.floor if factor.floor > 0 else math.nan
    high = factor.ceiling if math.isfinite(factor.ceiling) else math.nan
    return Estimate(label, factor.known, low, high, factor.pairs, "x", "log", reference=1.0, paper=paper)
