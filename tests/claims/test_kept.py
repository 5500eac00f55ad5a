"""C8 and C9: the gain that is left under hashing and in few bits, by hand and by the rule."""

from dataclasses import replace

import pandas as pd
import pytest
from made_up import make_results, make_runs, seed_noise

from mlet_bench.arms import ARMS
from mlet_bench.claims.c8_hashing import HashingClaim
from mlet_bench.claims.c9_quantized import QuantizedClaim
from mlet_bench.claims.comparisons import COMPARISONS

ARMS_HERE = ("single", "mlet", "single-lr-tuned", "mlet-lr-tuned")
OWN = (1e-5, -2e-5, 1e-5, 0.0, 2e-5)  # a gain's own noise, by seed


def quality(gain):
    """0.7, and for MLET so much more, whatever d and k."""

    def value(arm, d, k, seed):
        return 0.7 + seed_noise(seed) + (gain + OWN[seed] if ARMS[arm].is_mlet else 0.0)

    return value


def results_with(gain, hashed=None, bits=None, budgets=("1/4", "1/16"), seeds=(0, 1, 2, 3, 4)):
    """MLET gains ``gain``; over hashed rows ``hashed``; in int8 and int4 ``bits[0]`` and ``bits[1]``."""
    runs = make_runs(quality(gain), arms=ARMS_HERE, dims=(4, 16), inners=(64,), seeds=seeds)
    results = make_results(runs)
    if hashed is not None:
        arms = ("hash", "mlet-hash", "hash-lr-tuned", "mlet-hash-lr-tuned")
        of = make_runs(quality(hashed), arms=arms, dims=(16,), inners=(64,), seeds=seeds)
        parts = [of.assign(budget=budget, cell=of["cell"] + "-b" + budget.replace("/", "_")) for budget in budgets]
        results = replace(results, budget_runs=pd.concat(parts))
    if bits is not None:
        parts = [
            make_runs(quality(kept), arms=ARMS_HERE, dims=(4, 16), inners=(64,), seeds=seeds)
            .drop(columns=["status", "kind", "reason"])
            .assign(
                format=form, budget="", refused="", tables_bytes=1e6, rows_per_second_1=1.0, rows_per_second_2048=1.0
            )
            for form, kept in zip(("int8", "int4"), bits)
        ]
        results = replace(results, formats=pd.concat(parts))
    return results


def row_of(results, claim, comparison="against single"):
    """The claim's row of the ledger, judged by itself."""
    claim = {"C8": HashingClaim, "C9": QuantizedClaim}[claim]()
    (compared,) = (one for one in COMPARISONS if one.name == comparison)
    found = claim.found(results, compared)
    return claim.row(found, compared, claim.judged(found).verdict)


@pytest.mark.parametrize(
    ("gain", "hashed", "verdict"),
    [(0.004, 0.0038, "reproduced"), (0.004, 0.002, "not reproduced"), (0.004, -0.001, "not reproduced"),
     (-0.004, 0.004, "vacuous")],
)  # fmt: skip
def test_the_gain_under_hashing(gain, hashed, verdict):
    for comparison in ("against single", "mlet-lr-tuned against single-lr-tuned"):
        row = row_of(results_with(gain, hashed), "C8", comparison)
        assert row.verdict == verdict
        assert f"{hashed:+.5f}"[:6] in row.number and "d=16" in row.number
        assert " AUC of gain, " in row.power and row.power.endswith(" AUC of loss")


def test_the_gain_in_few_bits_is_the_mean_over_formats():
    row = row_of(results_with(0.004, bits=(0.004, 0.003)), "C9")
    assert row.verdict == "reproduced" and row.number.startswith("avazu: +0.0035")
    assert row_of(results_with(0.004, bits=(0.004, 0.001)), "C9").verdict == "not reproduced"
    results = results_with(0.004, bits=(0.004, 0.003))
    _, lost = QuantizedClaim().find(results.settings[0], COMPARISONS[0]).estimates
    assert lost.label == "gain lost in 8 and 4 bits" and lost.seeds == 5
    assert lost.value == pytest.approx(0.0005)


def test_without_compressed_runs_or_with_few_seeds_nothing_is_decided():
    for claim in ("C8", "C9"):
        assert row_of(results_with(0.004), claim).verdict == "not run"
    few = results_with(0.004, 0.004, (0.004, 0.004), seeds=(0, 1))
    for claim in ("C8", "C9"):
        row = row_of(few, claim)
        assert row.verdict == "undecided" and "2 paired seeds" in row.note and row.power == ""


def test_a_missing_cell_takes_the_verdict_away():
    results = results_with(0.004, 0.004)
    runs = results.budget_runs.copy()
    runs.loc[(runs["cell"] == "hash-d16-b1_4") & (runs["seed"] == 2), "status"] = "missing"
    row = row_of(replace(results, budget_runs=runs), "C8")
    assert row.verdict == "undecided" and "hash-d16-b1_4" in row.note


def test_other_k_and_other_arms_are_not_the_gain_under_hashing():
    results = results_with(0.004, 0.0038)
    others = make_runs(quality(0.1), arms=("mlet-hash", "mlet-hash-lr-tuned"), dims=(16,), inners=(16, 64, 128))
    others = others[(others["arm"] != "mlet-hash") | (others["inner_dim"] != 64)]
    tuned = results.budget_runs["arm"].str.endswith("tuned")
    parts = [results.budget_runs[~tuned], others.assign(budget="1/4", cell=others["cell"] + "-b1_4")]
    more = replace(results, budget_runs=pd.concat(parts))
    assert row_of(more, "C8") == row_of(results, "C8")


def test_other_formats_budgets_and_refusals_are_not_the_gain_in_few_bits():
    results = results_with(0.004, bits=(0.004, 0.003))
    other = results.formats.assign(test_auc=0.5 + results.formats["test_auc"].where(results.formats["arm"] != "mlet"))
    parts = [other.assign(format="fp16"), other.assign(budget="1/4"), other.assign(refused="takes more bytes")]
    more = replace(results, formats=pd.concat([results.formats, *parts]))
    assert row_of(more, "C9") == row_of(results, "C9")


def test_one_width_in_one_format_is_enough():
    results = results_with(0.004, bits=(0.004, 0.003))
    alone = results.formats[(results.formats["format"] == "int8") & (results.formats["dim"] == 4)]
    row = row_of(replace(results, formats=alone[alone["arm"].isin(("single", "mlet"))]), "C9")
    assert row.verdict == "reproduced" and row.number.endswith("(d=4)")


def test_what_is_lost_is_lost_of_the_gain_at_the_same_width():
    """Without hashing MLET gains .1 at d = 4, where nothing was hashed."""
    results = results_with(0.004, 0.0038)
    narrow = (results.runs["dim"] == 4) & results.runs["arm"].str.startswith("mlet")
    wider = replace(results, runs=results.runs.assign(test_auc=results.runs["test_auc"] + 0.1 * narrow))
    assert row_of(wider, "C8") == row_of(results, "C8")
