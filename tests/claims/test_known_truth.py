"""Three worlds of known truth in the ledger: a gain that is MLET's, one of step size, and one for rare rows alone."""

import math

import pytest
from ledgers import results_of
from made_up import SEEDS, make_rare, make_runs, seed_noise

from mlet_bench.claims.comparisons import AS_PAPER, BOTH_TUNED, TUNED_BASELINE
from mlet_bench.claims.ledger import claims_table
from mlet_bench.claims.verdicts import NOT_REPRODUCED, NOT_RUN, REPRODUCED, UNDECIDED

ARMS = ("single", "mlet", "single-lr", "single-lr-tuned", "mlet-lr-tuned")
BEST_STEP = 4.0  # over the recipe's, of every table
COLUMNS = [comparison.name for comparison in (AS_PAPER, TUNED_BASELINE, BOTH_TUNED)]


def step_of(arm, k):
    """The embedding's first step over that of single."""
    return BEST_STEP if arm.endswith("tuned") else k / 16 if arm in ("mlet", "single-lr") else 1.0


def of_step(arm, d, k):
    """.01 for each halving of the distance from the best step: what a quarter of the width costs."""
    return -0.01 * abs(math.log2(BEST_STEP / step_of(arm, k)))


def of_mlet(arm, d, k):
    """Whatever the step: .012 for each doubling of k from d on."""
    return 0.012 * math.log2(k / d) if arm.startswith("mlet") else 0.0


def ledger(gain, rare=None, planted=()):
    """Claim and comparison → verdict, where an arm's AUC is ``gain(arm, d, k)`` above a single layer of its width."""

    def quality(arm, d, k, seed):
        own = math.sin(97.0 * seed + d + (k or 0) + len(arm)) * 1e-4
        return 0.7 + 0.01 * math.log2(d) + gain(arm, d, k) + seed_noise(seed) + own

    runs = make_runs(quality, arms=ARMS, dims=(4, 8, 16, 32, 64), seeds=SEEDS)
    table = claims_table(results_of(runs, rare=make_rare(runs, rare) if rare else None, planted=planted))
    return table.set_index(["claim", "comparison"])["verdict"]


def verdicts(found, claim):
    return [found[claim, column] for column in COLUMNS]


def test_a_gain_that_is_mlets_alone_holds_in_every_column():
    found = ledger(of_mlet)
    assert verdicts(found, "C1") == verdicts(found, "C2") == [REPRODUCED] * 3


def test_a_gain_of_step_size_alone_goes_where_the_rival_is_tuned():
    """As the paper compares MLET gains; by k it gains no more than single-lr, and a tuned single layer as much."""
    found = ledger(of_step)
    assert verdicts(found, "C1") == [REPRODUCED, NOT_REPRODUCED, NOT_REPRODUCED]
    assert verdicts(found, "C2") == [UNDECIDED, NOT_REPRODUCED, NOT_REPRODUCED]


def test_a_gain_for_rare_rows_alone_is_found_by_c7_alone():
    found = ledger(lambda *cell: 0.0, rare=lambda arm, group: 0.01 * (group == 0) * arm.startswith("mlet"))
    assert verdicts(found, "C7") == [REPRODUCED] * 3
    assert verdicts(found, "C1") == verdicts(found, "C2") == [NOT_REPRODUCED] * 3


def test_a_gain_for_rare_rows_that_a_tuned_step_has_as_well():
    found = ledger(lambda *cell: 0.0, rare=lambda arm, group: 0.01 * (group == 0) * (arm != "single"))
    assert verdicts(found, "C7") == [REPRODUCED, NOT_REPRODUCED, NOT_REPRODUCED]


@pytest.mark.parametrize("gain", [of_mlet, of_step])
def test_no_world_decides_a_claim_about_the_paper(gain):
    found = ledger(gain, planted=("avazu",))
    assert set(found) == {NOT_RUN}
