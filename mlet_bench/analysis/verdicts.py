"""The rules that turn numbers into verdicts, all of them and nothing else.

They were written before any full-scale result was there. Common to all:

- Every rule but that of C3 reads 95% intervals over paired seeds (C5: over timed cells), never a mean alone, and
  decides nothing on fewer than ``DECISIVE_PAIRS``. *Undecided* means that the interval allows both answers.
- *Reproduced* and *not reproduced* are both to be shown: failing to show the first is not the second.
- Where one of several cells has to be chosen (k at a d, the cell of the best factor, the strongest rival), validation
  chooses and test judges. Otherwise the best of 20 noisy cells would be taken for the effect.
- A claim about several data sets holds if it holds on each: one that shows the contrary is enough against it.
- Rows that the generator made decide nothing (*not run*), and neither does a part of a data set (*undecided* at best).
- A missing or failed cell can only take a verdict away.
"""

from collections.abc import Mapping, Sequence

from mlet_bench.analysis.reduction import Reduction
from mlet_bench.analysis.statistics import DECISIVE_PAIRS, MATERIAL_AUC, Interval, read_auc_difference

REPRODUCED, NOT_REPRODUCED, UNDECIDED, NOT_RUN = "reproduced", "not reproduced", "undecided", "not run"

REDUCTION = 4.0  # C1: "4-8x"; its lower end is what the claim promises
MUCH_LARGER = 4  # C2: k is "much larger" than d from k = 4d on
LOGIT = 1e-5  # C3: rounding of float32 products, far below what a rank or a loss notices
RANK_MARGIN = 0.01  # C4: a mean rank lower by less than 1% is not lower
OVERHEAD = (0.15, 0.35)  # C5: "25% on average", ten points either way
MEAN_REDUCTION, LARGEST_REDUCTION = 5.8, 16.0  # C6


def overall(verdicts: Sequence[str]) -> str:
    """One verdict for several data sets or models: any that is against decides, all that are for decide."""
    if NOT_REPRODUCED in verdicts:
        return NOT_REPRODUCED
    for verdict in (REPRODUCED, NOT_RUN):
        if verdicts and all(other == verdict for other in verdicts):
            return verdict
    return UNDECIDED if verdicts else NOT_RUN


def with_unfinished_rivals(verdict: str, stronger_is_harder: bool) -> str:
    """A verdict against the strongest rival, where a cell that could have been stronger is missing.

    Args:
        stronger_is_harder: whether a stronger rival could only be harder to beat (a difference of quality); then what
            fails against the weaker one stands.
    """
    return verdict if verdict == NOT_RUN or (stronger_is_harder and verdict == NOT_REPRODUCED) else UNDECIDED


def on_a_part(verdict: str) -> str:
    """A verdict from a part of a data set's rows: the papers' claims are about all of them."""
    return verdict if verdict == NOT_RUN else UNDECIDED


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
    if _decisive(chosen) and chosen.floor >= REDUCTION:
        return REPRODUCED
    below = all(_decisive(factor) and factor.ceiling < REDUCTION for factor in able)
    return NOT_REPRODUCED if able and complete and below else UNDECIDED


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
    return NOT_REPRODUCED if _immaterial(gain) or growth.high <= 0 else UNDECIDED


def judge_collapse(largest: float, sizes_equal: bool, complete: bool) -> str:
    """C3: collapsing changes no logit by more than ``LOGIT``, and leaves tables of the baseline's size, which is ∝ d.

    No statistics: one run that breaks it is enough against it, and all runs must be there to show it.
    """
    if largest > LOGIT or not sizes_equal:
        return NOT_REPRODUCED
    return REPRODUCED if complete else UNDECIDED


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


def judge_overhead(extra: Interval, gpu: bool) -> str:
    """C5: training costs 25% more time on average.

    *Reproduced*: the interval of the mean over (d, k) lies within ``OVERHEAD``. *Not reproduced*: it lies outside;
    cheaper is as little the paper's number as dearer. The paper's is a GPU's: a CPU, where the MLPs take the time,
    decides nothing.
    """
    low, high = OVERHEAD
    if not gpu or not extra.known or extra.count < DECISIVE_PAIRS:
        return UNDECIDED
    if low <= extra.low and extra.high <= high:
        return REPRODUCED
    return NOT_REPRODUCED if extra.high < low or extra.low > high else UNDECIDED


def judge_models(factors: Sequence[Reduction]) -> str:
    """C6: up to 16x, 5.8x on average, over several models.

    The mean of the intervals' ends holds the mean factor; it is wider than need be, as if all erred together.
    *Reproduced*: mean and largest allow the paper's 5.8 and 16 or more, and exclude less than the 4 and 8 of paper A,
    which they are to surpass. *Not reproduced*: the mean stays below 5.8, or the largest below 16, with its interval.

    Args:
        factors: one a data set and model, of the cell that validation chose.
    """
    if not factors or not all(map(_decisive, factors)):
        return UNDECIDED
    low, high = mean_ends(factors)
    largest = max(f.floor for f in factors), max(f.ceiling for f in factors)
    if high < MEAN_REDUCTION or largest[1] < LARGEST_REDUCTION:
        return NOT_REPRODUCED
    return REPRODUCED if low >= REDUCTION and largest[0] >= 2 * REDUCTION else UNDECIDED


def judge_rare(excess: Interval, rarest: Interval, gains: Sequence[float]) -> str:
    """C7: the gain is largest for rare categories.

    *Reproduced*: the rarest group gains (interval above 0), gains more than any other group on the mean, and its excess
    over the most frequent group is at least ``MATERIAL_AUC`` with an interval above 0. *Not reproduced*: the excess is
    shown to be immaterial, 0 or negative, or the rarest group to gain nothing.

    Args:
        excess: gain of the rarest minus gain of the most frequent group, paired by seed.
        rarest: gain of the rarest group.
        gains: mean gain of each group, rarest first.
    """
    if min(excess.count, rarest.count) < DECISIVE_PAIRS:
        return UNDECIDED
    if read_auc_difference(excess) == "higher" and rarest.low > 0 and gains[0] == max(gains):
        return REPRODUCED
    return NOT_REPRODUCED if _immaterial(excess) or rarest.high <= 0 else UNDECIDED


def mean_ends(factors: Sequence[Reduction]) -> tuple[float, float]:
    """Means of the lower and of the upper ends of the factors' intervals."""
    return sum(f.floor for f in factors) / len(factors), sum(f.ceiling for f in factors) / len(factors)


def _decisive(factor: Reduction) -> bool:
    return factor.pairs >= DECISIVE_PAIRS


def _immaterial(difference: Interval) -> bool:
    """Shown to be too little to matter, 0, or negative."""
    return difference.high < MATERIAL_AUC
