"""C4: effective rank of MLET's trained tables, beside the baseline's and beside the authors' own."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlet_bench.arms import BASELINE, TREATED
from mlet_bench.claims import CLAIMS, published
from mlet_bench.claims.baselines import Baseline, widest_cells
from mlet_bench.claims.claim import MODELS_A, PAPER_A, Claim
from mlet_bench.claims.finding import Finding, few, notes
from mlet_bench.claims.verdicts import NOT_REPRODUCED, NOT_RUN, REPRODUCED, UNDECIDED
from mlet_bench.display import plots
from mlet_bench.display.document import CELL_COLUMNS, Column, D, K, Row, Section, Table, number, plot, show
from mlet_bench.display.text import NOTHING, commas, percent
from mlet_bench.statistics.intervals import DECISIVE_PAIRS, Interval, paired_bootstrap
from mlet_bench.tables.cells import stream, whole_widths
from mlet_bench.tables.results import CELL, Results, Setting

RANK_MARGIN = 0.01  # a mean rank lower by less than 1% is not lower


def judge_rank(changes: Mapping[int, Interval], lower: Mapping[int, float]) -> str:
    """C4: MLET's tables have lower effective rank.

    The claim is made without a restriction, so it has to hold at every d. *Reproduced*: at each, the mean rank is lower
    by ``RANK_MARGIN`` or more with an interval below 0, and so are more than half of the tables. *Not reproduced*: at
    some d the interval excludes that it is lower by ``RANK_MARGIN``.

    Args:
        changes: d → rank of MLET over the baseline's, less 1 (means over tables).
        lower: d → share of the tables whose rank (mean over seeds) is lower.
    """
    if not changes or any(change.count < DECISIVE_PAIRS for change in changes.values()):
        return UNDECIDED
    if all(change.mean <= -RANK_MARGIN and change.high < 0 and lower[d] > 0.5 for d, change in changes.items()):
        return REPRODUCED
    return NOT_REPRODUCED if any(change.low > -RANK_MARGIN for change in changes.values()) else UNDECIDED


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
    stronger_is_harder = False  # a stronger rival need not have the higher rank
    tables = {"spectrum": spectrum_table}  # noqa: RUF012
    plot = effective_rank
    question = "Why"
    brief = "that trained tables have a lower effective rank"

    def find(self, setting: Setting, base: Baseline) -> Finding:
        """Effective rank of the trained tables (plain, means over tables), MLET at its largest k over the baseline.

        The change at the start stands beside it: a product of two random matrices has another rank than a random
        table, so a difference may be there before anything is trained.
        """
        spectrum = setting.of(setting.results.spectrum)
        pairs = {d: (cell, base.cells[d]) for d, cell in widest_cells(setting.runs, list(base.cells)).items()}
        changes, lower, shown, lacking = {}, {}, [], []
        for dim, (cell, other) in sorted(pairs.items()):
            table = _paired_ranks(spectrum, "trained", cell, other)
            if table.empty:
                lacking.append(cell)
                continue
            ratio = _ratios(table)
            generator = stream(base.stream(f"rank/{setting.where}/{cell}"))
            changes[dim] = paired_bootstrap(ratio, np.ones(len(ratio)), generator)
            by_field = table.groupby("field").mean()
            less = by_field[cell] < by_field[other]
            lower[dim] = float(less.mean())
            initial = _paired_ranks(spectrum, "initial", cell, other)
            start = "" if initial.empty else f" ({percent(_ratios(initial).mean() - 1)} at the start)"
            shown.append(f"d={dim} {percent(*changes[dim].numbers)}, {less.sum()} of {len(less)} tables{start}")
        rests = tuple(cell for pair in pairs.values() for cell in pair)
        if not changes:
            return Finding(NOT_RUN, cells=rests, note=f"no ranks of MLET and {base.name} at the same d")
        verdict = UNDECIDED if lacking else judge_rank(changes, lower)
        missing = f"no ranks beside {commas(lacking)}" if lacking else ""
        fewest = few(min(change.count for change in changes.values()))
        return Finding(verdict, "; ".join(shown), rests, notes(missing, fewest))

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


def _paired_ranks(spectrum: pd.DataFrame, stage: str, cell: str, other: str) -> pd.DataFrame:
    """Plain effective ranks of two cells, one row a seed and field that both have, columns ``cell`` and ``other``."""
    of_stage = (spectrum["stage"] == stage) & (spectrum["weighting"] == "uniform")
    kept = spectrum[of_stage & spectrum["cell"].isin((cell, other))].dropna(subset=["effective_rank"])
    table = kept.pivot_table(index=["seed", "field"], columns="cell", values="effective_rank")
    return table.reindex(columns=[cell, other]).dropna()


def _ratios(ranks: pd.DataFrame) -> np.ndarray:
    """Mean rank over fields of the first column's cell over that of the second's, one a seed: (S,)."""
    means = ranks.groupby("seed").mean()
    return (means.iloc[:, 0] / means.iloc[:, 1]).to_numpy()


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
