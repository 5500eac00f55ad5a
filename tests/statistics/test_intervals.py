"""Intervals against values worked out by hand, against scipy, and against the coverage that they promise."""

import math

import numpy as np
import pytest

from mlet_bench.errors import BenchError
from mlet_bench.statistics.intervals import Interval, equivalent, mean_interval, paired_interval, read_auc_difference

T4 = 2.7764451  # Student's t of 4 degrees of freedom at .975


def rng(seed=0):
    return np.random.default_rng(seed)


def about(mean, half, count=5):
    """An interval of that half width."""
    return Interval(mean, half / T4, count) if count == 5 else Interval(mean, half, count)


def test_mean_interval_by_hand():
    # mean 3, sample std sqrt(2.5), standard error sqrt(.5); t of 4 degrees of freedom
    interval = mean_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert interval.mean == 3.0 and interval.count == 5 and (interval.least, interval.most) == (1.0, 5.0)
    assert interval.error == pytest.approx(0.5**0.5)
    assert (3 - interval.low, interval.high - 3) == pytest.approx(2 * (T4 * 0.5**0.5,))


def test_rows_add_to_seeds_as_squares():
    """sqrt(t² + z²): half widths 3 over seeds and 4 over rows are 5 together."""
    assert Interval(0.0, 3 / T4, 5, rows=4 / 1.959964).high == pytest.approx(5.0)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_few_seeds_have_a_mean_and_a_range_and_no_interval(count):
    interval = mean_interval(np.arange(count) / 8)
    assert interval.mean == np.mean(np.arange(count) / 8) and (interval.least, interval.most) == (0, (count - 1) / 8)
    assert math.isnan(interval.low) and math.isnan(interval.high) and not interval.known
    assert math.isnan(interval.detectable) and interval.p_above(-9) == interval.p_below(9) == 1.0


def test_differences_are_paired():
    baseline = np.array([0.1, 0.4, 0.2, 0.9, 0.3])
    interval = paired_interval(baseline + 0.25, baseline)
    # Unpaired, the spread of the baseline would show.
    assert interval.numbers == pytest.approx((0.25, 0.25, 0.25))


@pytest.mark.parametrize("rows", [0.0, 0.3])
@pytest.mark.parametrize("bound", [-1.0, 0.2])
def test_p_is_what_the_interval_misses_that_ends_at_the_bound(rows, bound):
    stats = pytest.importorskip("scipy.stats", reason="scipy comes with scikit-learn")
    values = rng(1).normal(0.6, 1, 7)
    interval = mean_interval(values, rows)
    p = interval.p_above(bound)
    assert interval.mean - interval.half(p) == pytest.approx(bound)
    if not rows:
        assert p == pytest.approx(stats.ttest_1samp(values, bound).pvalue)
    mirrored = mean_interval(-values, rows)
    assert mirrored.p_below(-bound) == pytest.approx(p) and mirrored.p_above(-bound) == 1.0


def test_p_and_interval_say_the_same():
    for seed in range(50):
        interval = mean_interval(rng(seed).normal(0.8, 1, 6), rows=0.1)
        assert (interval.p_above(0) <= 0.05) == (interval.low > 0)
        assert (interval.p_below(0) <= 0.05) == (interval.high < 0)


def test_without_spread_a_difference_is_as_sure_as_can_be():
    assert mean_interval(np.full(5, 0.1)).p_above(0.0) < 1e-9 and mean_interval(np.zeros(5)).p_above(0.0) == 1.0


def test_the_detectable_difference_is_shown_in_four_of_five_repetitions():
    """With a standard error of 1 that is known: of 8 seeds of standard deviation sqrt(8)."""
    draws = rng(3).normal(0.0, 8**0.5, size=(4000, 8))
    detectable = Interval(0.0, 1.0, 8).detectable
    shown = [mean_interval(draw + detectable).low > 0 for draw in draws]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("values", [[], 1.0, [[1.0, 2.0]], [1.0, math.nan], [math.inf]])
def test_values_that_are_no_column_of_numbers_are_refused(values):
    with pytest.raises(BenchError, match=r"one value a seed|finite"):
        mean_interval(np.array(values))


@pytest.mark.parametrize(("treated", "baseline"), [(3, 1), (1, 3)])
def test_unpaired_lengths_are_refused(treated, baseline):
    with pytest.raises(BenchError, match=rf"\({treated},\) and \({baseline},\)"):
        paired_interval(np.zeros(treated), np.zeros(baseline))


@pytest.mark.parametrize(
    ("mean", "half", "count", "reading"),
    [
        (0.0020, 0.0019, 5, "higher"),
        (0.0010, 0.0002, 5, "higher"),  # just material
        (0.0020, 0.0021, 5, "undecided"),
        (0.0009, 0.0002, 5, "undecided"),  # above 0, and on which side of what matters is open
        (-0.0009, 0.0002, 5, "undecided"),
        (0.0008, 0.0001, 5, "small but not zero"),
        (-0.0004, 0.0003, 5, "small but not zero"),
        (-0.0020, 0.0019, 5, "lower"),
        (0.0001, 0.0004, 5, "equal"),
        (0.0, 0.0, 5, "equal"),  # the same runs twice
        (0.0001, 0.0006, 5, "undecided"),
        (0.0020, 0.0001, 4, "undecided"),
        (0.0020, math.nan, 1, "undecided"),
    ],
)
def test_reading_of_an_auc_difference(mean, half, count, reading):
    assert read_auc_difference(about(mean, half, count)) == reading


@pytest.mark.parametrize(
    ("mean", "error", "count", "equal"),
    [
        (0.0, 0.0002, 5, True),  # .0005 / .0002 = 2.5 is above 2.132, Student's t of 4 degrees of freedom at .95
        (0.0, 0.00024, 5, False),  # and 2.08 is below it
        (0.0002, 0.00014, 5, True),
        (0.0002, 0.00015, 5, False),
        (-0.0002, 0.00015, 5, False),
        (0.0, 0.0, 4, False),
        (0.0, math.nan, 1, False),
    ],
)
def test_equivalence_is_two_one_sided_tests(mean, error, count, equal):
    assert equivalent(Interval(mean, error, count), 0.0005) is equal


def test_equivalence_is_claimed_as_often_as_its_level_where_the_difference_is_the_margin():
    claimed = [equivalent(mean_interval(draw), 0.5) for draw in rng(7).normal(0.5, 0.15, size=(3000, 8))]
    assert np.mean(claimed) == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("margin", [0, -0.1])
def test_no_margin_is_refused(margin):
    with pytest.raises(BenchError, match=f"margin is {margin}"):
        equivalent(Interval(0.0, 0.0, 5), margin)
