"""Reduction factor at equal quality (claim C1): how much wider a single layer must be to match an arm."""

import math
from dataclasses import dataclass

import numpy as np

from mlet_bench.errors import BenchError
from mlet_bench.statistics.intervals import DECISIVE_PAIRS, LEVEL, t_quantile, z_quantile

STEPS = 32  # points between two measured widths at which the arm is tested against the baseline


@dataclass(frozen=True)
class Reduction:
    """A factor d*/d, with the ends of its interval.

    Attributes:
        factor, low, high: the factor and its interval; infinite where the baseline never reaches the quality, 0 where
            its narrowest width exceeds it; low and high are NaN below ``DECISIVE_PAIRS``.
        least, most: the factors at the ends of the measured widths: beyond them there are bounds, no numbers.
        pairs: seeds.
        span: the smallest and the largest factor of a seed by itself.

    Rules read ``floor`` and ``ceiling``, where a bound stands for what it is known to be.
    """

    factor: float
    low: float
    high: float
    least: float
    most: float
    pairs: int
    span: tuple[float, float] = (math.nan, math.nan)

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
        """``2.3x [1.8x, 2.9x]``, with ``>= 8x`` or ``<= 1x`` where only a bound is known, or ``not measurable``."""
        if self.factor == math.inf and self.most <= 1:
            return "not measurable: no wider baseline"
        said = self._bounded(self.factor)
        if self.decides:
            return f"{said} [{self._bounded(self.low)}, {self._bounded(self.high)}]"
        if self.pairs == 1:
            return f"{said} (one seed)"
        return f"{said} (range of {self.pairs} seeds: {self._bounded(self.span[0])} to {self._bounded(self.span[1])})"

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
    higher_is_better: bool = True,
    rows: np.ndarray | None = None,
    p: float = LEVEL,
) -> Reduction:
    """The width at which the baseline is as good as an arm, over the arm's own width.

    Between two measured widths each seed's baseline is interpolated over log2 of the width. The factor is at the least
    width where the arm's mean is no longer ahead, so an arm no better than the baseline at its own width never has a
    factor above 1, also where wider tables are worse. The interval is an inverted paired t test: its ends are the least
    width at which the arm is not shown to be ahead, and the least at which the baseline is. A quality outside the range
    gives a bound, never an extrapolation.

    Args:
        widths: (W,) increasing, W >= 2: embedding widths, or bytes of tables.
        baseline: (W, S) quality a width and seed.
        width: the arm's width, in the unit of ``widths``.
        treated: (S,) the arm's quality, the same seeds in the same order.
        higher_is_better: True for AUC, False for LogLoss.
        rows: (W + 1, G) what the test rows add, the baseline's widths, then the arm, means over seeds
            (``statistics.delong.deviations``).
        p: what the interval misses.

    Raises:
        BenchError: shapes that do not fit, or values that are not finite.

    Example::

        reduction_factor([4, 8, 16], auc_single, 4, auc_mlet).text  # '2.31x [1.80x, >= 4x]'
    """
    widths, baseline, treated = (np.asarray(values, float) for values in (widths, baseline, treated))
    seeds = len(treated)
    if widths.ndim != 1 or len(widths) < 2 or baseline.shape != (len(widths), seeds) or not seeds:
        raise BenchError(
            f"widths {widths.shape}, baseline {baseline.shape}, arm {treated.shape}: need (W,), (W, S), (S,)"
        )
    if not (np.diff(widths) > 0).all() or not np.isfinite(baseline).all() or not np.isfinite(treated).all():
        raise BenchError("widths must increase, and qualities must be finite: a diverged run must count as failed")
    sign = 1.0 if higher_is_better else -1.0
    ahead = sign * (treated - between(baseline))  # (P, S)
    error = 0.0 if rows is None else np.linalg.norm(rows[-1] - between(rows[:-1]), axis=-1)  # (P,)
    factor, low, high = equal_widths(widths, ahead, error, p) / width
    alone = [equal_widths(widths, ahead[:, [seed]], 0.0, p)[0] / width for seed in range(seeds)]
    bounds = widths[0] / width, widths[-1] / width
    return Reduction(*map(float, (factor, low, high, *bounds)), pairs=seeds, span=(min(alone), max(alone)))


def between(values: np.ndarray) -> np.ndarray:
    """Values at W widths, and linearly at ``STEPS`` points a gap: (..., W, S) → (..., P, S), P = (W - 1) STEPS + 1."""
    at = np.arange((values.shape[-2] - 1) * STEPS + 1) / STEPS
    left = np.minimum(at.astype(int), values.shape[-2] - 2)
    share = (at - left)[:, None]
    return (1 - share) * values[..., left, :] + share * values[..., left + 1, :]


def equal_widths(widths: np.ndarray, ahead: np.ndarray, rows: np.ndarray | float, p: float) -> np.ndarray:
    """Width of equal quality and the ends of its interval, which are NaN below ``DECISIVE_PAIRS``.

    Args:
        widths: (W,).
        ahead: (..., P, S) by how much the arm is better than the baseline at each of ``between``'s points.
        rows: (..., P) standard error of its mean over test rows.

    Returns:
        (..., 3).
    """
    seeds, mean = ahead.shape[-1], ahead.mean(-1)
    point = _crossing(widths, mean)
    if seeds < DECISIVE_PAIRS:
        return np.stack([point, *2 * [np.full_like(point, np.nan)]], -1)
    error = ahead.std(-1, ddof=1) / math.sqrt(seeds)
    half = np.hypot(t_quantile(p, seeds) * error, z_quantile(p) * np.asarray(rows))
    return np.stack([point, _crossing(widths, mean - half), _crossing(widths, mean + half)], -1)


def _crossing(widths: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """The least width where (..., P) values come down to 0: 0 where they start below it, infinity if never."""
    first = (ahead <= 0).argmax(-1)[..., None]
    right = np.take_along_axis(ahead, first, -1)[..., 0]
    left = np.take_along_axis(ahead, np.maximum(first - 1, 0), -1)[..., 0]
    first = first[..., 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        at = np.where(first == 0, 0.0, first - 1 + left / (left - right))
    width = 2 ** np.interp(at / STEPS, np.arange(len(widths)), np.log2(widths))
    return np.where(right > 0, np.inf, np.where((first == 0) & (right < 0), 0.0, width))
