"""C2: the gain is substantial when k is much larger than d, and grows with k."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mlet_bench.arms import ARMS, TREATED
from mlet_bench.claims import CLAIMS
from mlet_bench.claims.claim import MODELS_A, PAPER_A, Claim
from mlet_bench.claims.comparisons import INNER_DIM, Comparison
from mlet_bench.claims.finding import Finding, drawn, few, notes, power, undone
from mlet_bench.claims.verdicts import NOT_RUN, UNDECIDED, Judged, decide
from mlet_bench.display.document import DATASET, MODEL, Column, D, K, Section, show
from mlet_bench.display.text import NOTHING, commas, said, signed
from mlet_bench.statistics.intervals import MATERIAL_AUC, Interval
from mlet_bench.tables.cells import added, arm_cells, contrast, mean_of, records
from mlet_bench.tables.quality import differences_table
from mlet_bench.tables.results import Results, Setting

MUCH_LARGER = 4  # k is "much larger" than d from k = 4d on
SAME_STEP = "single-lr"  # a single layer with MLET's step at each k


def judge_gain(gain: Interval, growth: Interval) -> Judged:
    """C2: the gain is substantial when k is much larger than d, and grows with k.

    The mean over the d with k = ``INNER_DIM`` at least ``MUCH_LARGER`` d. *Reproduced*: both hold; the gain is
    ``MATERIAL_AUC`` or more and shown to be above 0, and the growth is shown to be above 0. *Not reproduced*: either is
    shown not to hold; the gain to be below ``MATERIAL_AUC``, or the growth below 0.

    Args:
        gain: AUC of MLET minus the baseline's.
        growth: AUC that MLET gains by a doubling of k, minus what a single layer with MLET's step at that k gains; of a
            tuned MLET, whose step is not tied to k, the former alone.
    """
    shows = [gain.p_above(0), growth.p_above(0)] if gain.mean >= MATERIAL_AUC else []
    return decide(shows, [gain.p_below(MATERIAL_AUC), growth.p_below(0)])


@CLAIMS.add
class GainClaim(Claim):
    name = "C2"
    sentence = "The gain is substantial when k is much larger than d, and grows with k."
    source = PAPER_A
    models = MODELS_A
    rule = staticmethod(judge_gain)

    def find(self, setting: Setting, comparison: Comparison) -> Finding:
        """The gain in AUC, and its growth with each doubling of k beyond that of the step alone."""
        treated, base = comparison.treated_cells(setting.runs), comparison.baseline_cells(setting.runs)
        tied = not ARMS[comparison.treated].tunes_lr
        cells = [arm_cells(setting.runs, arm) for arm in (comparison.treated, *([SAME_STEP] if tied else []))]
        near = [d for d in sorted(treated) if d in base and MUCH_LARGER * d <= INNER_DIM]
        dims = [d for d in near if all(len(_inner_dims(of, d)) > 1 for of in cells)]
        if not dims:
            needs = f"{comparison.treated}{f' and {SAME_STEP}' if tied else ''} at two k, and {comparison.baseline}"
            return Finding(Judged(NOT_RUN), note=f"needs {needs}, at a d of {INNER_DIM // MUCH_LARGER} or less")
        gaining = added(mean_of(treated[d] for d in dims), mean_of((base[d] for d in dims), -1))
        slopes, *steps = (_slopes(of, dims) for of in cells)
        growing = added(slopes, *({cell: -weight for cell, weight in of.items()} for of in steps))
        rests = tuple(dict.fromkeys([*gaining, *growing]))
        open_cells = undone(setting.runs, rests)
        gain, growth = contrast(setting, gaining), contrast(setting, growing)
        if gain is None or growth is None:
            return Finding(Judged(NOT_RUN), cells=rests, note=open_cells)
        beyond = f" beyond {SAME_STEP}'s" if tied else ""
        return Finding(
            Judged(UNDECIDED) if open_cells else judge_gain(gain, growth),
            f"{said(gain)} AUC at k={INNER_DIM}, {said(growth)} for each doubling of k{beyond} (d={commas(dims)})",
            f"{power(gain)} of gain, {power(growth)} of growth" if gain.known and growth.known else "",
            rests,
            notes(open_cells, few(min(gain.count, growth.count))),
            (drawn(f"gain at k={INNER_DIM}", gain), drawn(f"growth for each doubling of k{beyond}", growth)),
        )

    def section(self, results: Results) -> Section | None:
        """What of MLET's gain each control has as well."""
        differences = results.table(differences_table)
        auc = differences[(differences["metric"] == "auc") & (differences["pairs"] > 0)]
        arms = [arm for arm in ARMS if arm in set(auc["arm"])]
        if TREATED not in arms or len(arms) < 2:
            return None
        rows = []
        for mlet in records(auc[auc["arm"] == TREATED]):
            same = auc[(auc[["dataset", "model", "dim"]] == [mlet["dataset"], mlet["model"], mlet["dim"]]).all(axis=1)]
            same = same[(same["inner_dim"] == mlet["inner_dim"]) | same["inner_dim"].isna()]
            if len(same) > 1:
                gains = {row["arm"]: signed(row["difference"], row["low"], row["high"]) for row in records(same)}
                rows.append(mlet | {"gains": gains})
        gains = [Column(arm, lambda row, arm=arm: row["gains"].get(arm, NOTHING)) for arm in arms]
        text = [
            "The gain in AUC over single at the same d, paired by seed, of MLET and of what differs from it in one "
            "thing. Where single-lr or single-lr-tuned gains as much, a larger step explains it; where single-init "
            "does, a larger start. Where mlet-frozen gains less, whose W2 stays as drawn, it is the update that "
            "reaches rows outside the batch. Where mlet-unit gains as much, it is neither step nor start. What "
            "mlet-lr-tuned gains beyond mlet is tuning, which single-lr-tuned has as well. Few seeds decide none "
            "of it.",
        ]
        shown = show(pd.DataFrame(rows), [DATASET, MODEL, D, K, *gains])
        return Section("What explains it", text, tables=[("", shown)])


def _inner_dims(cells: Mapping[tuple[int, int], str], dim: int) -> list[int]:
    """The k that cells have at one d."""
    return [inner for d, inner in cells if d == dim]


def _slopes(cells: Mapping[tuple[int, int], str], dims: list[int]) -> dict[str, float]:
    """Weights of the AUC gained by a doubling of k: least squares over the k at each d, mean over the d.

    Each d has two k or more.
    """
    weights: dict[str, float] = {}
    for dim in dims:
        inners = _inner_dims(cells, dim)
        doublings = np.log2(inners) - np.log2(inners).mean()
        shares = doublings / (doublings @ doublings) / len(dims)
        weights |= {cells[dim, inner]: float(share) for inner, share in zip(inners, shares)}
    return weights
