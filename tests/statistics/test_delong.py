"""DeLong's standard error by hand, against all pairs, against a bootstrap over rows, and its intervals' coverage."""

import math

import numpy as np
import pytest

from mlet_bench.errors import BenchError
from mlet_bench.evaluation.metrics import auc
from mlet_bench.statistics.delong import deviations

Z = 1.959963984540054


def rng(seed=0):
    return np.random.default_rng(seed)


def clicks(rows, seed, decimals=None):
    """Labels and two correlated scores; rounding to ``decimals`` makes ties."""
    noise = rng(seed)
    label = (noise.random(rows) < 0.3).astype(float)
    shared = noise.normal(size=rows) + label
    scores = [1 / (1 + np.exp(-(shared + scale * noise.normal(size=rows)))) for scale in (0.3, 0.8)]
    return label, *(score if decimals is None else score.round(decimals) for score in scores)


def all_pairs(label, score):
    """AUC and both kinds of components from the m×n comparisons."""
    above, below = score[label == 1][:, None], score[label == 0][None, :]
    won = (above > below) + 0.5 * (above == below)
    return won.mean(), won.mean(axis=1), won.mean(axis=0)


def error(label, score, other=None, blocks=10_000):
    """DeLong's standard error of an AUC, or of a difference of two: exact where there are blocks for all rows."""
    found = deviations(label, score, blocks)
    return np.linalg.norm(found if other is None else found - deviations(label, other, blocks))


def test_by_hand():
    """Clicks .8, .4; others .6, .4, .2. Wins: 1 1 1 and 0 ½ 1.

    V10 = 1, ½: variance 1/8. V01 = ½, ¾, 1: variance 1/16. In all 1/8/2 + 1/16/3 = 1/12.
    """
    label, score = np.array([1, 1, 0, 0, 0]), np.array([0.8, 0.4, 0.6, 0.4, 0.2])
    assert error(label, score) == pytest.approx(math.sqrt(1 / 12), rel=1e-12)
    assert error(label, 1 - score) == pytest.approx(math.sqrt(1 / 12), rel=1e-12)  # of the worst model as of the best


@pytest.mark.parametrize("decimals", [None, 1])
def test_one_model_agrees_with_all_pairs(decimals):
    label, score, _ = clicks(157, 1, decimals)
    area, v10, v01 = all_pairs(label, score)
    assert area == pytest.approx(auc(label, score), rel=1e-13)
    variance = np.var(v10, ddof=1) / len(v10) + np.var(v01, ddof=1) / len(v01)
    assert error(label, score) == pytest.approx(math.sqrt(variance), rel=1e-11)


@pytest.mark.parametrize("decimals", [None, 1])
def test_a_difference_agrees_with_all_pairs(decimals):
    """Var(A) + Var(B) - 2 Cov(A, B), each from its own sums."""
    label, one, two = clicks(143, 2, decimals)
    (_, a10, a01), (_, b10, b01) = all_pairs(label, one), all_pairs(label, two)
    covariance = np.cov(a10, b10) / len(a10) + np.cov(a01, b01) / len(a01)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert error(label, one, two) == pytest.approx(math.sqrt(variance), rel=1e-10)


def test_agrees_with_a_bootstrap_over_rows():
    label, one, two = clicks(1500, 3)
    noise = rng(4)
    drawn = noise.integers(len(label), size=(600, len(label)))
    areas = np.array([(auc(label[rows], one[rows]), auc(label[rows], two[rows])) for rows in drawn])
    # 600 resamples give a standard deviation to 3%.
    assert error(label, one) == pytest.approx(areas[:, 0].std(ddof=1), rel=0.1)
    assert error(label, one, two) == pytest.approx((areas[:, 0] - areas[:, 1]).std(ddof=1), rel=0.1)


def test_it_covers_the_true_auc_as_often_as_it_says():
    """Scores N(0, 1), of clicks N(1, 1): the AUC is Φ(1/√2)."""
    true, noise, covered = 0.5 * (1 + math.erf(0.5)), rng(5), 0
    label = np.repeat([1.0, 0.0], [60, 140])
    for _ in range(600):
        score = 1 / (1 + np.exp(-(noise.normal(size=200) + label)))
        covered += abs(auc(label, score) - true) <= Z * error(label, score)
    assert 0.92 < covered / 600 < 0.97


def test_the_same_model_twice_differs_by_nothing():
    label, score, _ = clicks(50, 6)
    assert error(label, score, score) == 0


def test_what_has_no_variance_is_refused():
    with pytest.raises(BenchError, match="1 clicks and 2 other rows"):
        deviations(np.array([1, 0, 0]), np.array([0.5, 0.2, 0.3]))
    with pytest.raises(BenchError, match="both classes"):
        deviations(np.zeros(3), np.zeros(3))


def test_few_blocks_say_nearly_the_same():
    """Exactly the same with no more clicks and other rows than blocks, else within a few hundredths."""
    label, one, two = clicks(150, 5)
    assert error(label, one, two, blocks=256) == pytest.approx(error(label, one, two), rel=1e-9)
    label, one, two = clicks(2000, 5)
    assert error(label, one, two, blocks=256) == pytest.approx(error(label, one, two), rel=0.12)


def test_few_blocks_say_the_same_on_the_mean():
    ratios = []
    for seed in range(40):
        label, one, _ = clicks(1500, seed)
        ratios.append(error(label, one, blocks=64) / error(label, one))
    assert np.mean(ratios) == pytest.approx(1, abs=0.03) and np.std(ratios) < 0.12  # 1 / sqrt(2 64) = .09
