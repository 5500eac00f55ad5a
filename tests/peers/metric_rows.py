"""Equal predictions for two implementations of AUC and LogLoss."""

from collections.abc import Callable

import numpy as np
from agreements import Agreement

from mlet_bench.evaluation.metrics import auc, logloss

ROWS = 100_000


def metric_agreements(
    peer: str, version: str, theirs: Callable[[np.ndarray, np.ndarray], dict[str, float]]
) -> list[Agreement]:
    """AUC and LogLoss of many predictions, with ties and without, by both.

    Args:
        theirs: labels and probabilities, (N,) float64 each → ``auc`` and ``logloss``.
    """
    rng = np.random.default_rng(0)
    found = []
    for kind, digits in (("tied", 3), ("distinct", 15)):
        probability = rng.beta(1, 3, ROWS).round(digits).clip(0.001, 0.999)
        label = (rng.random(ROWS) < probability).astype(np.float64)
        other = theirs(label, probability)
        for name, ours in (("auc", auc), ("logloss", logloss)):
            largest = abs(ours(label, probability) - other[name])
            shape = f"{ROWS} rows, {kind} predictions"
            found.append(Agreement(peer, version, f"metrics: {name}", shape, largest, 1e-12))
    return found
