"""The arms within each budget: what fits, chosen on some seeds and judged on the others, by hand."""

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from made_up import make_results, make_runs

from mlet_bench.report.budget import advice, budget_section, quality_at_bytes
from mlet_bench.tables.budget import budget_table, served_table

SEEDS = (0, 1, 2, 3)
N = 1000  # categories in all: the single layer at d=16 has 64,000 bytes
CHOICE = {"single-d16": 0.70, "single-d4": 0.68, "hash-d16-b1_4": 0.69, "mlet-hash-d16-k64-b1_4": 0.689}


def rows_of(cell, arm, dim, inner_dim, budget, form, size, val, test):
    """A cell in one format: on seeds 0 and 1, which choose, validation says ``val``; on 2 and 3 test says ``test``."""
    return [
        {"dataset": "avazu", "model": "dlrm", "cell": cell, "arm": arm, "dim": dim, "seed": seed,
         "inner_dim": inner_dim, "budget": budget, "format": form, "refused": "", "tables_bytes": float(size),
         "val_auc": val if seed < 2 else 0.99, "test_auc": test + 0.001 * seed if seed >= 2 else 0.99,
         "test_logloss": 0.5, "rows_per_second_1": 1e4, "rows_per_second_2048": 2e6}
        for seed in SEEDS
    ]  # fmt: skip


@pytest.fixture
def results():
    runs = make_runs(lambda *_: 0.7, arms=("single",), dims=(4, 16), seeds=SEEDS).assign(
        seconds=60.0, peak_memory_bytes=2e8
    )
    within = make_runs(lambda *_: 0.7, arms=("hash", "mlet-hash"), dims=(16,), inners=(64,), seeds=SEEDS)
    within = within.assign(budget="1/4", cell=within["cell"] + "-b1_4", seconds=30.0, peak_memory_bytes=1e8)
    refused = make_runs(lambda *_: 0.7, arms=("md",), dims=(16,), seeds=SEEDS, open_runs={"md-d16": ("failed", "", "")})
    refused = refused.assign(budget="1/4", cell="md-d16-b1_4", kind="over-budget", reason="md stores 20 kB at least")
    served = [
        *rows_of("single-d16", "single", 16, None, "", "fp32", 64_000, 0.70, 0.70),
        *rows_of("single-d16", "single", 16, None, "", "int4-columns", 8_000, 0.695, 0.699),
        *rows_of("single-d4", "single", 4, None, "", "fp32", 16_000, 0.68, 0.68),
        *rows_of("hash-d16-b1_4", "hash", 16, None, "1/4", "fp32", 15_900, 0.69, 0.71),
        *rows_of("mlet-hash-d16-k64-b1_4", "mlet-hash", 16, 64, "1/4", "fp32", 15_900, 0.692, 0.692),
    ]
    made = make_results(runs)
    schema = SimpleNamespace(source=made.schemas["avazu"].source, table_sizes=(N,))
    budgets = {"enabled": True, "sizes": ["1/4", "9kB", "1kB"], "arms": ["hash", "mlet-hash", "md"], "dim": 16}
    config = made.config | {"budgets": budgets, "dims": [4, 16], "inner_dims": [64], "seeds": list(SEEDS)}
    config["formats"] = ["fp32", "int4-columns"]
    return replace(
        made,
        config=config,
        schemas={"avazu": schema},
        budget_runs=pd.concat([within, refused]),
        formats=pd.DataFrame(served),
    )


def test_arms_within_a_budget_by_hand(results):
    table = results.table(budget_table)
    quarter = table[table["budget"] == "1/4"]
    assert quarter["budget_bytes"].unique().tolist() == [16_000]
    placed = quarter.dropna(subset=["rank"])
    # hash is best on test, and third on the validation of the seeds that choose.
    assert placed["arm"].tolist() == ["single", "mlet-hash", "hash"] and placed["rank"].tolist() == [1, 2, 3]
    assert placed["cell"].iloc[0] == "single-d16" and placed["format"].iloc[0] == "int4-columns"
    assert placed["auc"].tolist() == pytest.approx([0.7015, 0.6945, 0.7125])  # means over seeds 2 and 3
    assert placed["behind"].tolist() == pytest.approx([0, 0.007, -0.011]) and placed["seeds"].tolist() == [2, 2, 2]
    assert placed["seconds"].tolist() == [60, 30, 30]
    assert quarter.loc[quarter["arm"] == "md", "reason"].item() == "md stores 20 kB at least"


def test_what_has_nothing_so_small_says_its_smallest(results):
    table = results.table(budget_table)
    nine = table[table["budget"] == "9kB"].set_index("arm")
    assert nine.loc["single", "rank"] == 1 and nine.loc["hash", "reason"] == "its smallest has 0.0159 MB"
    assert table.loc[table["budget"] == "1kB", "rank"].isna().all()


def test_the_advice_and_the_section(results):
    (said,) = advice(results)
    assert said == (
        "On avazu, for 0.016 MB of tables train single-d16 in int4-columns (AUC 0.7015) and for 0.009 MB of tables "
        "train single-d16 in int4-columns (AUC 0.7015). 2 seeds, where 5 are needed, cannot decide. MLET beside them: "
        "0.0070 behind; none fits."
    )
    section = budget_section(results)
    assert section is not None and section.figures == ["quality_at_bytes"] and len(section.tables) == 3
    assert quality_at_bytes.draw(results) is not None


def test_a_model_of_which_nothing_ran_within_a_budget_has_no_empty_tables(results):
    both = replace(results, runs=pd.concat([results.runs, results.runs.assign(model="pnn")]))
    assert len(both.settings) == 2
    section = budget_section(both)
    assert section is not None and all(table.rows for _, table in section.tables)
    assert [title for title, _ in section.tables if "every arm" in title] == ["avazu, DLRM: every arm"]


@pytest.mark.parametrize(
    ("lag", "noise", "says"),
    [
        (0.004, 0.0001, "0.0040 behind (0.0038 to 0.0042)"),
        (-0.004, 0.0001, "0.0040 ahead (0.0038 to 0.0042)"),
        (0.0, 0.0001, "as good"),
        (0.001, 0.01, "0.0010 behind (-0.0186 to 0.0206), too little to tell"),
    ],
)
def test_mlet_beside_the_first_with_seeds_enough(results, lag, noise, says):
    """Ten seeds, of which five judge; noise times -2 to 2: t of 4 is 2.776, times (2.5 / 5) ** .5 is 1.963."""
    seeds = range(10)
    form = "int4-columns"
    served = [
        {**row, "seed": seed, "val_auc": row["val_auc"] if seed < 5 else 0.99,
         "test_auc": 0.7 - (lag + noise * (seed - 7)) * (row["arm"] == "mlet-hash")}
        for seed in seeds
        for row in (rows_of("single-d16", "single", 16, None, "", form, 8_000, 0.695, 0)[0],
                    rows_of("mlet-hash-d16-k64-b1_4", "mlet-hash", 16, 64, "1/4", "fp32", 15_900, 0.692, 0)[0])
    ]  # fmt: skip
    (said,) = advice(replace(results, config=results.config | {"seeds": list(seeds)}, formats=pd.DataFrame(served)))
    assert f"MLET beside them: {says};" in said


def test_where_mlet_is_the_first_nothing_stands_beside_it(results):
    own = results.formats[results.formats["arm"] == "mlet-hash"]
    (said,) = advice(replace(results, formats=own))
    assert said == (
        "On avazu, for 0.016 MB of tables train mlet-hash-d16-k64-b1_4 (AUC 0.6945). "
        "2 seeds, where 5 are needed, cannot decide."
    )


def test_a_model_without_budgets_gets_no_advice(results):
    budgets = results.config["budgets"] | {"models": ["pnn"]}
    assert advice(replace(results, config=results.config | {"budgets": budgets})) == []


def test_without_formats_or_budgets_there_is_no_figure(results):
    plain = results.formats[(results.formats["format"] == "fp32") & (results.formats["budget"] == "")]
    alone = replace(
        results, formats=plain, budget_runs=results.budget_runs.iloc[:0], config=results.config | {"budgets": {}}
    )
    assert quality_at_bytes.draw(alone) is None and alone.table(budget_table).empty and advice(alone) == []


def test_a_row_for_each_cell_and_format(results):
    table = results.table(served_table).set_index(["cell", "format"])
    assert table.loc[("single-d16", "int4-columns"), "tables_bytes"] == 8_000 and (table["done"] == 4).all()
    assert table.loc[("hash-d16-b1_4", "fp32"), "auc_max"] == pytest.approx(0.99)
