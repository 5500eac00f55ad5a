"""Why it works, or does not: ranks of the tables, beside the authors' own, and how gradients are reweighted."""

import pandas as pd

from mlet_bench.analysis import published
from mlet_bench.reporting.document import NOTHING, Section, Table, or_nothing, signed
from mlet_bench.reporting.tables import rank_means
from mlet_bench.spec import ARMS

KEYS = ["dataset", "model", "cell"]


def controls_section(differences: pd.DataFrame) -> Section | None:
    """What of MLET's gain each control has as well. ``differences`` is a ``differences_table``."""
    auc = differences[(differences["metric"] == "auc") & (differences["pairs"] > 0)]
    arms = [arm for arm in ARMS if arm in set(auc["arm"])]
    if "mlet" not in arms or len(arms) < 2:
        return None
    rows = []
    for mlet in auc[auc["arm"] == "mlet"].to_dict("records"):
        same = auc[(auc["dataset"] == mlet["dataset"]) & (auc["model"] == mlet["model"]) & (auc["dim"] == mlet["dim"])]
        same = same[(same["inner_dim"] == mlet["inner_dim"]) | same["inner_dim"].isna()]
        if len(same) > 1:
            gains = {row["arm"]: signed(row["difference"], row["low"], row["high"]) for row in same.to_dict("records")}
            where = [mlet["dataset"], str(mlet["dim"]), str(mlet["inner_dim"])]
            rows.append([*where, *(gains.get(arm, NOTHING) for arm in arms)])
    text = [
        "The gain in AUC over single at the same d, paired by seed, of MLET and of what differs from it in one thing. "
        "Where single-lr or single-lr-tuned gains as much, a larger step explains it; where single-init does, a larger "
        "start. Where mlet-frozen gains less, whose W2 stays as drawn, it is the update that reaches rows outside the "
        "batch. Where mlet-unit gains as much, it is neither step nor start. What mlet-lr-tuned gains beyond mlet is "
        "tuning, which single-lr-tuned has as well. Few seeds decide none of it.",
    ]
    header = ["data", "d", "k", *arms]
    return Section("What explains it", text, [], [("", Table(header, rows, frozenset(range(1, len(header)))))])


def rank_section(spectrum: pd.DataFrame, figures: list[str]) -> Section:
    """Effective ranks, ours and the authors'. ``spectrum`` is a ``spectrum_table``."""
    means = rank_means(spectrum)
    authors = ("Avazu, beside the authors'", _beside_the_authors(means))
    theirs = (
        f"The authors' numbers are means over their {published.TABLES} tables, from {published.SOURCE}; "
        "a dash is a cell that did not run here, or that they do not have."
    )
    if spectrum.empty:
        return Section("Effective rank", ["Not computed: no run has a spectrum.", theirs], [], [authors])
    text = [
        "exp(entropy of the singular values normalised to sum 1) of each collapsed n×d table, means over fields and "
        "seeds. 'below single' counts the fields whose rank is below that of single at the same d; 'weighted' counts "
        "each row as often as it occurs in training. A product of two random matrices starts at another rank than a "
        "random table: what differs already at the start was not learnt.",
        theirs,
    ]
    caption = "Effective rank of the trained tables as a share of d."
    shown = [("effective_rank", caption)] if "effective_rank" in figures else []
    return Section("Effective rank", text, shown, [("", _ours(means)), authors])


def _ours(means: pd.DataFrame) -> Table:
    by_kind = {(*(row[key] for key in KEYS), row["stage"], row["weighting"]): row for row in means.to_dict("records")}
    rows = []
    for row in means[(means["stage"] == "trained") & (means["weighting"] == "uniform")].to_dict("records"):
        cell = tuple(row[key] for key in KEYS)
        initial, weighted = by_kind.get((*cell, "initial", "uniform")), by_kind.get((*cell, "trained", "training"))
        lower = NOTHING if row["arm"] == "single" or not row["compared"] else f"{row['lower']} of {row['compared']}"
        rows.append(
            [
                *(row["dataset"], row["arm"], str(row["dim"]), or_nothing(row["inner_dim"])),
                f"{initial['effective_rank']:.2f}" if initial else NOTHING,
                *(f"{row['effective_rank']:.2f}", lower),
                f"{weighted['effective_rank']:.2f}" if weighted else NOTHING,
                f"{row['stable_rank']:.2f}",
            ]
        )
    header = ["data", "arm", "d", "k", "initial", "trained", "below single", "weighted", "stable rank"]
    return Table(header, rows, frozenset(range(2, 9)))


def _beside_the_authors(means: pd.DataFrame) -> Table:
    """Every (d, k) of theirs, with ours where that cell ran."""
    ours = means[(means["stage"] == "trained") & (means["weighting"] == "uniform")]
    ours = ours[(ours["dataset"] == published.DATASET) & (ours["model"] == published.MODEL)]
    found = {
        (row["arm"], row["dim"], None if pd.isna(row["inner_dim"]) else row["inner_dim"]): row
        for row in ours.to_dict("records")
    }
    rows = []
    for theirs in published.RANKS:
        single, mlet = found.get(("single", theirs.dim, None)), found.get(("mlet", theirs.dim, theirs.inner_dim))
        rows.append(
            [
                *(str(theirs.dim), str(theirs.inner_dim), f"{theirs.single:g}", f"{theirs.mlet:g}"),
                NOTHING if theirs.lower is None else f"{theirs.lower} of {published.TABLES}",
                f"{single['effective_rank']:.2f}" if single else NOTHING,
                f"{mlet['effective_rank']:.2f}" if mlet else NOTHING,
                f"{mlet['lower']} of {mlet['compared']}" if mlet and mlet["compared"] else NOTHING,
            ]
        )
    header = ["d", "k", "authors: single", "MLET", "below single", "here: single", "MLET", "below single"]
    return Table(header, rows, frozenset(range(8)))


def reweighting_section(table: pd.DataFrame, figures: list[str]) -> Section | None:
    """How gradients are scaled in trained models. ``table`` is a ``reweighting_table``."""
    if table.empty:
        return None
    rows = []
    for key, cell in table.groupby([*KEYS, "arm", "dim", "inner_dim"], sort=False, dropna=False):
        dataset, _, _, arm, dim, inner = key
        stages = [cell[cell["stage"] == stage] for stage in ("initial", "trained")]
        parts = [f"{stage[part].median():.3g}" for stage in stages for part in ("w1", "w2")]
        rows.append([dataset, arm, str(dim), str(inner), f"{inner / 16:g}", *map(_over_fields, stages), *parts])
    header = ["data", "arm", "d", "k", "k/16", "factor at start", "factor, trained"]
    header += ["W1, start", "W2, start", "W1, trained", "W2, trained"]
    text = [
        "An SGD step on W1 and W2 moves the table as a step on the single layer would, with the gradient's component "
        "along W1's i-th left and W2's j-th right singular vector scaled by σᵢ(W1)² + σⱼ(W2)²; the single layer's "
        "scale is 1. The W2 part changes the step size of the rows in a batch, the W1 part moves rows that are not in "
        "it. Shown is the median factor of a table: the middle one of the fields, and in brackets the least and the "
        "greatest. The authors' initial values give a W2 part of k/16 on average.",
    ]
    caption = "Factors of each field of the widest MLET cell, at the start and trained: medians, bars from 10% to 90%."
    shown = [("reweighting", caption)] if "reweighting" in figures else []
    return Section("How gradients are reweighted", text, shown, [("", Table(header, rows, frozenset(range(2, 11))))])


def _over_fields(stage: pd.DataFrame) -> str:
    medians = stage["median"]
    return f"{medians.median():.3g} [{medians.min():.3g}, {medians.max():.3g}]"
