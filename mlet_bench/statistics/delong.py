"""How far a test set's own sampling moves an AUC: DeLong's interval, for one model and for two on the same rows.

Beside the spread over seeds it is the second source of doubt: seeds say what training again would change, this says
what other test rows would. Neither contains the other.

DeLong, DeLong & Clarke-Pearson 1988; in O(N log N) by midranks, Sun & Xu 2014, "Fast implementation of DeLong's
algorithm for comparing the areas under correlated receiver operating characteristic curves", equations 5 to 9.
"""

import math
from collections.abc import Iterable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from mlet_bench.errors import BenchError
from mlet_bench.statistics.labels import check

BLOCKS = 256


class Sampled(NamedTuple):
    """An AUC, or a difference of two, with its interval over ``count`` test rows."""

    mean: float
    low: float
    high: float
    count: int


def delong_interval(label: np.ndarray, probability: np.ndarray, level: float = 0.95) -> Sampled:
    """The AUC of one model with DeLong's interval over test rows.

    Args:
        label: (N,) of 0 and 1, at least two of each.
        probability: (N,) in [0, 1].
        level: coverage, between 0 and 1.

    Returns:
        an interval of ``count`` N. A model without an error has variance 0 and so no width: as an estimate of the
        variance that is wrong, and with few rows it should not be believed.

    Raises:
        BenchError: as ``metrics.auc`` does, and with fewer than two rows of a class.
    """
    clicked, unclicked = _components(label, probability)
    return _interval(clicked.mean(), clicked, unclicked, level)


def delong_difference(label: np.ndarray, treated: np.ndarray, baseline: np.ndarray, level: float = 0.95) -> Sampled:
    """AUC(treated) - AUC(baseline) on the same test rows with DeLong's interval, their correlation taken in.

    Args:
        label: (N,) of 0 and 1, at least two of each.
        treated, baseline: (N,) probabilities, row for row.
        level: coverage, between 0 and 1.

    Raises:
        BenchError: as ``delong_interval`` does.
    """
    return delong_mean_difference(label, [(treated, baseline)], level)


def delong_mean_difference(
    label: np.ndarray, pairs: Iterable[tuple[np.ndarray, np.ndarray]], level: float = 0.95
) -> Sampled:
    """The mean of several AUC(treated) - AUC(baseline), all on the same test rows, with DeLong's interval.

    What the pairs have in common is taken in as well: their differences move together when other rows are drawn, so
    the interval is not that of one pair over the square root of their number. It holds the trained models fixed.

    Args:
        label: (N,) of 0 and 1, at least two of each.
        pairs: (treated, baseline) probabilities, (N,) each; at least one pair. They are read one at a time.

    Raises:
        BenchError: as ``delong_interval`` does, or without a pair.
    """
    clicked, unclicked, count = np.zeros(1), np.zeros(1), 0
    for treated, baseline in pairs:
        ours, theirs = _components(label, treated), _components(label, baseline)
        # The variance of a difference is that of the differences of the components: one subtraction has the covariance.
        clicked, unclicked = clicked + (ours[0] - theirs[0]), unclicked + (ours[1] - theirs[1])
        count += 1
    if not count:
        raise BenchError("no pair of models to compare")
    return _interval(float(np.mean(clicked)) / count, clicked / count, unclicked / count, level)


def deviations(label: np.ndarray, probability: np.ndarray, blocks: int = BLOCKS) -> np.ndarray:
    """What other test rows would change of an AUC, by blocks of rows: (2 blocks,), the clicks' and the others'.

    Its Euclidean norm is DeLong's standard error: exactly so with no more clicks, and no more other rows, than blocks,
    and within 1 / sqrt(2 blocks) of it else. Of several models on the same rows, the norm of a weighted sum of these is
    the standard error of that sum of their AUCs, their correlation taken in. So what is kept of a run is small, and is
    enough for every comparison.

    Raises:
        BenchError: as ``delong_interval`` does.
    """
    return np.concatenate([_by_block(part, blocks) for part in _components(label, probability)])


def _by_block(part: np.ndarray, blocks: int) -> np.ndarray:
    """Sums of the deviations of structural components from their mean, scaled so that their norm is an error of it."""
    count = min(blocks, len(part))
    sums = np.bincount(np.arange(len(part)) % count, part - part.mean(), minlength=blocks)
    return sums / len(part) * math.sqrt(count / (count - 1))


def _components(label: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Structural components: (m,) share of the others below each click, (n,) share of the clicks above each other row.

    V10(Xᵢ) = (T_Z(Xᵢ) - T_X(Xᵢ)) / n and V01(Yⱼ) = 1 - (T_Z(Yⱼ) - T_Y(Yⱼ)) / m, with T_S the midrank within the sample
    S, X the m clicks, Y the n non-clicks, Z all rows. Ties count one half.
    """
    label, probability = check(label, probability)
    clicked, unclicked = probability[label == 1], probability[label == 0]
    m, n = len(clicked), len(unclicked)
    if min(m, n) < 2:
        raise BenchError(f"{m} clicks and {n} other rows: the variance of an AUC needs two of each")
    ranks = _midranks(np.concatenate([clicked, unclicked]))
    return (ranks[:m] - _midranks(clicked)) / n, 1 - (ranks[m:] - _midranks(unclicked)) / m


def _midranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share the mean of theirs. (N,) → (N,)."""
    _, place, repeats = np.unique(values, return_inverse=True, return_counts=True)
    return (repeats.cumsum() - (repeats - 1) / 2)[place]


def _interval(mean: float, clicked: np.ndarray, unclicked: np.ndarray, level: float) -> Sampled:
    m, n = len(clicked), len(unclicked)
    half = NormalDist().inv_cdf(0.5 + level / 2) * math.sqrt(clicked.var(ddof=1) / m + unclicked.var(ddof=1) / n)
    return Sampled(float(mean), float(mean - half), float(mean + half), m + n)
