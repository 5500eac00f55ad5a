"""Intervals against values worked out by hand, against scipy, and against the coverage that they promise."""

import math

import numpy as np
import pytest

from mlet_bench.errors import BenchError
from mlet_bench.statistics.intervals import (
    Interval,
    equivalent,
    mean_interval,
    paired_bootstrap,
    read_auc_difference,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_mean_interval_by_hand():
    # mean 2, sample std 1, t of 2 degrees of freedom at .975 is 4.302653: half width 4.302653 / sqrt(3)
    interval = mean_interval(np.array([1.0, 2.0, 3.0]))
    assert interval.mean == 2.0 and interval.count == 3
    assert interval.high - 2 == pytest.approx(2.484138, abs=1e-6)
    assert 2 - interval.low == pytest.approx(2.484138, abs=1e-6)


@pytest.mark.parametrize("make", [mean_interval, lambda x: paired_bootstrap(x, np.zeros(1), rng())])
def test_one_seed_has_a_mean_and_no_interval(make):
    interval = make(np.array([0.75]))
    assert interval.mean == 0.75
    assert math.isnan(interval.low) and math.isnan(interval.high) and not interval.known


def test_bootstrap_of_constant_differences_is_that_constant():
    baseline = np.array([0.1, 0.4, 0.2, 0.9])
    interval = paired_bootstrap(baseline + 0.25, baseline, rng())
    # Unpaired, the spread of the baseline would show.
    assert (interval.mean, interval.low, interval.high) == pytest.approx((0.25, 0.25, 0.25))


def test_plain_bootstrap_by_hand():
    # Two differences 0 and 1: a resample's mean is 0, .5 or 1 with probabilities 1/4, 1/2, 1/4.
    ends = np.array([0.0, 1.0]), np.zeros(2)
    wide = paired_bootstrap(*ends, rng(), level=0.9, expanded=False)
    narrow = paired_bootstrap(*ends, rng(), level=0.4, expanded=False)
    assert (wide.low, wide.mean, wide.high) == (0.0, 0.5, 1.0)
    assert (narrow.low, narrow.mean, narrow.high) == (0.5, 0.5, 0.5)


def test_plain_bootstrap_agrees_with_scipy():
    stats = pytest.importorskip("scipy.stats", reason="scipy comes with scikit-learn")
    treated, baseline = rng(1).normal(0.3, 1, 12), rng(2).normal(size=12)
    ours = paired_bootstrap(treated, baseline, rng(3), resamples=20_000, expanded=False)
    theirs = stats.bootstrap(
        (treated - baseline,), np.mean, n_resamples=20_000, method="percentile", rng=rng(4)
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.high, abs=0.02)


def test_the_expanded_interval_covers_what_five_seeds_allow():
    draws, generator = rng(5).normal(size=(1500, 5)), rng(6)
    covered = {True: 0, False: 0}
    for values in draws:
        for expanded in covered:
            interval = paired_bootstrap(values, np.zeros(5), generator, resamples=1500, expanded=expanded)
            covered[expanded] += interval.low <= 0 <= interval.high
    assert covered[True] / 1500 > 0.89
    assert covered[False] / 1500 < 0.86


def test_equal_generators_give_equal_intervals_and_others_do_not():
    treated, baseline = rng(1).normal(size=9), rng(2).normal(size=9)
    first, again, other = (paired_bootstrap(treated, baseline, rng(seed), resamples=200) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]], [1.0, math.nan], [math.inf]])
def test_values_that_are_no_column_of_numbers_are_refused(values):
    with pytest.raises(BenchError, match=r"one value a seed|finite"):
        mean_interval(np.array(values))


def test_unpaired_lengths_are_refused():
    with pytest.raises(BenchError, match=r"\(3,\) and \(1,\)"):
        paired_bootstrap(np.zeros(3), np.zeros(1), rng())


@pytest.mark.parametrize(
    ("mean", "low", "high", "count", "reading"),
    [
        (0.0020, 0.0001, 0.0040, 5, "higher"),
        (0.0020, -0.0001, 0.0040, 5, "undecided"),
        (0.0009, 0.0008, 0.0010, 5, "undecided"),
        (-0.0020, -0.0040, -0.0001, 5, "lower"),
        (0.0001, -0.0005, 0.0005, 5, "equal"),
        (0.0001, -0.0006, 0.0005, 5, "undecided"),
        (0.0020, 0.0019, 0.0021, 4, "undecided"),
        (0.0020, math.nan, math.nan, 1, "undecided"),
    ],
)
def test_reading_of_an_auc_difference(mean, low, high, count, reading):
    assert read_auc_difference(Interval(mean, low, high, count)) == reading


@pytest.mark.parametrize(
    ("low", "high", "count", "margin", "equal"),
    [
        (-0.0004, 0.0004, 5, 0.0005, True),
        (-0.0004, 0.0004, 5, 0.0003, False),
        (-0.0006, 0.0004, 5, 0.0005, False),
        (-0.0004, 0.0006, 5, 0.0005, False),
        (0.0001, 0.0004, 5, 0.0005, True),  # different from 0, and too little to matter
        (-0.0004, 0.0004, 4, 0.0005, False),
        (math.nan, math.nan, 1, 0.0005, False),
    ],
)
def test_equivalence_is_an_interval_within_the_margin(low, high, count, margin, equal):
    assert equivalent(Interval(0.0, low, high, count), margin) is equal


def test_equivalence_is_rarely_claimed_where_the_difference_is_the_margin():
    """Two one-sided tests: at a true difference of exactly the margin, the error is the level of one tail at most."""
    draws, generator = rng(7).normal(0.5, 0.15, size=(800, 8)), rng(8)
    claimed = sum(equivalent(paired_bootstrap(x, np.zeros(8), generator, resamples=800), 0.5) for x in draws)
    assert claimed / 800 < 0.06


def test_no_margin_is_refused():
    with pytest.raises(BenchError, match=r"margin is 0"):
        equivalent(Interval(0.0, 0.0, 0.0, 5), 0)
