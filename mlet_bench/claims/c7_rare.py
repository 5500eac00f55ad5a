"""C7: the gain by how often a row's categories were trained on."""

import math
from collections.abc import Sequence
from itertools import chain

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlet_bench.arms import BASELINE
from mlet_bench.claims import CLAIMS
from mlet_bench.claims.claim import PAPER_B, Claim
from mlet_bench.claims.comparisons import INNER_DIM, Comparison
from mlet_bench.claims.finding import Finding, drawn, few, notes, power, undone
from mlet_bench.claims.verdicts import NOT_RUN, UNDECIDED, Judged, decide
from mlet_bench.display import plots
from mlet_bench.display.document import ARM, Column, D, K, Row, Section, Table, number, plot, show
from mlet_bench.display.svg import add_tip
from mlet_bench.display.text import commas, counted, or_nothing, said, signed
from mlet_bench.evaluation.frequency import RARE_FIELDS, RARE_ROWS, TYPICAL, WHOLE
from mlet_bench.models import model_title
from mlet_bench.statistics.intervals import MATERIAL_AUC, Interval, mean_interval, paired_interval
from mlet_bench.tables.cells import added, arm_cells, records, row_deviations, whole_widths
from mlet_bench.tables.results import CELL, Results, Setting

RARE_STEP = "single-freq-lr"  # larger steps for rare rows, and nothing else
GROUP = ["grouping", "group", "low", "high", "rows"]


_GROUPINGS = {RARE_FIELDS: "the number of rare categories", TYPICAL: "how often the typical category was seen"}


def judge_rare(excess: Interval, rarest: Interval, gains: Sequence[float]) -> Judged:
    """C7: the gain is largest for rare categories.

    Rows are grouped by how many of their categories are in fewer than ``RARE_ROWS`` training rows. *Reproduced*: the
    group with the most is shown to gain, gains more than any other on the mean, and its excess over the group with the
    fewest is ``MATERIAL_AUC`` or more and shown to be above 0. *Not reproduced*: the excess is shown to be below
    ``MATERIAL_AUC``, or the gain of that group below 0.

    Args:
        excess: gain of the first group minus gain of the last, paired by seed.
        rarest: gain of the first group.
        gains: mean gain of each group, rarest first.
    """
    largest = excess.mean >= MATERIAL_AUC and gains[0] == max(gains)
    return decide(
        [excess.p_above(0), rarest.p_above(0)] if largest else [],
        [excess.p_below(MATERIAL_AUC), rarest.p_below(0)],
    )


def rare_table(results: Results) -> pd.DataFrame:
    """One row a cell and group of test rows: AUC gain over ``single`` of the same d, paired by seed."""
    rare = results.rare[results.rare["grouping"] != WHOLE]
    pairing = ["dataset", "model", "dim", "seed", *GROUP]
    single = rare[rare["arm"] == BASELINE][[*pairing, "auc"]]
    pairs = rare[rare["arm"] != BASELINE].merge(single, on=pairing, suffixes=("", "_single"))
    rows = []
    for key, part in pairs.dropna(subset=["auc", "auc_single"]).groupby([*CELL, *GROUP], sort=False, dropna=False):
        row = dict(zip([*CELL, *GROUP], key))
        gain = paired_interval(part["auc"].to_numpy(), part["auc_single"].to_numpy())
        rows.append(row | {"pairs": gain.count, "gain": gain.mean, "gain_low": gain.low, "gain_high": gain.high})
    return whole_widths(pd.DataFrame(rows, columns=[*CELL, *GROUP, "pairs", "gain", "gain_low", "gain_high"]))


@plot(
    "Rare categories",
    "Gain in AUC by how many of a row's categories are rare, most first. Bars are 95% intervals over seeds.",
)
def rare(results: Results) -> Figure | None:
    table = results.table(rare_table)
    table = table[table["grouping"] == RARE_FIELDS]
    if table.empty:
        return None
    panels, dims = plots.panels_of(results, table), sorted(table["dim"].unique())
    figure, axes = plots.grid(len(panels), len(dims), "rare categories in a row", "gain in AUC over single", 2.8, 3.6)
    for row, panel in enumerate(panels):
        part = panel.of(table)
        for column, dim in enumerate(dims):
            ax = axes[row][column]
            if column:
                ax.sharey(axes[row][0])
            _draw_gains(ax, part[part["dim"] == dim], plots.inner_dims_of(table))
            ax.set_title(f"{plots.panel_title(panel)}\nd = {dim}")
    plots.legend(figure, table)
    return figure


def _draw_gains(ax: Axes, part: pd.DataFrame, inner_dims: list[int]) -> None:
    groups = part.drop_duplicates("group").sort_values("group")
    for arm, inner_dim, line, shift in plots.each_line(ax, part):
        line = line.sort_values("group")
        at = line["group"].to_numpy(float) + 4 * shift
        several = line["gain_low"].notna().to_numpy()
        bars = [(line["gain"] - line["gain_low"])[several], (line["gain_high"] - line["gain"])[several]]
        color = plots.look_of(arm).color
        ax.errorbar(at[several], line["gain"][several], yerr=bars, fmt="none", ecolor=color, elinewidth=0.9)
        ax.plot(at, line["gain"], **plots.line_style(arm, inner_dim, inner_dims))
        for x, row in zip(at, records(line)):
            gain = signed(row["gain"], row["gain_low"], row["gain_high"])
            of = f"{_frequency(row)} rare categories, {row['rows']:,} rows: {gain}"
            add_tip(ax, x, row["gain"], f"{plots.name_of(row)}, {of}, {counted(row['pairs'], 'seed')}")
    ax.axhline(0, color="#666666", linewidth=0.8)
    ax.set_xticks(groups["group"], [_frequency(row) for row in records(groups)], fontsize=8)


@CLAIMS.add
class RareClaim(Claim):
    name = "C7"
    sentence = "The gain is largest for rarely seen categories."
    source = PAPER_B
    rule = staticmethod(judge_rare)
    tables = {"rare": rare_table}  # noqa: RUF012
    plot = rare

    def find(self, setting: Setting, comparison: Comparison) -> Finding:
        """The gain in AUC by how many of a row's categories are rare, mean over d."""
        base = comparison.baseline_cells(setting.runs)
        pairs = [(cell, base[d]) for d, cell in comparison.treated_cells(setting.runs).items() if d in base]
        rests, open_cells = tuple(cell for pair in pairs for cell in pair), undone(setting.runs, chain(*pairs))
        gains = _gains(setting, pairs)  # (S, groups)
        if gains.shape[1] < 2 or gains.empty:
            lacks = f"no scores by frequency of {comparison.treated} at k={INNER_DIM} beside {comparison.baseline}"
            few_groups = "a group of rows has one class only" if gains.shape[1] > 1 else "one group is not enough"
            note = open_cells or (few_groups if gains.shape[1] else lacks)
            return Finding(Judged(NOT_RUN), cells=rests, note=note)
        ends = int(gains.columns[0]), int(gains.columns[-1])
        first, last = (_row_error(setting, pairs, gains.index, group) for group in ends)
        excess = mean_interval(_excess(gains), math.hypot(first, last))
        rarest, means = mean_interval(gains.iloc[:, 0].to_numpy(), first), gains.mean().tolist()
        by_step = [(cell, base[d]) for (d, _), cell in arm_cells(setting.runs, RARE_STEP).items() if d in base]
        control = _gains(setting, by_step)
        step = f"; {RARE_STEP} has {signed(_excess(control).mean())} of it" if control.size else ""
        return Finding(
            Judged(UNDECIDED) if open_cells else judge_rare(excess, rarest, means),
            f"{said(excess)} AUC, gain of the rows with the most rare categories minus that of those with the fewest"
            f"{step}; gains, rarest first: {commas(signed(value) for value in means)}",
            power(excess),
            rests,
            notes(open_cells, few(excess.count)),
            (drawn("gain of rare rows beyond that of others", excess), drawn("gain of rare rows", rarest)),
        )

    def section(self, results: Results) -> Section | None:
        """Where in the data a gain comes from."""
        table = results.table(rare_table)
        if table.empty:
            return None
        made = [
            (f"{dataset}, {model_title(str(model))}: by {_GROUPINGS[str(grouping)]}", gains_by_group(part))
            for (dataset, model, grouping), part in table.groupby(["dataset", "model", "grouping"], sort=False)
        ]
        text = [
            f"Test rows grouped by how many of their categories are rare, in fewer than {RARE_ROWS} training rows, and "
            "by how often their typical (median) category was seen in training; the AUC within each group, minus that "
            "of single at the same d, paired by seed with 95% intervals. A category that training never saw is as it "
            "was drawn, but for what MLET's W2 moves; single-freq-lr gives rare rows a larger step and nothing else."
        ]
        return Section("Rare categories", text, ["rare"], made)


def _gains(setting: Setting, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """AUC gained within groups of rows, mean over pairs of cells: a row a seed that has them all, a column a group."""
    rare = setting.of(setting.results.rare)
    part = rare[(rare["grouping"] == RARE_FIELDS) & rare["cell"].isin(list(chain(*pairs)))]
    table = part.pivot_table(index="seed", columns=["group", "cell"], values="auc", dropna=False)
    groups = sorted(part["group"].unique())
    wanted = pd.MultiIndex.from_product([groups, list(dict.fromkeys(chain(*pairs)))])
    table = table.reindex(columns=wanted).dropna()  # a group of one class has no AUC
    gained = {g: sum(table[g][ours] - table[g][theirs] for ours, theirs in pairs) / len(pairs) for g in groups}
    return pd.DataFrame(gained, index=table.index)


def _excess(gains: pd.DataFrame) -> np.ndarray:
    """Gain of the rows with the most rare categories minus that of those with the fewest: (S,)."""
    return (gains.iloc[:, 0] - gains.iloc[:, -1]).to_numpy()


def _row_error(setting: Setting, pairs: Sequence[tuple[str, str]], seeds: pd.Index, group: int) -> float:
    """Standard error, over the rows of a group, of the gain in it; 0 where it is not known."""
    weights = added(*({ours: 1 / len(pairs), theirs: -1 / len(pairs)} for ours, theirs in pairs))
    found = row_deviations(setting, list(weights), list(seeds), RARE_FIELDS, group)
    return 0.0 if found is None else float(np.linalg.norm(np.array(list(weights.values())) @ found))


def gains_by_group(table: pd.DataFrame) -> Table:
    """One row a cell, one column a group of test rows, rarest first; of one data set, model and grouping."""
    groups = records(table.drop_duplicates("group").sort_values("group"))
    cells = table.assign(text=[signed(*row) for row in zip(table["gain"], table["gain_low"], table["gain_high"])])
    rows = [
        dict(zip(("arm", "dim", "inner_dim"), key))
        | {"pairs": part["pairs"].min()}
        | dict(zip(part["group"], part["text"]))
        for key, part in cells.groupby(["arm", "dim", "inner_dim"], sort=False, dropna=False)
    ]
    gains = [
        Column(f"{_frequency(group)} ({group['rows']:,} rows)", lambda row, at=group["group"]: or_nothing(row[at]))
        for group in groups
    ]
    return show(pd.DataFrame(rows), [ARM, D, K, number("seeds", "pairs"), *gains])


def _frequency(group: Row) -> str:
    """How often a group's category was trained on: ``0``, ``1 to 78``."""
    low, high = f"{group['low']:,g}", f"{group['high']:,g}"
    return low if low == high else f"{low} to {high}"
