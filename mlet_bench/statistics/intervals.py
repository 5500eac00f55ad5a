"""Means over seeds and paired differences between arms: what is known of them, and what could have been seen.

Seeds are few (five by default, one or two in a smoke run). Student's t covers what it says with any number of them; a
bootstrap over five seeds that is printed as 95% covers 92%, over two 50%. Below ``DECISIVE_PAIRS`` a t interval is too
wide to be read, so there is none: the range of the values stands for it.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from mlet_bench.errors import BenchError

# Differences of AUC as click-through-rate prediction reads them.
MATERIAL_AUC = 0.001
EQUIVALENT_AUC = 0.0005
# Below this many pairs there is no interval and no verdict.
DECISIVE_PAIRS = 5
# What an interval misses, and so the two-sided p-value of what is shown.
LEVEL = 0.05
LEAST_P = 1e-12


@dataclass(frozen=True)
class Interval:
    """A mean over seeds, with two sources of doubt.

    Attributes:
        mean: over ``count`` seeds, whose values lie within ``least`` and ``most``.
        error: standard error of the mean over seeds: what training again would change.
        rows: standard error over test rows, the trained models held fixed: what other test rows would change
            (``statistics.delong``). 0 where only the seeds are asked about.
    """

    mean: float
    error: float
    count: int
    least: float = math.nan
    most: float = math.nan
    rows: float = 0.0

    def half(self, p: float = LEVEL) -> float:
        """Half the width of the interval that misses with probability ``p``: sqrt(t² + z²), t over seeds, z over rows.

        NaN below ``DECISIVE_PAIRS``.
        """
        if not self.known:
            return math.nan
        return math.hypot(t_quantile(p, self.count) * self.error, z_quantile(p) * self.rows)

    @property
    def low(self) -> float:
        return self.mean - self.half()

    @property
    def high(self) -> float:
        return self.mean + self.half()

    @property
    def numbers(self) -> tuple[float, float, float]:
        """Mean, low, high."""
        return self.mean, self.low, self.high

    @property
    def known(self) -> bool:
        """Whether there is an interval: the seeds are enough, and all is finite."""
        return self.count >= DECISIVE_PAIRS and math.isfinite(self.mean + self.error + self.rows)

    @property
    def detectable(self) -> float:
        """The difference that these seeds and rows show in four of five repetitions; NaN without an interval."""
        return self.half() * (1 + t_quantile(0.4, self.count) / t_quantile(LEVEL, self.count))

    def p_above(self, bound: float) -> float:
        """Two-sided p-value of "the mean is above ``bound``": what the interval misses whose low end is there.

        1 where the mean itself is not above it, and where there is no interval.
        """
        return self._p(self.mean - bound)

    def p_below(self, bound: float) -> float:
        """The same of "the mean is below ``bound``"."""
        return self._p(bound - self.mean)

    def _p(self, distance: float) -> float:
        if not (self.known and distance > 0):
            return 1.0
        if self.half(LEAST_P) <= distance:
            return LEAST_P
        from scipy.optimize import brentq

        return float(brentq(lambda p: self.half(p) - distance, LEAST_P, 1.0))  # type: ignore[arg-type]


def mean_interval(values: np.ndarray, rows: float = 0.0) -> Interval:
    """The mean of independent values with Student's t interval.

    Args:
        values: (S,), one value a seed.
        rows: standard error of that mean over test rows.

    Raises:
        BenchError: no value, or a value that is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise BenchError(f"values have shape {values.shape}: one value a seed is needed, at least one")
    if not np.isfinite(values).all():
        raise BenchError(f"values {values.tolist()} are not all finite: a diverged run must count as failed")
    count = len(values)
    error = float(values.std(ddof=1) / math.sqrt(count)) if count > 1 else math.nan
    return Interval(float(values.mean()), error, count, float(values.min()), float(values.max()), rows)


def paired_interval(treated: np.ndarray, baseline: np.ndarray) -> Interval:
    """The mean of ``treated - baseline``, (S,) each, the same seed at the same place, with its t interval.

    Raises:
        BenchError: the shapes differ, or as ``mean_interval`` does.
    """
    treated, baseline = np.asarray(treated, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if treated.shape != baseline.shape:
        raise BenchError(f"paired values have shapes {treated.shape} and {baseline.shape}: give one of each a seed")
    return mean_interval(treated - baseline)


def read_auc_difference(difference: Interval) -> str:
    """What a paired AUC difference says: ``higher``, ``lower``, ``small but not zero``, ``equal`` or ``undecided``.

    ``higher`` and ``lower`` need a mean of at least ``MATERIAL_AUC`` and an interval that excludes 0; ``small but not
    zero`` an interval that excludes 0 and lies within ``MATERIAL_AUC``; ``equal`` is ``equivalent`` within
    ``EQUIVALENT_AUC``. Fewer than ``DECISIVE_PAIRS`` pairs decide nothing.
    """
    mean, low, high = difference.numbers
    if low > 0 or high < 0:
        if abs(mean) >= MATERIAL_AUC:
            return "higher" if mean > 0 else "lower"
        if low > -MATERIAL_AUC and high < MATERIAL_AUC:
            return "small but not zero"
    return "equal" if equivalent(difference, EQUIVALENT_AUC) else "undecided"


def equivalent(difference: Interval, margin: float) -> bool:
    """Whether a difference is shown to lie within ``margin`` of 0, by two one-sided t tests at 5% each.

    Schuirmann 1987, "A comparison of the two one-sided tests procedure and the power approach": the 90% interval lies
    within the margin. An interval around 0 that is wider than the margin shows nothing.

    Raises:
        BenchError: the margin is not above 0.
    """
    if not margin > 0:
        raise BenchError(f"the equivalence margin is {margin}: it must be above 0, or nothing is equivalent")
    return max(difference.p_above(-margin), difference.p_below(margin)) <= 2 * LEVEL


def ratio_quartiles(treated: np.ndarray, baseline: np.ndarray) -> tuple[float, float, float]:
    """25%, 50% and 75% quantiles of the paired ratios treated / baseline: (P,), (P,) → three numbers."""
    ratios = np.asarray(treated, np.float64) / np.asarray(baseline, np.float64)
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)


@cache
def t_quantile(p: float, count: int) -> float:
    """Student's t with ``count`` - 1 degrees of freedom: what is passed on either side with probability ``p``."""
    from scipy.special import stdtrit  # the quantiles of scipy.stats.t, which takes 0.8 s to import

    return float(-stdtrit(count - 1, p / 2))


@cache
def z_quantile(p: float) -> float:
    """The same of the normal law."""
    from scipy.special import ndtri

    return float(-ndtri(p / 2))
