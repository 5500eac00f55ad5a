"""Reduction factor at equal quality (claim C1): how much wider a single layer must be to match an arm."""

import math
from dataclasses import dataclass

import numpy as np

from mlet_bench.errors import BenchError
from mlet_bench.statistics.intervals import DECISIVE_PAIRS, expanded_tail


@dataclass(frozen=True)
class Reduction:
    """A factor d*/d, with the ends of its interval.

    Attributes:
        factor, low, high: the factor and its interval; infinite where the baseline never reaches the quality, 0 where
            its narrowest width exceeds it; low and high are NaN with one seed.
        least, most: the factors at the ends of the measured widths: beyond them there are bounds, no numbers.
        pairs: seeds.

    Rules read ``floor`` and ``ceiling``, where a bound stands for what it is known to be.
    """

    factor: float
    low: float
    high: float
    least: float
    most: float
    pairs: int

    @property
    def floor(self) -> float:
        """The least factor that the interval leaves: ``most`` where even its lower end is beyond the range."""
        return min(self.low, self.most)

    @property
    def ceiling(self) -> float:
        """The largest factor that the interval leaves: infinite where its upper end is beyond the range."""
        return max(self.high, self.least)

    @property
    def decides(self) -> bool:
        """Whether there are seeds enough for a verdict."""
        return self.pairs >= DECISIVE_PAIRS

    @property
    def known(self) -> float:
        """The factor, or the bound where there is only that."""
        return min(max(self.factor, self.least), self.most)

    @property
    def text(self) -> str:
        """``2.3x [1.8x, 2.9x]``, with ``>= 8x`` or ``<= 1x`` where only a bound is known."""
        if math.isnan(self.low):
            return f"{self._bounded(self.factor)} (one seed)"
        return f"{self._bounded(self.factor)} [{self._bounded(self.low)}, {self._bounded(self.high)}]"

    def _bounded(self, factor: float) -> str:
        if factor == math.inf:
            return f">= {self.most:.3g}x"
        if factor == 0:
            return f"<= {self.least:.3g}x"
        return f"{factor:.2f}x"


def reduction_factor(
    widths: np.ndarray,
    baseline: np.ndarray,
    width: float,
    treated: np.ndarray,
    generator: np.random.Generator,
    higher_is_better: bool = True,
    level: float = 0.95,
    resamples: int = 2000,
) -> Reduction:
    """The width at which the baseline is as good as an arm, over the arm's own width.

    The baseline's mean quality over the widths is made monotone by its running best, the quality that can be had at a
    width or a smaller one, and interpolated over log2 of the width. So an arm no better than the baseline at the arm's
    own width never has a factor above 1, also where wider tables are worse; isotonic regression, which averages such
    widths, would give it one. A quality outside the range gives a bound, never an extrapolation. The interval is a
    percentile bootstrap over seeds, the same ones drawn for both arms, widened for few seeds as in
    ``statistics.paired_bootstrap``.

    Args:
        widths: (W,) increasing, W >= 2: embedding widths, or bytes of tables.
        baseline: (W, S) quality a width and seed.
        width: the arm's width, in the unit of ``widths``.
        treated: (S,) the arm's quality, the same seeds in the same order.
        higher_is_better: True for AUC, False for LogLoss.

    Raises:
        BenchError: shapes that do not fit, or values that are not finite.

    Example::

        reduction_factor([4, 8, 16], auc_single, 4, auc_mlet, rng).text  # '2.31x [1.80x, >= 4x]'
    """
    widths, baseline = np.asarray(widths, float), np.asarray(baseline, float)
    treated = np.asarray(treated, float)
    seeds = len(treated)
    if widths.ndim != 1 or len(widths) < 2 or baseline.shape != (len(widths), seeds) or not seeds:
        raise BenchError(
            f"widths {widths.shape}, baseline {baseline.shape}, arm {treated.shape}: need (W,), (W, S), (S,)"
        )
    if not (np.diff(widths) > 0).all() or not np.isfinite(baseline).all() or not np.isfinite(treated).all():
        raise BenchError("widths must increase, and qualities must be finite: a diverged run must count as failed")
    sign = 1.0 if higher_is_better else -1.0

    def factor(drawn: np.ndarray) -> float:
        quality = np.maximum.accumulate(sign * baseline[:, drawn].mean(axis=1))
        return _equal_width(widths, quality, sign * treated[drawn].mean()) / width

    point, bounds = factor(np.arange(seeds)), (widths[0] / width, widths[-1] / width)
    if seeds == 1:
        return Reduction(point, math.nan, math.nan, *bounds, seeds)
    # Five seeds have 126 different resamples, not 2000: each is computed once.
    resampled = np.sort(generator.integers(seeds, size=(resamples, seeds)), axis=1)
    distinct, repeats = np.unique(resampled, axis=0, return_counts=True)
    factors = np.sort(np.repeat([factor(drawn) for drawn in distinct], repeats))
    tail = expanded_tail(seeds, level)
    # Order statistics, not interpolated quantiles: 0 and infinity are bounds, and half of one is none.
    last = resamples - 1
    low, high = factors[math.floor(tail * last)], factors[math.ceil((1 - tail) * last)]
    return Reduction(point, float(low), float(high), *bounds, seeds)


def _equal_width(widths: np.ndarray, quality: np.ndarray, target: float) -> float:
    """The least width whose quality reaches the target: 0 below the range, infinity above it."""
    if target < quality[0]:
        return 0.0
    if target > quality[-1]:
        return math.inf
    above = int(np.searchsorted(quality, target, side="left"))
    if above == 0:
        return float(widths[0])
    share = (target - quality[above - 1]) / (quality[above] - quality[above - 1])
    low, high = np.log2(widths[above - 1]), np.log2(widths[above])
    return float(2 ** (low + share * (high - low)))
