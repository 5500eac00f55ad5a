"""Metrics of binary click prediction: pure functions of labels and predicted probabilities.

Throughout: label (N,) of 0 and 1, probability (N,) float in [0, 1]. No metric depends on the order of the rows.
"""

import numpy as np

from mlet_bench.errors import BenchError

METRICS = ("auc", "logloss", "ne", "pr_auc", "accuracy", "calibration")


def all_metrics(label: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Every metric of ``METRICS`` by name.

    Raises:
        BenchError: empty or unequal arrays, labels other than 0/1 or of one class only, a probability that is not a
            finite number in [0, 1].
    """
    label, probability = check(label, probability)
    clicks, rows = _by_threshold(label, probability)
    return {
        "auc": _auc(clicks, rows),
        "logloss": logloss(label, probability),
        "ne": normalised_entropy(label, probability),
        "pr_auc": _average_precision(clicks, rows),
        "accuracy": float(np.mean((probability >= 0.5) == label)),
        "calibration": float(probability.mean() / label.mean()),
    }


def auc(label: np.ndarray, probability: np.ndarray) -> float:
    """Area under the ROC curve, exact: P(p⁺ > p⁻) + P(p⁺ = p⁻)/2 over all pairs of a click and a non-click.

    The count of pairs is an exact integer, so the result does not depend on the order of the rows to the last bit.
    """
    return _auc(*_by_threshold(*check(label, probability)))


def logloss(label: np.ndarray, probability: np.ndarray) -> float:
    """Mean negative log likelihood in nats; probabilities are kept 1e-15 away from 0 and 1."""
    likelihood = np.where(label == 1, probability, 1 - probability)
    return float(-np.log(np.clip(likelihood, 1e-15, None)).mean())


def normalised_entropy(label: np.ndarray, probability: np.ndarray) -> float:
    """LogLoss over the entropy of the split's own click rate (He et al. 2014, section 3): below 1 is better than it."""
    rate = label.mean()
    return logloss(label, probability) / float(-rate * np.log(rate) - (1 - rate) * np.log(1 - rate))


def pr_auc(label: np.ndarray, probability: np.ndarray) -> float:
    """Average precision: precision at each threshold weighted by the recall it adds, no interpolation."""
    return _average_precision(*_by_threshold(*check(label, probability)))


def check(label: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities as float64 arrays, or BenchError saying what is wrong with them."""
    label, probability = np.asarray(label, np.float64), np.asarray(probability, np.float64)
    if label.shape != probability.shape or label.ndim != 1:
        raise BenchError(f"labels {label.shape} and probabilities {probability.shape} must be (N,) of equal length")
    if not np.isin(label, (0, 1)).all():
        raise BenchError("labels must be 0 or 1")
    if label.size == 0 or label.min() == label.max():
        raise BenchError(f"{label.size} rows with {int(label.sum())} clicks: metrics need both classes")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise BenchError("probabilities must be finite and in [0, 1]: the model diverged")
    return label, probability


def _by_threshold(label: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Clicks and rows at or above each distinct probability, highest first: (T,), (T,) int64."""
    # The bits of floats from 0 on are in the order of their values, and the label fits below them: one sort of whole
    # numbers, which numpy vectorises, in the place of an argsort and a gather. Adding 0 turns -0 into 0.
    keys = (probability + 0.0).view(np.int64) << 1 | label.astype(np.int64)
    keys.sort()
    keys = keys[::-1]
    ends = np.flatnonzero(np.append(np.diff(keys >> 1), -1))  # the last row of each run of ties
    return (keys & 1).cumsum()[ends], ends + 1


def _auc(clicks: np.ndarray, rows: np.ndarray) -> float:
    others = rows - clicks
    # Each step right passes under the mean of the curve's heights at its ends, which halves the ties.
    twice = int(np.dot(np.diff(others, prepend=0), clicks + np.append(0, clicks[:-1])))
    return twice / (2 * int(clicks[-1]) * int(others[-1]))


def _average_precision(clicks: np.ndarray, rows: np.ndarray) -> float:
    return float(np.sum(np.diff(clicks, prepend=0) * (clicks / rows)) / clicks[-1])
