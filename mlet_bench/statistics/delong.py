"""How far a test set's own sampling moves an AUC, and differences of AUCs on the same rows: DeLong's standard error.

Beside the spread over seeds it is the second source of doubt: seeds say what training again would change, this says
what other test rows would. Neither contains the other.

DeLong, DeLong & Clarke-Pearson 1988; in O(N log N) by midranks, Sun & Xu 2014, "Fast implementation of DeLong's
algorithm for comparing the areas under correlated receiver operating characteristic curves", equations 5 to 9.
"""

import math

import numpy as np

from mlet_bench.errors import BenchError
from mlet_bench.statistics.labels import check

BLOCKS = 256


def deviations(label: np.ndarray, probability: np.ndarray, blocks: int = BLOCKS) -> np.ndarray:
    """What other test rows would change of an AUC, by blocks of rows: (2 blocks,), the clicks' and the others'.

    Its Euclidean norm is DeLong's standard error: exactly so with no more clicks, and no more other rows, than blocks,
    and within 1 / sqrt(2 blocks) of it else. Of several models on the same rows, the norm of a weighted sum of these is
    the standard error of that sum of their AUCs, their correlation taken in. So what is kept of a run is small, and is
    enough for every comparison.

    Args:
        label: (N,) of 0 and 1, at least two of each.
        probability: (N,) in [0, 1].

    Raises:
        BenchError: as ``metrics.auc`` does, and with fewer than two rows of a class.
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
