"""Reduction factor: by hand, planted, bounds at both ends, one seed."""

import math

import numpy as np
import pytest

from mlet_bench.errors import BenchError
from mlet_bench.statistics.reduction import between, equal_widths, reduction_factor

WIDTHS = np.array([4, 8, 16, 32])


def rng(seed=0):
    return np.random.default_rng(seed)


def flat(quality, seeds=1):
    """The same quality for every seed."""
    return np.repeat(np.asarray(quality, float)[:, None], seeds, axis=1)


def test_a_factor_by_hand():
    """Quality .74 at d=8 and .76 at d=16: .755 lies three quarters of an octave above 8, at 8·2^.75 = 13.45."""
    found = reduction_factor(WIDTHS, flat([0.70, 0.74, 0.76, 0.77]), 4, np.array([0.755]))
    assert found.factor == pytest.approx(8 * 2**0.75 / 4, rel=1e-12)
    assert math.isnan(found.low) and math.isnan(found.high)
    assert found.text == "3.36x (one seed)"
    near = reduction_factor(WIDTHS, flat([0.70, 0.74, 0.76, 0.77]), 4, np.array([0.7005]))
    assert near.factor == pytest.approx(2 ** (0.0005 / 0.04), rel=1e-9)


def test_few_seeds_have_a_range():
    """.74 and .76 are what d = 8 and 16 reach; their mean .75 lies between them."""
    found = reduction_factor(WIDTHS, flat([0.70, 0.74, 0.76, 0.77], 2), 4, np.array([0.74, 0.76]))
    assert found.text == "2.83x (range of 2 seeds: 2.00x to 4.00x)"


def test_an_arm_of_the_widest_width_has_no_factor():
    found = reduction_factor(WIDTHS, flat([0.70, 0.74, 0.76, 0.77], 5), 32, np.full(5, 0.78))
    assert found.text == "not measurable: no wider baseline"
    wider = reduction_factor(WIDTHS, flat([0.70, 0.74, 0.76, 0.77], 5), 64, np.full(5, 0.78))
    assert wider.text == "not measurable: no wider baseline"
    half = reduction_factor(WIDTHS, flat([0.70, 0.74, 0.76, 0.77], 5), 16, np.full(5, 0.78))
    assert half.text == ">= 2x [>= 2x, >= 2x]"
    worse = reduction_factor(WIDTHS, flat([0.70, 0.74, 0.76, 0.77], 5), 32, np.full(5, 0.75))
    assert worse.text == "0.35x [0.35x, 0.35x]"  # 8·sqrt(2) / 32


def test_logloss_is_better_when_lower():
    found = reduction_factor(WIDTHS, flat([0.50, 0.46, 0.45, 0.44]), 4, np.array([0.455]), False)
    assert found.factor == pytest.approx(2**3.5 / 4, rel=1e-9)


@pytest.mark.parametrize("seeds", [3, 5])
def test_many_arms_at_once_are_each_by_itself(seeds):
    """(..., P, S): two by three arms and standard errors over rows, as simulations have them by the thousand."""
    ahead = rng(2).normal(0.01, 0.005, (2, 3, 1, seeds)) - between(0.01 * np.arange(4)[:, None])
    rows = rng(3).uniform(0, 0.002, (2, 3, 97))
    found = equal_widths(WIDTHS, ahead, rows, 0.05)
    assert found.shape == (2, 3, 3)
    for at in np.ndindex(2, 3):
        np.testing.assert_array_equal(found[at], equal_widths(WIDTHS, ahead[at], rows[at], 0.05))


def test_table_bytes_give_the_same_factor_as_widths():
    quality, arm = flat([0.70, 0.74, 0.76, 0.77]), np.array([0.75])
    assert reduction_factor(WIDTHS * 4e6, quality, 4 * 4e6, arm).factor == pytest.approx(
        reduction_factor(WIDTHS, quality, 4, arm).factor
    )


@pytest.mark.parametrize(
    ("arm", "text"), [(0.80, ">= 8x (one seed)"), (0.7701, ">= 8x (one seed)"), (0.60, "<= 1x (one seed)")]
)
def test_outside_the_measured_range_there_is_a_bound(arm, text):
    assert reduction_factor(WIDTHS, flat([0.70, 0.74, 0.76, 0.77]), 4, np.array([arm])).text == text


def test_at_the_ends_of_the_range_the_factor_is_exact():
    quality = flat([0.70, 0.74, 0.76, 0.77])
    assert reduction_factor(WIDTHS, quality, 4, np.array([0.70])).factor == 1
    assert reduction_factor(WIDTHS, quality, 4, np.array([0.77])).factor == pytest.approx(8)


def test_a_dip_of_the_baseline_is_no_width_of_equal_quality():
    """.755 is met between 4 and 8, whatever 16 does; .765 five sixths of the way from 16 to 32."""
    dipped = flat([0.70, 0.76, 0.74, 0.77])
    inside, beyond = (reduction_factor(WIDTHS, dipped, 4, np.array([arm])) for arm in (0.755, 0.765))
    assert inside.factor == pytest.approx(2 ** (0.055 / 0.06), rel=1e-9)
    assert beyond.factor == pytest.approx(16 * 2 ** (5 / 6) / 4, rel=1e-9)


@pytest.mark.parametrize("quality", [[0.75, 0.74, 0.73, 0.72], [0.75, 0.70, 0.76, 0.71], [0.7, 0.7, 0.7, 0.7]])
@pytest.mark.parametrize("place", range(4))
def test_who_is_no_better_than_the_baseline_of_its_own_width_gains_no_width(quality, place):
    """Also where wider tables are worse, as on few rows: averaged widths would let a loss pass for a reduction."""
    baseline, width = flat(quality, 5), int(WIDTHS[place])
    for worse in (0.0, 0.002):
        found = reduction_factor(WIDTHS, baseline, width, np.full(5, quality[place] - worse))
        assert found.factor <= 1 and found.high <= 1


def test_the_interval_is_the_widths_that_a_t_test_does_not_reject():
    """Each end is a width at which the arm, against the interpolated baseline, is just shown to differ."""
    stats = pytest.importorskip("scipy.stats", reason="scipy comes with scikit-learn")
    noise = rng(4).normal(scale=1e-3, size=(5, 5))
    baseline = 0.7 + 0.01 * np.log2(WIDTHS)[:, None] + noise[:4]
    arm = 0.7 + 0.01 * np.log2(4 * 3) + noise[4]
    found = reduction_factor(WIDTHS, baseline, 4, arm)
    for end, sign in ((found.low, 1), (found.high, -1)):
        at = np.log2(4 * end) - 2
        left = int(at)
        against = (1 - (at - left)) * baseline[left] + (at - left) * baseline[left + 1]
        test = stats.ttest_rel(arm, against)
        assert test.pvalue == pytest.approx(0.05, abs=2e-3) and np.sign(test.statistic) == sign
    assert found.low < found.factor < found.high


def test_rows_widen_the_interval():
    quality, arm = flat([0.70, 0.74, 0.76, 0.77], 5), np.full(5, 0.75)
    assert reduction_factor(WIDTHS, quality, 4, arm).text == "2.83x [2.83x, 2.83x]"
    rows = np.array([[0, 0], [0, 0], [0, 0], [0, 0], [0.003, 0.004]])  # .005 of the arm's alone
    found = reduction_factor(WIDTHS, quality, 4, arm, rows=rows)
    assert found.low == pytest.approx(2 ** (1 + (0.01 - 1.96 * 0.005) / 0.02), rel=1e-3)
    assert found.high == pytest.approx(2 ** (1 + (0.01 + 1.96 * 0.005) / 0.02), rel=1e-3)


def test_rows_that_move_the_arm_and_the_baseline_alike_widen_nothing():
    """From d = 8 on; MLET is as good as a width between 8 and 16."""
    quality, rows = flat([0.70, 0.74, 0.76, 0.77], 5), np.outer([0, 1, 1, 1, 1], [0.003, 0.004])
    assert reduction_factor(WIDTHS, quality, 4, np.full(5, 0.75), rows=rows).text == "2.83x [2.83x, 2.83x]"


def test_two_widths_and_more_than_five_seeds_give_an_interval():
    found = reduction_factor(np.array([1, 2]), flat([0.70, 0.72], 6), 1, np.full(6, 0.71))
    assert found.text == "1.41x [1.41x, 1.41x]"  # half a doubling


def test_an_interval_that_leaves_the_range_ends_in_a_bound():
    arm = np.array([0.765, 0.775, 0.77, 0.78, 0.76])
    found = reduction_factor(WIDTHS, flat([0.70, 0.74, 0.76, 0.77], 5), 4, arm)
    assert found.high == math.inf and found.low < 8
    assert found.text.endswith(", >= 8x]")


@pytest.mark.parametrize(
    ("arm", "known", "floor", "ceiling"),
    [(0.80, 8, 8, math.inf), (0.60, 1, 0, 1), (0.75, *[8 * 2**0.5 / 4] * 3)],
)
def test_what_a_bound_leaves_open(arm, known, floor, ceiling):
    found = reduction_factor(WIDTHS, flat([0.70, 0.74, 0.76, 0.77], 5), 4, np.full(5, arm))
    assert (found.known, found.floor, found.ceiling) == pytest.approx((known, floor, ceiling))


def test_one_seed_leaves_everything_open():
    found = reduction_factor(WIDTHS, flat([0.70, 0.74, 0.76, 0.77]), 4, np.array([0.75]))
    assert math.isnan(found.floor) and math.isnan(found.ceiling)


@pytest.mark.parametrize(
    ("widths", "baseline", "arm"),
    [([4], flat([0.7]), [0.7]), ([4, 8], flat([0.7, 0.8], 2), [0.7]), ([8, 4], flat([0.7, 0.8]), [0.7]),
     ([4, 8], flat([0.7, np.nan]), [0.7]), ([4, 4], flat([0.7, 0.8]), [0.7]), ([[4], [8]], flat([0.7, 0.8]), [0.7]),
     (4, flat([0.7]), [0.7]),
     ([4, 8], flat([0.7, 0.8]), [0.7, 0.7])],
)  # fmt: skip
def test_what_gives_no_factor_is_refused(widths, baseline, arm):
    with pytest.raises(BenchError):
        reduction_factor(np.array(widths), baseline, 4, np.array(arm))
