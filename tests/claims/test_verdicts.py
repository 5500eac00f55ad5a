"""Each rule on intervals that must give each verdict; a row differs from its neighbours in one thing."""

import math

import pytest

from mlet_bench.claims.c1_reduction import judge_reduction
from mlet_bench.claims.c2_gain import judge_gain
from mlet_bench.claims.c3_deployed import LOGIT, judge_collapse
from mlet_bench.claims.c4_rank import judge_rank
from mlet_bench.claims.c5_overhead import judge_overhead
from mlet_bench.claims.c6_models import judge_models
from mlet_bench.claims.c7_rare import judge_rare
from mlet_bench.claims.verdicts import (
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    UNDECIDED,
    on_a_part,
    overall,
    rule_text,
    with_unfinished_rivals,
)
from mlet_bench.evaluation.deploy import logit_tolerance
from mlet_bench.statistics.intervals import Interval
from mlet_bench.statistics.reduction import Reduction


def factor(low, high, pairs=5, least=1.0, most=16.0):
    return Reduction((low + high) / 2, low, high, least, most, pairs)


def about(mean, half, count=5):
    return Interval(mean, mean - half, mean + half, count)


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        ([REPRODUCED, REPRODUCED], REPRODUCED),
        ([REPRODUCED, UNDECIDED], UNDECIDED),
        ([REPRODUCED, NOT_RUN], UNDECIDED),
        ([REPRODUCED, NOT_REPRODUCED], NOT_REPRODUCED),
        ([NOT_RUN, NOT_RUN], NOT_RUN),
        ([], NOT_RUN),
    ],
)
def test_several_data_sets(verdicts, verdict):
    assert overall(verdicts) == verdict


@pytest.mark.parametrize(
    ("low", "high", "pairs", "verdict"),
    [
        (4.0, 6.0, 5, REPRODUCED),
        (3.9, 6.0, 5, UNDECIDED),
        (2.0, 3.9, 5, NOT_REPRODUCED),
        (2.0, 4.0, 5, UNDECIDED),
        (4.0, 6.0, 4, UNDECIDED),
        (2.0, 3.0, 4, UNDECIDED),
        (math.nan, math.nan, 1, UNDECIDED),
        (math.inf, math.inf, 5, REPRODUCED),  # at least 16x
        (0.0, 0.0, 5, NOT_REPRODUCED),  # at most 1x
    ],
)
def test_reduction(low, high, pairs, verdict):
    found = factor(low, high, pairs)
    assert judge_reduction(found, [found], complete=True) == verdict


def test_a_bound_below_the_claimed_factor_shows_nothing():
    """At d = 16 of widths up to 32 there is ">= 2x" at best: it neither shows 4x nor speaks against it."""
    found = factor(math.inf, math.inf, most=2.0)
    assert judge_reduction(found, [], complete=True) == UNDECIDED
    assert judge_reduction(found, [factor(2, 3)], complete=True) == NOT_REPRODUCED
    assert judge_reduction(found, [factor(2, 3), factor(3, 5)], complete=True) == UNDECIDED
    assert judge_reduction(found, [factor(2, 3)], complete=False) == UNDECIDED


@pytest.mark.parametrize(
    ("gain", "growth", "verdict"),
    [
        (about(0.002, 0.001), about(0.001, 0.0005), REPRODUCED),
        (about(0.002, 0.003), about(0.001, 0.0005), UNDECIDED),
        (about(0.002, 0.001), about(0.001, 0.0015), UNDECIDED),
        (about(0.002, 0.001), about(-0.001, 0.0005), NOT_REPRODUCED),  # a gain that shrinks with k
        (about(0.0004, 0.0005), about(0.001, 0.0005), NOT_REPRODUCED),  # growing, and too small to matter
        (about(0.0, 0.0004), about(0.0, 0.0001), NOT_REPRODUCED),  # a tie
        (about(-0.002, 0.001), about(0.001, 0.0005), NOT_REPRODUCED),  # a loss
        (about(0.002, 0.001, 4), about(0.001, 0.0005, 4), UNDECIDED),
    ],
)
def test_gain(gain, growth, verdict):
    assert judge_gain(gain, growth) == verdict


@pytest.mark.parametrize(
    ("largest", "sizes_equal", "complete", "verdict"),
    [
        (1e-5, True, True, REPRODUCED),
        (1e-5, True, False, UNDECIDED),
        (1.1e-5, True, True, NOT_REPRODUCED),
        (1.1e-5, True, False, NOT_REPRODUCED),
        (1e-6, False, False, NOT_REPRODUCED),
    ],
)
def test_collapse(largest, sizes_equal, complete, verdict):
    assert judge_collapse(largest, sizes_equal, complete) == verdict
    # Of a run whose largest logit is 300.
    assert judge_collapse(300 * largest, sizes_equal, complete, 300 * 1e-5) == verdict


def test_what_collapse_may_change_is_what_deploying_allows():
    assert logit_tolerance(0.2) == LOGIT and rule_text(judge_collapse).startswith(
        "Collapsing changes no logit of a run by more than 1e-05, or 1e-05 of its largest logit where that is above 1,"
    )
    assert judge_collapse(float("nan"), True, True) == judge_collapse(float("inf"), True, True) == NOT_REPRODUCED


@pytest.mark.parametrize(
    ("changes", "lower", "verdict"),
    [
        ([about(-0.05, 0.02), about(-0.2, 0.1)], [0.9, 0.6], REPRODUCED),
        ([about(-0.05, 0.02), about(-0.2, 0.3)], [0.9, 0.6], UNDECIDED),
        ([about(-0.05, 0.02), about(-0.2, 0.1)], [0.5, 0.6], UNDECIDED),  # the mean fell, half of the tables did not
        ([about(0.03, 0.01), about(-0.2, 0.1)], [0.3, 0.9], NOT_REPRODUCED),  # as in the authors' data at d = 4
        ([about(-0.005, 0.002), about(-0.2, 0.1)], [0.9, 0.9], NOT_REPRODUCED),  # lower by half a percent
        ([about(-0.05, 0.02, 4), about(-0.2, 0.1)], [0.9, 0.6], UNDECIDED),
        ([], [], UNDECIDED),
    ],
)
def test_rank(changes, lower, verdict):
    assert judge_rank(dict(enumerate(changes)), dict(enumerate(lower))) == verdict


@pytest.mark.parametrize(
    ("extra", "gpu", "verdict"),
    [
        (about(0.25, 0.10, 12), True, REPRODUCED),
        (about(0.25, 0.11, 12), True, UNDECIDED),
        (about(0.10, 0.04, 12), True, NOT_REPRODUCED),
        (about(0.60, 0.20, 12), True, NOT_REPRODUCED),
        (about(0.25, 0.05, 12), False, UNDECIDED),
        (about(0.60, 0.20, 12), False, UNDECIDED),
        (about(0.25, 0.05, 4), True, UNDECIDED),
        (Interval(0.25, math.nan, math.nan, 1), True, UNDECIDED),
    ],
)
def test_overhead(extra, gpu, verdict):
    assert judge_overhead(extra, gpu) == verdict


@pytest.mark.parametrize(
    ("factors", "verdict"),
    [
        ([factor(9, 18), factor(4, 6)], REPRODUCED),
        ([factor(math.inf, math.inf), factor(4, 6)], REPRODUCED),  # at least 16x
        ([factor(9, 15), factor(4, 6)], NOT_REPRODUCED),  # none may be 16x
        ([factor(9, 18), factor(0.5, 0.9, least=0.5), factor(0.5, 0.9, least=0.5), factor(0.5, 0.9, least=0.5)],
         NOT_REPRODUCED),  # 5.2x on average at most
        ([factor(7, 18), factor(4, 6)], UNDECIDED),
        ([factor(9, 18, pairs=4), factor(4, 6)], UNDECIDED),
        ([], UNDECIDED),
    ],
)  # fmt: skip
def test_models(factors, verdict):
    assert judge_models(factors) == verdict


@pytest.mark.parametrize(
    ("excess", "rarest", "gains", "verdict"),
    [
        (about(0.003, 0.001), about(0.004, 0.001), [0.004, 0.002, 0.001], REPRODUCED),
        (about(0.003, 0.001), about(0.004, 0.001), [0.004, 0.005, 0.001], UNDECIDED),  # the middle gains most
        (about(0.003, 0.004), about(0.004, 0.001), [0.004, 0.002, 0.001], UNDECIDED),
        (about(0.003, 0.001), about(0.004, 0.005), [0.004, 0.002, 0.001], UNDECIDED),
        (about(0.003, 0.001), about(-0.004, 0.001), [-0.004, -0.005, -0.007], NOT_REPRODUCED),  # loses least
        (about(0.0, 0.0004), about(0.004, 0.001), [0.004, 0.004, 0.004], NOT_REPRODUCED),
        (about(-0.003, 0.001), about(0.001, 0.0005), [0.001, 0.002, 0.004], NOT_REPRODUCED),
        (about(0.003, 0.001, 4), about(0.004, 0.001, 4), [0.004, 0.002, 0.001], UNDECIDED),
    ],
)
def test_rare(excess, rarest, gains, verdict):
    assert judge_rare(excess, rarest, gains) == verdict


@pytest.mark.parametrize(
    ("verdict", "harder", "limited"),
    [
        (REPRODUCED, True, UNDECIDED),
        (NOT_REPRODUCED, True, NOT_REPRODUCED),  # what fails against the weaker rival fails against the stronger
        (NOT_REPRODUCED, False, UNDECIDED),
        (NOT_RUN, True, NOT_RUN),
    ],
)
def test_a_rival_that_did_not_finish(verdict, harder, limited):
    assert with_unfinished_rivals(verdict, harder) == limited


def test_a_part_of_the_rows_decides_nothing():
    assert [on_a_part(verdict) for verdict in (REPRODUCED, NOT_REPRODUCED, NOT_RUN)] == [UNDECIDED, UNDECIDED, NOT_RUN]
