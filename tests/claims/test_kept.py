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
        assert row.verdict == "undecided" and "2 paired seeds" in row.note


def test_a_missing_cell_takes_the_verdict_away():
    results = results_with(0.004, 0.004)
    runs = results.budget_runs.copy()
    runs.loc[(runs["cell"] == "hash-d16-b1_4") & (runs["seed"] == 2), "status"] = "missing"
    row = row_of(replace(results, budget_runs=runs), "C8")
    assert row.verdict == "undecided" and "hash-d16-b1_4" in row.note
