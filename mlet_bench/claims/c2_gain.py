"""C2: the gain is substantial when k is much larger than d, and grows with k."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mlet_bench.arms import ARMS, TREATED
from mlet_bench.claims import CLAIMS
from mlet_bench.claims.baselines import Baseline
from mlet_bench.claims.claim import MODELS_A, PAPER_A, Claim
from mlet_bench.claims.finding import Finding, few, notes, undone
from mlet_bench.claims.verdicts import NOT_REPRODUCED, NOT_RUN, REPRODUCED, UNDECIDED
from mlet_bench.display.document import DATASET, MODEL, Column, D, K, Section, show
from mlet_bench.display.text import NOTHING, commas, signed
from mlet_bench.statistics.intervals import DECISIVE_PAIRS, Interval, immaterial, paired_bootstrap, read_auc_difference
from mlet_bench.tables.cells import arm_cells, paired, records, stream
from mlet_bench.tables.quality import differences_table
from mlet_bench.tables.results import Results, Setting

MUCH_LARGER = 4  # k is "much larger" than d from k = 4d on


def judge_gain(gain: Interval, growth: Interval) -> str:
    """C2: the gain is substantial when k is much larger than d, and grows with k.

    *Reproduced*: both hold; the gain is at least ``MATERIAL_AUC`` with an interval above 0, and the interval of the
    growth lies above 0. *Not reproduced*: either is shown not to hold; the gain's whole interval is below
    ``MATERIAL_AUC``, or that of the growth does not reach above 0.

    Args:
        gain: AUC of MLET at the largest k minus the baseline's, mean over the d with that k >= ``MUCH_LARGER`` d.
        growth: AUC gained by a doubling of k, mean over the same d.
    """
    if min(gain.count, growth.count) < DECISIVE_PAIRS:
        return UNDECIDED
    if read_auc_difference(gain) == "higher" and growth.low > 0:
        return REPRODUCED
    return NOT_REPRODUCED if immaterial(gain) or growth.high <= 0 else UNDECIDED


@CLAIMS.add
class GainClaim(Claim):
    name = "C2"
    sentence = "The gain is substantial when k is much larger than d, and grows with k."
    source = PAPER_A
    models = MODELS_A
    rule = staticmethod(judge_gain)
    question = "Why"
    brief = "that the gain is substantial for large k and grows with it"

    def find(self, setting: Setting, base: Baseline) -> Finding:
        """The gain in AUC at the largest k, and its growth with each doubling of k, means over d."""
        runs = setting.runs
        cells = {key: cell for key, cell in arm_cells(runs, TREATED).items() if key[0] in base.cells}
        grown = {dim: [inner for d, inner in cells if d == dim] for dim, _ in cells}
        dims = [dim for dim, inners in grown.items() if len(inners) > 1 and max(inners) >= MUCH_LARGER * dim]
        if not dims:
            return Finding(NOT_RUN, note=f"no d has {base.name}, two k, and a k of {MUCH_LARGER}d or more")
        rests = [*(cells[dim, inner] for dim in dims for inner in grown[dim]), *(base.cells[dim] for dim in dims)]
        auc = paired(runs, rests, "test_auc")
        if auc.empty:
            return Finding(NOT_RUN, cells=tuple(rests), note=undone(runs, rests))
        top = auc[[cells[dim, max(grown[dim])] for dim in dims]].mean(axis=1)
        floor = auc[[base.cells[dim] for dim in dims]].mean(axis=1)
        slopes = np.mean([_slopes(auc[[cells[dim, k] for k in grown[dim]]], grown[dim]) for dim in dims], axis=0)
        gain = paired_bootstrap(top.to_numpy(), floor.to_numpy(), stream(base.stream(f"gain/{setting.where}")))
        growth = paired_bootstrap(slopes, np.zeros(len(slopes)), stream(f"growth/{setting.where}"))
        return Finding(
            judge_gain(gain, growth),
            f"{signed(*gain.numbers)} AUC at the largest k, "
            f"{signed(*growth.numbers)} a doubling of k (d={commas(dims)})",
            tuple(rests),
            notes(undone(runs, rests), few(gain.count)),
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


def _slopes(auc: pd.DataFrame, inners: Sequence[int]) -> np.ndarray:
    """Least-squares AUC per doubling of k, one a seed: (S, K) → (S,)."""
    doublings = np.log2(inners) - np.log2(inners).mean()
    return auc.to_numpy() @ doublings / (doublings @ doublings)
