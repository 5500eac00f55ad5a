"""The ledger on made-up frames: a known factor, a tie, a loss, missing cells, one seed, generated rows."""

import math

import numpy as np
import pandas as pd
import pytest
from ledgers import ARMS, MISSING, ledger, mlet, results_of
from made_up import make_overhead, make_rare, make_runs, make_spectrum, worth

from mlet_bench.claims import CLAIMS
from mlet_bench.claims.c1_reduction import drawn_factor, in_units, reduction_table
from mlet_bench.claims.comparisons import AS_PAPER, BOTH_TUNED, COMPARISONS, TUNED_BASELINE
from mlet_bench.claims.finding import few
from mlet_bench.claims.ledger import COLUMNS, ESTIMATES, claims_table, estimates_table
from mlet_bench.statistics.reduction import Reduction


@pytest.mark.parametrize(
    ("factor", "c1", "c2"),
    [
        (lambda d, k: 3 + k / 32, "reproduced", "reproduced"),  # 5x at k = 64
        (lambda d, k: 2 + k / 64, "not reproduced", "reproduced"),  # 3x at k = 64
        (lambda d, k: 6 - k / 32, "reproduced", "not reproduced"),  # 4x, better at the smaller k
        (lambda d, k: 5.0, "reproduced", "undecided"),  # as good at any k, up to noise
        (lambda d, k: 1.0, "not reproduced", "not reproduced"),  # a tie, up to noise: no gain
        (lambda d, k: 0.5, "not reproduced", "not reproduced"),  # a loss
    ],
)
def test_a_known_factor(factor, c1, c2):
    rows = ledger(make_runs(mlet(factor), arms=ARMS))
    assert (rows["C1"].verdict, rows["C2"].verdict) == (c1, c2)


def test_the_numbers_of_a_known_factor():
    """5 times the width is log2(5/4) doublings of .01 AUC more than 4 times."""
    row = ledger(make_runs(mlet(lambda d, k: 3 + k / 32), arms=ARMS))["C1"]
    assert (
        row.number.startswith("avazu: +0.0032")
        and "AUC beside 4 times the width (d=4, 8); reduction factor " in row.number
    )
    assert "; reduction factor 4.9" in row.number or "; reduction factor 5.0" in row.number
    assert row.cells == "avazu/dlrm: mlet d=4,8 k=64, single d=4,8,16,32"
    assert row.power.startswith("avazu: 0.000")


def test_single_at_d_and_at_four_times_d_is_enough():
    row = ledger(make_runs(mlet(lambda d, k: 5.0), dims=(4, 16)))["C1"]
    assert row.verdict == "reproduced" and row.cells == "avazu/dlrm: mlet d=4 k=64, single d=4,16"
    assert "; reduction factor >= 4x" in row.number and row.note == ""


@pytest.mark.parametrize("factor", [1.0, 8.0])
def test_a_baseline_that_does_not_need_its_width_makes_the_claim_vacuous(factor):
    """Quality peaks at d = 8 for all: neither an identical MLET nor a better one saves anything that was needed."""

    def peaked(arm, d, k, seed):
        own = np.random.default_rng([seed, d, k or 0, len(arm)]).normal(scale=1e-4)
        return 0.75 - 0.001 * abs(math.log2(d / 8)) + (0.001 * math.log2(factor) if arm == "mlet" else 0) + own

    row = ledger(make_runs(peaked, arms=ARMS, dims=(4, 8, 16, 32)))["C1"]
    assert row.verdict == "vacuous" and "single does not need its width" in row.note


def test_a_tie_is_not_a_gain():
    """Exactly the baseline's quality, seed by seed: no gain."""
    rows = ledger(make_runs(worth({"mlet": lambda d, k: 1.0}, own=0.0), arms=ARMS))
    assert rows["C1"].verdict == rows["C2"].verdict == "not reproduced"


def test_growth_that_the_step_has_as_well_is_not_mlets():
    """Both gain a doubling of width by a doubling of k: what grows is the step."""
    like_k = lambda d, k: k / 16  # noqa: E731
    row = ledger(make_runs(worth({"mlet": like_k, "single-lr": like_k}, own=0.0), arms=ARMS))["C2"]
    assert (row.verdict != "reproduced" and "-0.00000" in row.number) or "+0.00000" in row.number
    alone = ledger(make_runs(worth({"mlet": like_k}, own=0.0), arms=ARMS))["C2"]
    assert alone.verdict == "reproduced" and "+0.01000 [+0.01000, +0.01000] for each doubling" in alone.number


def test_the_gain_is_read_at_the_k_that_was_fixed():
    row = ledger(make_runs(mlet(lambda d, k: k / 16), arms=ARMS, inners=(16, 32, 64)))["C2"]
    assert row.number.startswith("avazu: +0.0200") or row.number.startswith("avazu: +0.0199")  # log2(64 / 16) doublings
    assert "AUC at k=64" in row.number and row.number.endswith("(d=4, 8, 16)")  # 64 is 4 times 16


def test_no_better_cell_is_taken_for_the_one_that_was_fixed():
    """MLET is best at k = 16, on validation and on test alike; the question is about k = 64."""
    row = ledger(make_runs(mlet(lambda d, k: 8.0 if k == 16 else 2.0), arms=ARMS))["C1"]
    assert row.verdict == "not reproduced" and "mlet d=4,8 k=64" in row.cells
    assert "reduction factor 2.0" in row.number or "reduction factor 1.9" in row.number


def test_without_the_step_at_every_k_growth_is_not_run():
    row = ledger(make_runs(mlet(lambda d, k: k / 16)))["C2"]
    assert (
        row.verdict == "not run" and "needs mlet and single-lr at two k, and single, at a d of 16 or less" in row.note
    )


def test_growth_is_read_where_there_are_two_k():
    runs = make_runs(mlet(lambda d, k: k / 16), arms=ARMS)
    row = ledger(runs[(runs["arm"] != "mlet") | (runs["dim"] != 8) | (runs["inner_dim"] == 64)])["C2"]
    assert row.number.endswith("beyond single-lr's (d=4, 16)")
    assert " AUC of gain, " in row.power and row.power.endswith(" AUC of growth")
    row = ledger(runs[(runs["arm"] != "single") | (runs["dim"] != 16)])["C2"]
    assert row.number.endswith("(d=4, 8)")


def test_noise_between_the_two_answers_is_undecided():
    rows = ledger(make_runs(worth({"mlet": lambda d, k: 4.0}, own=2e-3)))
    assert rows["C1"].verdict == "undecided"


def test_three_comparisons_each_with_a_verdict_of_its_own():
    """MLET is 5x as good as single, a single layer at a tuned step as good as MLET, and MLET tuned better again."""
    factors = {"mlet": lambda d, k: 5.0, "single-lr-tuned": lambda d, k: 5.0, "mlet-lr-tuned": lambda d, k: 30.0}
    runs = make_runs(worth(factors), arms=(*ARMS, "single-lr-tuned", "mlet-lr-tuned"))
    table = results_of(runs).table(claims_table)
    of_c1 = table[table["claim"] == "C1"]
    assert of_c1["verdict"].tolist() == ["reproduced", "not reproduced", "reproduced"]
    assert of_c1["comparison"].tolist() == [
        "against single", "against single-lr-tuned", "mlet-lr-tuned against single-lr-tuned",
    ]  # fmt: skip
    assert "mlet-lr-tuned d=4,8 k=64" in of_c1["cells"].iloc[2]


@pytest.mark.parametrize("comparison", [TUNED_BASELINE, BOTH_TUNED])
def test_without_tuned_arms_their_comparisons_say_not_run(comparison):
    rows = ledger(make_runs(mlet(lambda d, k: 5.0)), comparison=comparison)
    assert {rows[claim].verdict for claim in ("C1", "C2", "C4", "C6", "C7")} == {"not run"}
    assert "single-lr-tuned" in rows["C1"].note and rows["C1"].number == ""


def test_every_data_set_must_agree():
    good = make_runs(mlet(lambda d, k: 5.0))
    bad = make_runs(mlet(lambda d, k: 2.0), datasets=("criteo-kaggle",))
    rows = ledger(pd.concat([good, bad], ignore_index=True))
    assert rows["C1"].verdict == "not reproduced"
    assert "avazu: " in rows["C1"].number and "criteo-kaggle: " in rows["C1"].number


@pytest.mark.parametrize(
    ("gone", "verdict"),
    [
        ("single-d16", "not run"),
        ("mlet-d8-k64", "not run"),
        (("single-d8", 3), "undecided"),  # four seeds are left
        ("mlet-d8-k16", "reproduced"),  # at another k
    ],
)
def test_missing_cells(gone, verdict):
    row = ledger(make_runs(mlet(lambda d, k: 5.0), open_runs={gone: MISSING}))["C1"]
    assert row.verdict == verdict
    if verdict != "reproduced":
        assert "missing or failed: " + (gone if isinstance(gone, str) else gone[0]) in row.note


@pytest.mark.parametrize("claim", ["C1", "C2", "C4", "C7"])
def test_a_missing_run_takes_the_verdict_away_however_many_seeds_are_left(claim):
    """Nine of ten seeds are done: which one failed may be no accident."""
    many = {"arms": ARMS, "seeds": range(10)}
    whole, holed = (
        make_runs(mlet(lambda d, k: 3 + k / 32), open_runs=gone, **many) for gone in ({}, {("mlet-d8-k64", 3): MISSING})
    )
    rare = lambda runs: make_rare(runs, lambda arm, g: 0.006 - 0.003 * g if arm == "mlet" else 0.0)  # noqa: E731
    assert ledger(whole, None, None, rare(whole))[claim].verdict == "reproduced"
    row = ledger(holed, None, None, rare(holed))[claim]
    assert row.verdict == "undecided" and "missing or failed: mlet-d8-k64" in row.note


def test_a_missing_cell_of_the_growth_is_not_filled_in():
    row = ledger(make_runs(mlet(lambda d, k: k / d), arms=ARMS, open_runs={"mlet-d4-k16": MISSING}))["C2"]
    assert row.verdict == "not run" and row.number == "" and "missing or failed: mlet-d4-k16" in row.note


def test_one_seed_decides_nothing_but_the_collapse():
    rows = ledger(make_runs(mlet(lambda d, k: 3 + k / 32), arms=ARMS, seeds=(0,)))
    verdicts = {f"C{number}": rows[f"C{number}"].verdict for number in range(1, 8)}
    assert verdicts == {"C1": "undecided", "C2": "undecided", "C3": "reproduced", "C4": "undecided",
                        "C5": "reproduced", "C6": "not run", "C7": "undecided"}  # fmt: skip
    assert "(one seed)" in rows["C1"].number and "1 paired seed, 5 are needed" in rows["C1"].note
    assert rows["C1"].power == rows["C2"].power == ""


def test_few_seeds_print_their_range():
    row = ledger(make_runs(mlet(lambda d, k: 5.0), seeds=(0, 1)))["C1"]
    assert row.verdict == "undecided" and "(range of 2 seeds: +0.00" in row.number
    assert few(1) == "1 paired seed, 5 are needed" and few(5) == few(10) == ""


def test_claims_are_judged_together():
    """C1 is shown at 3.5%: enough by itself, too little beside C5, of which nothing is shown."""

    def quality(arm, d, k, seed):
        return 0.7 + 0.01 * math.log2(d * (4 if arm == "mlet" else 1)) + (2.28e-4 * (seed - 2) if arm == "mlet" else 0)

    results = results_of(make_runs(quality, arms=ARMS), overhead=make_overhead(lambda d, k: 0.2, device="CPU"))
    claim = CLAIMS["C1"]()
    alone = claim.judged(claim.found(results, AS_PAPER))
    assert alone.verdict == "reproduced" and 0.025 < alone.p < 0.05
    row = results.table(claims_table).iloc[0]
    assert row["verdict"] == "undecided" and "reproduced by itself, not beside the other claims (Holm)" in row["note"]


def test_generated_rows_show_numbers_and_decide_nothing():
    arms = ("single", "mlet", "single-lr")
    rows = ledger(make_runs(mlet(lambda d, k: 5.0), arms=arms, models=("dlrm", "dcn")), planted=("avazu",))
    assert {row.verdict for row in rows.values()} == {"not run"}
    assert "(generated rows): " in rows["C1"].number
    for row in rows.values():
        assert "rows made by the generator decide nothing: avazu" in row.note


def test_beside_generated_rows_the_genuine_ones_decide():
    bad = make_runs(mlet(lambda d, k: 1.0), datasets=("criteo-kaggle",))
    both = pd.concat([make_runs(mlet(lambda d, k: 5.0)), bad], ignore_index=True)
    row = ledger(both, planted=("criteo-kaggle",))["C1"]
    assert row.verdict == "reproduced"
    assert "criteo-kaggle (generated rows): " in row.number


def test_a_part_of_the_rows_decides_the_collapse_alone():
    rows = ledger(make_runs(mlet(lambda d, k: 3 + k / 32), arms=ARMS), parts=("avazu",))
    assert {rows[claim].verdict for claim in ("C1", "C2", "C4", "C5", "C7")} == {"undecided"}
    assert rows["C3"].verdict == "reproduced"
    assert "a part of the rows decides nothing: avazu" in rows["C1"].note


def test_nothing_ran():
    """Every run missing, no spectra, no timings, no groups."""
    runs = make_runs(mlet(lambda d, k: 2.0))
    names = ["test_auc", "val_auc", "test_logloss", "max_logit_difference"]
    runs["status"], runs["reason"], runs[names] = "missing", "not trained", math.nan
    frames = (make_spectrum(runs, None), make_overhead(lambda d, k: 0.2).iloc[:0], make_rare(runs, None))
    rows = ledger(runs, *frames)
    assert {row.verdict for row in rows.values()} == {"not run"}
    assert all(row.note for row in rows.values())


def test_equal_frames_give_equal_ledgers_and_another_cell_moves_no_other_interval():
    quality = worth({"mlet": lambda d, k: 2.5, "mlet-unit": lambda d, k: 2.0}, own=1e-3)
    once, twice = (ledger(make_runs(quality)) for _ in range(2))
    assert dict(once) == dict(twice)
    more = ledger(make_runs(quality, arms=("single", "mlet", "mlet-unit")))
    assert [more[claim].number for claim in ("C1", "C7")] == [once[claim].number for claim in ("C1", "C7")]


def test_the_ledger_is_a_table_of_its_rows():
    results = results_of(make_runs(mlet(lambda d, k: 5.0)))
    table = results.table(claims_table)
    wanted = [(name, comparison.name) for name in CLAIMS for comparison in CLAIMS[name].comparisons]
    assert table.columns.tolist() == COLUMNS and list(zip(table["claim"], table["comparison"])) == wanted
    assert len(COMPARISONS) == 3 and results.table(claims_table) is table  # made once


def test_the_numbers_that_are_drawn_stand_in_a_table_of_their_own():
    table = results_of(make_runs(mlet(lambda d, k: 5.0)), planted=("avazu",)).table(estimates_table)
    assert table.columns.tolist() == ESTIMATES and table["planted"].all()
    assert set(table["reference"][table["unit"] == "AUC"]) == {0.0}
    row = table[(table["claim"] == "C1") & (table["label"] == "reduction at d=4")].iloc[0]
    assert (row["unit"], row["scale"], row["reference"], row["seeds"]) == ("x", "log", 1.0, 5)
    assert (row["paper_low"], row["paper_high"]) == (4, 8) and row["low"] < 5.0 < row["high"]
    assert row["comparison"] == "against single" and row["verdict"] == "not run"
    assert set(row["cells"].split()) == {"mlet-d4-k64", "mlet-d8-k64", *(f"single-d{d}" for d in (4, 8, 16, 32))}


def test_a_bound_is_drawn_at_what_it_is_known_to_be():
    """At least 8 times: single's widest is d = 32."""
    table = results_of(make_runs(mlet(lambda d, k: 30.0))).table(estimates_table)
    row = table[table["label"] == "reduction at d=4"].iloc[0]
    assert row["value"] == row["low"] == 8.0 and math.isnan(row["high"])


def exactly(factor):
    return Reduction(factor, factor, factor, 0.25, 16.0, 5)


def test_an_end_below_every_width_is_not_drawn():
    inside, below = (drawn_factor("", exactly(factor)) for factor in (0.5, 0.0))
    assert (inside.value, inside.low, inside.high) == (0.5, 0.5, 0.5)
    assert (below.value, below.high) == (0.25, 0.25) and math.isnan(below.low)


def test_factors_that_are_others_in_bytes_are_said_beside():
    known = exactly(2.5)
    assert in_units(known, known, known) == known.text
    for other in (exactly(2.0), exactly(3.0)):
        assert in_units(known, other, other) == f"{known.text} ({other.text} in bytes)"
        assert in_units(known, known, other) == f"{known.text} ({other.text} in bytes with the linear part)"


def test_every_arm_but_single_has_a_factor():
    table = reduction_table(results_of(make_runs(mlet(lambda d, k: 2.0), arms=ARMS, dims=(4, 8))))
    assert set(table["arm"]) == {"mlet", "single-lr"} and table["pairs"].eq(5).all()


def test_two_models_stay_apart():
    """Cells of one name on two models: each claim of paper A is about its model alone, C7 about both."""
    good, bad = (
        make_runs(mlet(lambda d, k: 3 + k / 32), arms=ARMS), make_runs(mlet(lambda d, k: 0.5), models=("dcn",)),
    )  # fmt: skip
    rows = ledger(pd.concat([good, bad], ignore_index=True))
    assert rows["C1"] == ledger(good)["C1"] and rows["C2"] == ledger(good)["C2"]
    assert "avazu/dlrm: " in rows["C7"].number and "avazu/dcn: " in rows["C7"].number


def test_the_factor_in_bytes_is_said_where_it_differs():
    runs = make_runs(mlet(lambda d, k: 5.0))
    assert "in bytes" not in ledger(runs)["C1"].number
    runs.loc[runs["arm"] == "mlet", "deployed_tables_bytes"] //= 2  # what is served at half a byte's cost, say
    assert "x] in bytes) at d=4" in ledger(runs)["C1"].number
