"""C4: effective rank of MLET's trained tables, beside the baseline's and beside the authors' own."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlet_bench.arms import BASELINE, TREATED
from mlet_bench.claims import CLAIMS, published
from mlet_bench.claims.claim import MODELS_A, PAPER_A, Claim
from mlet_bench.claims.comparisons import INNER_DIM, Comparison
from mlet_bench.claims.finding import Estimate, Finding, few, notes, power, undone
from mlet_bench.claims.verdicts import NOT_RUN, UNDECIDED, Judged, decide
from mlet_bench.display import plots
from mlet_bench.display.document import CELL_COLUMNS, Column, D, K, Row, Section, Table, number, plot, show
from mlet_bench.display.text import NOTHING, commas, percent
from mlet_bench.statistics.intervals import Interval, mean_interval
from mlet_bench.tables.cells import whole_widths
from mlet_bench.tables.results import CELL, Results, Setting

RANK_MARGIN = 0.01  # a rank lower by less than 1% is not lower


def judge_rank(changes: Mapping[int, Interval], lower: Mapping[int, float]) -> Judged:
    """C4: MLET's tables have lower effective rank.

    A product of two drawn matrices starts with a lower rank than a drawn table, so what training does to the ratio of
    the two is judged: log(MLET's rank over the baseline's) after training minus the same before, at k = ``INNER_DIM``.
    The claim is made without a restriction, so it has to hold at every d. *Reproduced*: at each, the change is
    -``RANK_MARGIN`` or less and shown to be below 0, and more than half of the tables have changed so. *Not
    reproduced*: at some d it is shown to be above -``RANK_MARGIN``.

    Args:
        changes: d → change of the log ratio (of means over tables).
        lower: d → share of the tables (means over seeds) whose ratio fell.
    """
    fell = bool(changes) and all(change.mean <= -RANK_MARGIN and lower[d] > 0.5 for d, change in changes.items())
    return decide(
        [change.p_below(0) for change in changes.values()] if fell else [],
        [change.p_above(-RANK_MARGIN) for change in changes.values()],
    )


def spectrum_table(results: Results) -> pd.DataFrame:
    """One row a cell, field, stage and weighting: effective and stable rank, means over seeds."""
    grouped = results.spectrum.groupby([*CELL, "field", "size", "stage", "weighting"], sort=False, dropna=False)
    table = grouped.agg(
        seeds=("seed", "nunique"), effective_rank=("effective_rank", "mean"), stable_rank=("stable_rank", "mean")
    )
    return whole_widths(table.reset_index())


def mean_ranks(results: Results) -> pd.DataFrame:
    """One row a cell, stage and weighting: means of a ``spectrum_table`` over its fields.

    ``lower`` counts the fields whose effective rank is below that of ``single`` at the same d, of ``compared`` fields.
    """
    spectrum = results.table(spectrum_table)
    group = ["dataset", "model", "dim", "field", "stage", "weighting"]
    reference = spectrum[spectrum["arm"] == BASELINE][[*group, "effective_rank"]]
    joined = spectrum.merge(reference, on=group, how="left", suffixes=("", "_single"))
    joined["lower"] = joined["effective_rank"] < joined["effective_rank_single"]
    joined["compared"] = joined["effective_rank_single"].notna()
    table = joined.groupby([*CELL, "stage", "weighting"], sort=False, dropna=False).agg(
        fields=("field", "size"),
        effective_rank=("effective_rank", "mean"),
        stable_rank=("stable_rank", "mean"),
        lower=("lower", "sum"),
        compared=("compared", "sum"),
    )
    return table.reset_index()


def trained_ranks(results: Results) -> pd.DataFrame:
    """The rows of ``mean_ranks`` of trained tables, all rows of a table alike."""
    means = results.table(mean_ranks)
    return means[(means["stage"] == "trained") & (means["weighting"] == "uniform")]


@plot("Effective rank", "Effective rank of the trained tables as a share of d.")
def effective_rank(results: Results) -> Figure | None:
    ranks = results.table(trained_ranks)
    if ranks.empty:
        return None
    ranks = ranks.assign(share=ranks["effective_rank"] / ranks["dim"].astype(float))
    panels = plots.panels_of(results, ranks)
    figure, axes = plots.grid(1, len(panels), "embedding width d", "effective rank / d", 3.2)
    for ax, panel in zip(axes[0], panels):
        plots.lines_over_d(ax, panel.of(ranks), "share", plots.inner_dims_of(ranks))
        ax.axhline(1, color="#777777", linewidth=0.8, linestyle=":")
        ax.set_title(plots.panel_title(panel))
    plots.legend(figure, ranks)
    return figure


@CLAIMS.add
class RankClaim(Claim):
    name = "C4"
    sentence = "MLET's trained embeddings have lower effective rank than single-layer ones."
    source = PAPER_A
    models = MODELS_A
    rule = staticmethod(judge_rank)
    tables = {"spectrum": spectrum_table}  # noqa: RUF012
    plot = effective_rank

    def find(self, setting: Setting, comparison: Comparison) -> Finding:
        """What training does to the ratio of effective ranks, MLET's over the baseline's (plain, means over tables)."""
        spectrum, base = setting.of(setting.results.spectrum), comparison.baseline_cells(setting.runs)
        pairs = {d: (cell, base[d]) for d, cell in comparison.treated_cells(setting.runs).items() if d in base}
        rests = tuple(cell for pair in pairs.values() for cell in pair)
        changes, lower, shown, lacking = {}, {}, [], []
        for dim, (cell, other) in sorted(pairs.items()):
            before, after = (_log_ratios(spectrum, stage, cell, other) for stage in ("initial", "trained"))
            change = (after - before).dropna()  # (S, 1 + fields)
            if change.empty:
                lacking.append(cell)
                continue
            changes[dim] = mean_interval(change["mean"].to_numpy())
            lower[dim] = float((change.drop(columns="mean").mean() < 0).mean())
            start, end = (float(np.expm1(ratio.loc[change.index, "mean"].mean())) for ratio in (before, after))
            ends = percent(*map(math.expm1, changes[dim].numbers))
            shown.append(f"d={dim} {ends} by training ({percent(start)} at the start, {percent(end)} after it)")
        if not changes:
            note = f"no ranks of {comparison.treated} at k={INNER_DIM} and {comparison.baseline} at the same d"
            return Finding(Judged(NOT_RUN), cells=rests, note=note)
        open_cells = undone(setting.runs, rests)
        fewest = min(changes.values(), key=lambda change: change.count)
        return Finding(
            Judged(UNDECIDED) if lacking or open_cells else judge_rank(changes, lower),
            "; ".join(shown),
            commas(f"{power(change, '%')} at d={dim}" for dim, change in changes.items()) if fewest.known else "",
            rests,
            notes(f"no ranks beside {commas(lacking)}" if lacking else "", open_cells, few(fewest.count)),
            tuple(
                Estimate(f"rank at d={dim}", *_percents(change), seeds=change.count, unit="%")
                for dim, change in changes.items()
            ),
        )

    def section(self, results: Results) -> Section:
        """Effective ranks, ours and the authors'."""
        authors = ("Avazu, beside the authors'", _beside_the_authors(results))
        theirs = (
            f"The authors' numbers are means over their {published.TABLES} tables, from {published.SOURCE}; "
            "a dash is a cell that did not run here, or that they do not have."
        )
        if results.spectrum.empty:
            text = ["Not computed: no run has a spectrum.", theirs]
            return Section("Effective rank", text, tables=[authors])
        text = [
            "exp(entropy of the singular values normalised to sum 1) of each collapsed n×d table, means over fields "
            "and seeds. 'below single' counts the fields whose rank is below that of single at the same d; 'weighted' "
            "counts each row as often as it occurs in training. A product of two random matrices starts at another "
            "rank than a random table: what differs already at the start was not learnt.",
            theirs,
        ]
        return Section("Effective rank", text, [effective_rank.name], [("", _ours(results)), authors])


def _percents(change: Interval) -> tuple[float, float, float]:
    """A change of a logarithm, and the ends of its interval, in percent."""
    mean, low, high = (100 * math.expm1(number) for number in change.numbers)
    return mean, low, high


def _log_ratios(spectrum: pd.DataFrame, stage: str, cell: str, other: str) -> pd.DataFrame:
    """log(rank of ``cell`` over that of ``other``), plain: a row a seed; a column a field that both have, and ``mean``.

    ``mean`` is of the means over the fields.
    """
    of_stage = (spectrum["stage"] == stage) & (spectrum["weighting"] == "uniform")
    kept = spectrum[of_stage & spectrum["cell"].isin((cell, other))].dropna(subset=["effective_rank"])
    table = kept.pivot_table(index=["seed", "field"], columns="cell", values="effective_rank")
    table = table.reindex(columns=[cell, other]).dropna()
    ratios = (table[cell] / table[other]).unstack("field").map(math.log)
    means = table.groupby("seed").mean()
    return ratios.assign(mean=np.log(means[cell] / means[other]))


def _ours(results: Results) -> Table:
    means, ranks = results.table(mean_ranks), results.table(trained_ranks)
    for name, stage, weighting in (("initial", "initial", "uniform"), ("weighted", "trained", "training")):
        of = means[(means["stage"] == stage) & (means["weighting"] == weighting)]
        ranks = ranks.join(of.set_index(CELL[:3])["effective_rank"].rename(name), on=CELL[:3])
    columns = [
        *CELL_COLUMNS,
        number("initial", "initial", ".2f"),
        number("trained", "effective_rank", ".2f"),
        Column("below single", lambda row: NOTHING if row["arm"] == BASELINE else _lower(row)),
        number("weighted", "weighted", ".2f"),
        number("stable rank", "stable_rank", ".2f"),
    ]
    return show(ranks, columns)


def _lower(row: Row) -> str:
    return _share(row["lower"], row["compared"])


def _share(part: float | None, whole: float) -> str:
    """``18 of 21``; a dash where nothing is known."""
    return f"{part:.0f} of {whole:.0f}" if pd.notna(part) and whole else NOTHING


def _beside_the_authors(results: Results) -> Table:
    """Every (d, k) of theirs, with ours where that cell ran."""
    ranks = results.table(trained_ranks)
    ranks = ranks[(ranks["dataset"] == published.DATASET) & (ranks["model"] == published.MODEL)]
    ours = ["effective_rank", "lower", "compared"]
    single = ranks[ranks["arm"] == BASELINE].set_index("dim")["effective_rank"].rename("single_here")
    mlet = ranks[ranks["arm"] == TREATED].set_index(["dim", "inner_dim"])[ours]
    table = whole_widths(pd.DataFrame(published.RANKS, columns=published.COLUMNS))
    table = table.join(single, on="dim").join(mlet, on=["dim", "inner_dim"])
    columns = [
        *(D, K),
        number("authors: single", "single", "g"),
        number("MLET", "mlet", "g"),
        Column("below single", lambda row: _share(row["lower_theirs"], published.TABLES)),
        number("here: single", "single_here", ".2f"),
        number("MLET", "effective_rank", ".2f"),
        Column("below single", _lower),
    ]
    return show(table, columns)
