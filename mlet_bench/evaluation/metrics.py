"""Metrics of binary click prediction: pure functions of labels and predicted probabilities.

Throughout: label (N,) of 0 and 1, probability (N,) float in [0, 1]. No metric depends on the order of the rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mlet_bench.registry import Registry
from mlet_bench.statistics.labels import check

LEAST_LIKELIHOOD = 1e-15  # of a row, for LogLoss


class Scored:
    """Rows with labels and predictions, checked; what several metrics need of them is computed once.

    Attributes:
        label, probability: (N,) float64.

    Raises:
        BenchError: as ``check``.
    """

    def __init__(self, label: np.ndarray, probability: np.ndarray):
        self.label, self.probability = check(label, probability)

    @cached_property
    def by_threshold(self) -> tuple[np.ndarray, np.ndarray]:
        """Clicks and rows at or above each distinct probability, highest first: (T,), (T,) int64."""
        # The bits of floats from 0 on are in the order of their values, and the label fits below them: one sort of
        # whole numbers, which numpy vectorises, in the place of an argsort and a gather. The shift drops the sign,
        # so -0 is 0.
        keys = self.probability.view(np.int64) << 1 | self.label.astype(np.int64)
        keys.sort()
        keys = keys[::-1]
        ends = np.flatnonzero(np.append(np.diff(keys >> 1), -1))  # the last row of each run of ties
        return (keys & 1).cumsum()[ends], ends + 1


@dataclass(frozen=True)
class Metric:
    """A metric that every evaluated run has: ``metrics.json``, tables, MLflow and report take it from ``METRICS``.

    Attributes:
        name: in files and columns, ``auc``.
        title: in a report, ``AUC``.
        value: of scored rows.
        higher_is_better: None where neither is, as for a calibration.
    """

    name: str
    title: str
    value: Callable[[Scored], float]
    higher_is_better: bool | None


def all_metrics(label: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Every metric of ``METRICS`` by name.

    Raises:
        BenchError: empty or unequal arrays, or labels other than 0/1 or of one class only.
        DivergedError: a probability that is not a finite number in [0, 1].
    """
    scored = Scored(label, probability)
    return {name: metric.value(scored) for name, metric in METRICS.items()}


def auc(label: np.ndarray, probability: np.ndarray) -> float:
    """Area under the ROC curve, exact: P(p⁺ > p⁻) + P(p⁺ = p⁻)/2 over all pairs of a click and a non-click.

    The count of pairs is an exact integer, so the result does not depend on the order of the rows to the last bit.
    """
    return _auc(Scored(label, probability))


def logloss(label: np.ndarray, probability: np.ndarray) -> float:
    """Mean negative log likelihood in nats; probabilities are kept 1e-15 away from 0 and 1."""
    likelihood = np.where(label == 1, probability, 1 - probability)
    return float(-np.log(np.clip(likelihood, LEAST_LIKELIHOOD, None)).mean())


def normalised_entropy(label: np.ndarray, probability: np.ndarray) -> float:
    """LogLoss over the entropy of the split's own click rate (He et al. 2014, section 3): below 1 is better than it."""
    rate = label.mean()
    return logloss(label, probability) / float(-rate * np.log(rate) - (1 - rate) * np.log(1 - rate))


def pr_auc(label: np.ndarray, probability: np.ndarray) -> float:
    """Average precision: precision at each threshold weighted by the recall it adds, no interpolation."""
    return _average_precision(Scored(label, probability))


def accuracy(label: np.ndarray, probability: np.ndarray) -> float:
    """Share of the rows that a threshold of one half gets right."""
    return float(np.mean((probability >= 0.5) == label))


def calibration(label: np.ndarray, probability: np.ndarray) -> float:
    """Predicted clicks over clicks: 1 is right on average."""
    return float(probability.mean() / label.mean())


def _auc(scored: Scored) -> float:
    clicks, rows = scored.by_threshold
    others = rows - clicks
    # Each step right passes under the mean of the curve's heights at its ends, which halves the ties.
    twice = int(np.dot(np.diff(others, prepend=0), clicks + np.append(0, clicks[:-1])))
    return twice / (2 * int(clicks[-1]) * int(others[-1]))


def _average_precision(scored: Scored) -> float:
    clicks, rows = scored.by_threshold
    return float(np.sum(np.diff(clicks, prepend=0) * (clicks / rows)) / clicks[-1])


def _of_rows(function: Callable[[np.ndarray, np.ndarray], float]) -> Callable[[Scored], float]:
    return lambda scored: function(scored.label, scored.probability)


METRICS: Registry[Metric] = Registry(
    "metric",
    built_in=(
        Metric("auc", "AUC", _auc, True),
        Metric("logloss", "LogLoss", _of_rows(logloss), False),
        Metric("ne", "NE", _of_rows(normalised_entropy), False),
        Metric("pr_auc", "PR-AUC", _average_precision, True),
        Metric("accuracy", "accuracy", _of_rows(accuracy), True),
        Metric("calibration", "calibration", _of_rows(calibration), None),
    ),
)
