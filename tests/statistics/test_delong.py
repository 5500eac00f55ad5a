"""DeLong's interval by hand, against all pairs, against a bootstrap over rows, and its coverage."""

import math

import numpy as np
import pytest

from mlet_bench.errors import BenchError
from mlet_bench.evaluation.metrics import auc
from mlet_bench.statistics.delong import delong_difference, delong_interval, delong_mean_difference, deviations

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


def test_by_hand():
    """Clicks .8, .4; others .6, .4, .2. Wins: 1 1 1 and 0 ½ 1, so AUC = 4.5/6.

    V10 = 1, ½: variance 1/8. V01 = ½, ¾, 1: variance 1/16. In all 1/8/2 + 1/16/3 = 1/12.
    """
    found = delong_interval(np.array([1, 1, 0, 0, 0]), np.array([0.8, 0.4, 0.6, 0.4, 0.2]))
    assert found.mean == pytest.approx(0.75) and found.count == 5
    assert found.high - found.mean == pytest.approx(Z * math.sqrt(1 / 12), rel=1e-12)
    assert found.mean - found.low == pytest.approx(Z * math.sqrt(1 / 12), rel=1e-12)


@pytest.mark.parametrize("decimals", [None, 1])
def test_one_model_agrees_with_all_pairs(decimals):
    label, score, _ = clicks(157, 1, decimals)
    area, v10, v01 = all_pairs(label, score)
    found = delong_interval(label, score)
    assert found.mean == pytest.approx(area, rel=1e-13) == auc(label, score)
    width = Z * math.sqrt(np.var(v10, ddof=1) / len(v10) + np.var(v01, ddof=1) / len(v01))
    assert found.high - found.mean == pytest.approx(width, rel=1e-11)


@pytest.mark.parametrize("decimals", [None, 1])
def test_a_difference_agrees_with_all_pairs(decimals):
    """Var(A) + Var(B) - 2 Cov(A, B), each from its own sums."""
    label, one, two = clicks(143, 2, decimals)
    (area, a10, a01), (other, b10, b01) = all_pairs(label, one), all_pairs(label, two)
    s10, s01 = np.cov(a10, b10), np.cov(a01, b01)
    covariance = s10 / len(a10) + s01 / len(a01)
    width = Z * math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    found = delong_difference(label, one, two)
    assert found.mean == pytest.approx(area - other, rel=1e-11)
    assert found.high - found.mean == pytest.approx(width, rel=1e-10)


def test_agrees_with_a_bootstrap_over_rows():
    label, one, two = clicks(1500, 3)
    noise = rng(4)
    drawn = noise.integers(len(label), size=(600, len(label)))
    areas = np.array([(auc(label[rows], one[rows]), auc(label[rows], two[rows])) for rows in drawn])
    single, paired = delong_interval(label, one), delong_difference(label, one, two)
    # 600 resamples give a standard deviation to 3%.
    assert (single.high - single.low) / (2 * Z) == pytest.approx(areas[:, 0].std(ddof=1), rel=0.1)
    assert (paired.high - paired.low) / (2 * Z) == pytest.approx((areas[:, 0] - areas[:, 1]).std(ddof=1), rel=0.1)


def test_it_covers_the_true_auc_as_often_as_it_says():
    """Scores N(0, 1), of clicks N(1, 1): the AUC is Φ(1/√2)."""
    true, noise, covered = 0.5 * (1 + math.erf(0.5)), rng(5), 0
    for _ in range(600):
        label = np.repeat([1.0, 0.0], [60, 140])
        found = delong_interval(label, 1 / (1 + np.exp(-(noise.normal(size=200) + label))))
        covered += found.low <= true <= found.high
    assert 0.92 < covered / 600 < 0.97


def test_the_same_model_twice_differs_by_nothing():
    label, score, _ = clicks(50, 6)
    found = delong_difference(label, score, score)
    assert (found.mean, found.low, found.high) == (0, 0, 0)


def test_what_has_no_variance_is_refused():
    with pytest.raises(BenchError, match="1 clicks and 2 other rows"):
        delong_interval(np.array([1, 0, 0]), np.array([0.5, 0.2, 0.3]))
    with pytest.raises(BenchError, match="both classes"):
        delong_interval(np.zeros(3), np.zeros(3))


def test_the_mean_of_equal_pairs_is_no_surer_than_one():
    """Five models of equal predictions are one: the rows that were drawn are the same for all."""
    label, ours, theirs = clicks(500, 0)
    one, five = delong_difference(label, ours, theirs), delong_mean_difference(label, [(ours, theirs)] * 5)
    assert five == pytest.approx(one, rel=1e-12)


def test_the_mean_of_two_pairs_against_all_pairs_of_rows():
    """Components of the mean are means of components, each from the m×n comparisons."""
    label, ours, theirs = clicks(300, 1, decimals=2)
    other, base = ours[::-1].copy(), 0.5 * (ours + theirs)
    found = delong_mean_difference(label, [(ours, theirs), (other, base)])
    parts = [all_pairs(label, score) for score in (ours, theirs, other, base)]
    mean, clicked, unclicked = ((a - b + c - d) / 2 for a, b, c, d in zip(*parts))
    half = Z * math.sqrt(clicked.var(ddof=1) / len(clicked) + unclicked.var(ddof=1) / len(unclicked))
    assert (found.mean, found.low, found.high) == pytest.approx((mean, mean - half, mean + half))


def test_no_pair_is_refused():
    with pytest.raises(BenchError, match="no pair"):
        delong_mean_difference(np.array([0, 1]), [])


@pytest.mark.parametrize("rows", [150, 2000])
def test_the_norm_of_the_deviations_is_delongs_error(rows):
    """Exactly with no more clicks and other rows than blocks, else within a few of their hundredths."""
    label, one, two = clicks(rows, 5)
    whole, tolerance = (delong_interval(label, one), 1e-9) if rows == 150 else (delong_interval(label, one), 0.12)
    error = (whole.high - whole.mean) / Z
    assert np.linalg.norm(deviations(label, one)) == pytest.approx(error, rel=tolerance)
    pair = delong_difference(label, one, two)
    of_pair = np.linalg.norm(deviations(label, one) - deviations(label, two))
    assert of_pair == pytest.approx((pair.high - pair.mean) / Z, rel=tolerance)


def test_the_norm_of_the_deviations_of_many_rows_is_delongs_error_on_the_mean():
    ratios = []
    for seed in range(40):
        label, one, _ = clicks(1500, seed)
        whole = delong_interval(label, one)
        ratios.append(np.linalg.norm(deviations(label, one, blocks=64)) * Z / (whole.high - whole.mean))
    assert np.mean(ratios) == pytest.approx(1, abs=0.03) and np.std(ratios) < 0.12  # 1 / sqrt(2 64) = .09
