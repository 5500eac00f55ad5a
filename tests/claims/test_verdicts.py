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
from mlet_bench.claims.kept import judge_kept
from mlet_bench.claims.verdicts import (
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    UNDECIDED,
    VACUOUS,
    Judged,
    decide,
    on_a_part,
    overall,
    rule_text,
    together,
)
from mlet_bench.evaluation.deploy import logit_tolerance
from mlet_bench.statistics.intervals import Interval
from mlet_bench.statistics.reduction import Reduction

T = {4: 3.1824463, 5: 2.7764451, 12: 2.2009852}  # Student's t of one degree of freedom fewer, at .975


def factor(low, high, pairs=5, least=1.0, most=16.0):
    return Reduction((low + high) / 2, low, high, least, most, pairs)


def about(mean, half, count=5):
    return Interval(mean, half / T[count], count)


@pytest.mark.parametrize(
    ("verdicts", "verdict", "p"),
    [
        ([(REPRODUCED, 0.01), (REPRODUCED, 0.02)], REPRODUCED, 0.02),
        ([(REPRODUCED, 0.01), (UNDECIDED, 1)], UNDECIDED, 1),
        ([(REPRODUCED, 0.01), (NOT_RUN, 1)], UNDECIDED, 1),
        ([(REPRODUCED, 0.01), (NOT_REPRODUCED, 0.02)], NOT_REPRODUCED, 0.04),  # of two that could have
        ([(VACUOUS, 1), (VACUOUS, 1)], VACUOUS, 1),
        ([(VACUOUS, 1), (REPRODUCED, 0.01)], UNDECIDED, 1),
        ([(NOT_RUN, 1), (NOT_RUN, 1)], NOT_RUN, 1),
        ([], NOT_RUN, 1),
    ],
)
def test_several_data_sets(verdicts, verdict, p):
    assert overall([Judged(*one) for one in verdicts]) == (verdict, p)


def test_all_must_be_shown_and_any_is_enough_against():
    assert decide([0.01, 0.04], [1.0]) == (REPRODUCED, 0.04)
    assert decide([0.01, 0.06], [1.0]) == (UNDECIDED, 1.0)
    assert decide([1.0], [0.02, 0.9]) == (NOT_REPRODUCED, 0.04)
    assert decide([1.0], [0.03, 0.9]) == (UNDECIDED, 1.0)  # twice .03 is not shown
    assert decide([], []) == (UNDECIDED, 1.0)


def test_holms_method_by_hand():
    """Of four that ran the smallest p may be .05 / 4, the next .05 / 3: .02 is too large, and so is all after it."""
    family = [Judged(REPRODUCED, 0.02), Judged(NOT_REPRODUCED, 0.0125), Judged(UNDECIDED), Judged(NOT_RUN)]
    assert [one.verdict for one in together([*family, Judged(REPRODUCED, 0.021)])] == [
        UNDECIDED, NOT_REPRODUCED, UNDECIDED, NOT_RUN, UNDECIDED,
    ]  # fmt: skip
    # Without the fifth it is one of three: .05 / 3, then .05 / 2.
    assert [one.verdict for one in together(family)] == [REPRODUCED, NOT_REPRODUCED, UNDECIDED, NOT_RUN]
    assert together([Judged(NOT_REPRODUCED, 0.03), Judged(VACUOUS)])[0].verdict == UNDECIDED


@pytest.mark.parametrize(
    ("ahead", "width", "verdict"),
    [
        (about(0.0, 0.0004), about(0.003, 0.002), REPRODUCED),
        (about(-0.0003, 0.0001), about(0.003, 0.002), REPRODUCED),  # behind, by less than matters
        (about(0.0, 0.0006), about(0.003, 0.002), UNDECIDED),
        (about(0.0, 0.0004), about(0.003, 0.0026), UNDECIDED),  # does single need its width?
        (about(-0.0003, 0.0001), about(0.003, 0.0026), UNDECIDED),
        (about(0.0, 0.0004), about(0.0001, 0.0003), VACUOUS),
        (about(-0.002, 0.0004), about(0.0001, 0.0003), VACUOUS),  # whatever MLET does
        (about(-0.001, 0.0009), about(0.003, 0.002), NOT_REPRODUCED),
        (about(-0.001, 0.0011), about(0.003, 0.002), UNDECIDED),
        (about(0.0, 0.0004, 4), about(0.003, 0.002, 4), UNDECIDED),
    ],
)
def test_reduction(ahead, width, verdict):
    assert judge_reduction(ahead, width).verdict == verdict


@pytest.mark.parametrize(
    ("gain", "growth", "verdict"),
    [
        (about(0.002, 0.001), about(0.001, 0.0005), REPRODUCED),
        (about(0.002, 0.003), about(0.001, 0.0005), UNDECIDED),
        (about(0.002, 0.001), about(0.001, 0.0015), UNDECIDED),
        (about(0.002, 0.001), about(-0.001, 0.0005), NOT_REPRODUCED),  # a gain that shrinks with k
        (about(0.0004, 0.0004), about(0.001, 0.0005), NOT_REPRODUCED),  # growing, and too small to matter
        (about(0.0, 0.0004), about(0.0, 0.0001), NOT_REPRODUCED),  # a tie
        (about(-0.002, 0.001), about(0.001, 0.0005), NOT_REPRODUCED),  # a loss
        (about(0.002, 0.001, 4), about(0.001, 0.0005, 4), UNDECIDED),
    ],
)
def test_gain(gain, growth, verdict):
    assert judge_gain(gain, growth).verdict == verdict


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
    p = 1.0 if verdict == UNDECIDED else 0.0  # no matter of statistics
    assert judge_collapse(largest, sizes_equal, complete) == (verdict, p)
    # Of a run whose largest logit is 300.
    assert judge_collapse(300 * largest, sizes_equal, complete, 300 * 1e-5).verdict == verdict


def test_what_collapse_may_change_is_what_deploying_allows():
    assert logit_tolerance(0.2) == LOGIT and rule_text(judge_collapse).startswith(
        "Collapsing changes no logit of a run by more than 1e-05, or 1e-05 of its largest logit where that is above 1,"
    )
    for largest in (math.nan, math.inf):
        assert judge_collapse(largest, True, True).verdict == NOT_REPRODUCED


@pytest.mark.parametrize(
    ("changes", "lower", "verdict"),
    [
        ([about(-0.05, 0.02), about(-0.2, 0.1)], [0.9, 0.6], REPRODUCED),
        ([about(-0.05, 0.02), about(-0.2, 0.3)], [0.9, 0.6], UNDECIDED),
        ([about(-0.05, 0.02), about(-0.2, 0.1)], [0.5, 0.6], UNDECIDED),  # the mean fell, half of the tables did not
        ([about(-0.05, 0.02), about(-0.2, 0.1)], [0.3, 0.6], UNDECIDED),
        ([about(0.03, 0.01), about(-0.2, 0.1)], [0.3, 0.9], NOT_REPRODUCED),  # as in the authors' data at d = 4
        ([about(-0.005, 0.002), about(-0.2, 0.1)], [0.9, 0.9], NOT_REPRODUCED),  # lower by half a percent
        ([about(-0.05, 0.02, 4), about(-0.2, 0.1)], [0.9, 0.6], UNDECIDED),
        ([], [], UNDECIDED),
    ],
)
def test_rank(changes, lower, verdict):
    assert judge_rank(dict(enumerate(changes)), dict(enumerate(lower))).verdict == verdict


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
        (Interval(0.25, math.nan, 1), True, UNDECIDED),
    ],
)
def test_overhead(extra, gpu, verdict):
    assert judge_overhead(extra, gpu).verdict == verdict


@pytest.mark.parametrize(
    ("factors", "verdict"),
    [
        ([factor(9, 18), factor(4, 6)], REPRODUCED),
        ([factor(math.inf, math.inf), factor(4, 6)], REPRODUCED),  # at least 16x
        ([factor(9, 15), factor(4, 6)], NOT_REPRODUCED),  # none may be 16x
        ([factor(9, 18), factor(0.5, 0.9, least=0.5), factor(0.5, 0.9, least=0.5), factor(0.5, 0.9, least=0.5)],
         NOT_REPRODUCED),  # 5.2x on average at most
        ([factor(7, 18), factor(4, 6)], UNDECIDED),
        ([factor(8, 18), factor(1, 6), factor(1, 6)], UNDECIDED),  # 3.3x on average at least
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
    assert judge_rare(excess, rarest, gains).verdict == verdict


@pytest.mark.parametrize(
    ("gain", "lost", "before", "verdict"),
    [
        (about(0.003, 0.001), about(0.0002, 0.0005), about(0.004, 0.001), REPRODUCED),
        (about(0.003, 0.004), about(0.0002, 0.0005), about(0.004, 0.001), UNDECIDED),
        (about(0.003, 0.001), about(0.0002, 0.0009), about(0.004, 0.001), UNDECIDED),
        (about(-0.003, 0.001), about(0.0002, 0.0005), about(0.004, 0.001), NOT_REPRODUCED),  # a loss, kept
        (about(0.003, 0.001), about(0.004, 0.001), about(0.007, 0.001), NOT_REPRODUCED),  # a gain, less by .004
        (about(0.003, 0.001), about(-0.007, 0.001), about(-0.004, 0.001), VACUOUS),
        (about(0.003, 0.001), about(-0.007, 0.001), about(-0.004, 0.005), REPRODUCED),  # perhaps no loss before
        (about(0.003, 0.001, 4), about(0.0002, 0.0005, 4), about(0.004, 0.001, 4), UNDECIDED),
    ],
)
def test_kept(gain, lost, before, verdict):
    judged = judge_kept(gain, lost, before)
    assert judged.verdict == verdict
    assert verdict != VACUOUS or judged.p == before.p_below(0)


def test_a_part_of_the_rows_decides_nothing():
    limited = [on_a_part(Judged(verdict, 0.01)).verdict for verdict in (REPRODUCED, NOT_REPRODUCED, NOT_RUN)]
    assert limited == [UNDECIDED, UNDECIDED, NOT_RUN]
