"""Labels and predicted probabilities, checked before anything is computed from them."""

import numpy as np

from mlet_bench.errors import BenchError, DivergedError


def check(label: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities as float64 arrays, or an error that says what is wrong with them."""
    label, probability = np.asarray(label, np.float64), np.asarray(probability, np.float64)
    if label.shape != probability.shape or label.ndim != 1:
        raise BenchError(f"labels {label.shape} and probabilities {probability.shape} must be (N,) of equal length")
    if not np.isin(label, (0, 1)).all():
        raise BenchError("labels must be 0 or 1")
    if label.size == 0 or label.min() == label.max():
        raise BenchError(f"{label.size} rows with {int(label.sum())} clicks: metrics need both classes")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise DivergedError("probabilities must be finite and in [0, 1]: the model diverged")
    return label, probability
