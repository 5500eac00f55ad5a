"""Tables against numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from fake_results import make_results, small_config
from made_up import make_results as results_of
from made_up import make_runs, worth
from pandas.testing import assert_frame_equal

from mlet_bench.claims.c4_rank import mean_ranks, spectrum_table
from mlet_bench.claims.c5_overhead import overhead_means, overhead_table
from mlet_bench.report.page import all_tables, write_tables
from mlet_bench.tables.quality import cells_table, differences_table
from mlet_bench.tables.read import read_results

AUC = {("single-d4", 0): 0.70, ("single-d4", 1): 0.72, ("mlet-d4-k16", 0): 0.71, ("mlet-d4-k16", 1): 0.75}


def planted_auc(cell, seed):
    return AUC[cell.name, seed]


@pytest.fixture
def results(tmp_path):
    return read_results(make_results(tmp_path, auc=planted_auc))


def row_of(table, **keys):
    for name, value in keys.items():
        table = table[table[name] == value]
    (row,) = table.to_dict("records")
    return row


def test_difference_is_paired_by_seed(results):
    # .71 - .70 = .01 and .75 - .72 = .03; LogLoss is 1.2 - AUC in these folders.
    row = row_of(results.table(differences_table), cell="mlet-d4-k16", metric="auc")
    assert row["pairs"] == 2 and row["difference"] == pytest.approx(0.02)
    assert (row["least"], row["most"]) == pytest.approx((0.01, 0.03)) and np.isnan([row["low"], row["high"]]).all()
    assert row["reading"] == "undecided"
    assert row_of(results.table(differences_table), metric="logloss")["difference"] == pytest.approx(-0.02)


def test_only_seeds_that_both_have_enter_a_difference(tmp_path):
    results = make_results(tmp_path, auc=planted_auc, skip={("single-d4", 0)})
    row = row_of(read_results(results).table(differences_table), metric="auc")
    assert row["pairs"] == 1 and row["difference"] == pytest.approx(0.03) and np.isnan(row["low"])


def test_without_a_baseline_there_is_no_difference(tmp_path):
    results = make_results(tmp_path, auc=planted_auc, skip={("single-d4", 0), ("single-d4", 1)})
    found = read_results(results)
    row = row_of(found.table(differences_table), metric="auc")
    assert row["pairs"] == 0 and np.isnan(row["difference"]) and pd.isna(row["reading"])
    missing = row_of(found.table(cells_table), cell="single-d4")
    assert (missing["seeds"], missing["done"]) == (2, 0) and np.isnan(missing["auc"])


def test_baseline_of_another_width_is_not_used(tmp_path):
    config = small_config(dims=[4, 8])
    results = make_results(tmp_path, config, auc=lambda cell, seed: 0.5 + cell.dim / 100 + (cell.arm == "mlet") / 1000)
    table = read_results(results).table(differences_table)
    assert table[table["metric"] == "auc"]["difference"].to_list() == pytest.approx([0.001, 0.001])


def test_an_interval_does_not_depend_on_the_other_cells(tmp_path):
    few = read_results(make_results(tmp_path / "a", small_config(seeds=[0, 1, 2, 3, 4]))).table(differences_table)
    wide = small_config(seeds=[0, 1, 2, 3, 4], inner_dims=[8, 16])
    many = read_results(make_results(tmp_path / "b", wide)).table(differences_table)
    rows = [table[(table["cell"] == "mlet-d4-k16") & (table["metric"] == "auc")] for table in (few, many)]
    assert_frame_equal(*(of.reset_index(drop=True) for of in rows), check_exact=True)


def test_cells_hold_means_and_sizes(results):
    row = row_of(results.table(cells_table), cell="mlet-d4-k16")
    assert row["auc"] == pytest.approx(0.73) and row["done"] == 2
    assert (row["auc_min"], row["auc_max"]) == (0.71, 0.75)
    # n = 10 + 20, k = 16, d = 4, F = 2, float32
    assert row["training_tables_bytes"] == 4 * (30 * 16 + 2 * 16 * 4)
    assert row["deployed_tables_bytes"] == 4 * 30 * 4


def test_ranks_count_the_fields_below_single(tmp_path):
    results = read_results(make_results(tmp_path, small_config(arms=["single", "mlet", "single-lr"])))
    table = results.table(spectrum_table)
    raised = (table["arm"] == "mlet") & (table["field"] == "C2") & (table["stage"] == "trained")
    table.loc[raised, "effective_rank"] = 3.9
    row = row_of(results.table(mean_ranks), arm="mlet", stage="trained", weighting="uniform")
    # C1: .8 · 4 = 3.2 against single's .9 · 4 = 3.6, lower; C2: 3.9, higher.
    assert (row["lower"], row["compared"], row["fields"]) == (1, 2, 2)
    assert row["effective_rank"] == pytest.approx((3.2 + 3.9) / 2)


def test_overhead_is_the_median_of_paired_ratios():
    single, mlet = [1.0, 2.0, 4.0, 1.0, 1.0], [1.1, 2.4, 5.2, 1.4, 9.0]  # ratios 1.1, 1.2, 1.3, 1.4, 9
    timed = pd.DataFrame({"single_ms": single, "mlet_ms": mlet, "pair": range(5)})
    timed = timed.assign(software="", dataset="avazu", model="dlrm", device="CPU", batch_size=128, dim=4, inner_dim=16)
    again = timed.assign(inner_dim=64, mlet_ms=timed["single_ms"] * 1.5)
    results = results_of(make_runs(worth(), dims=(4,)), overhead=pd.concat([timed, again]))
    row = row_of(results.table(overhead_table), inner_dim=16)
    assert [row["ratio_q25"], row["ratio"], row["ratio_q75"]] == pytest.approx([1.2, 1.3, 1.4])
    assert results.table(overhead_means)["ratio"].to_list() == pytest.approx([1.4])


def test_tables_are_written_twice_alike(tmp_path):
    tables = all_tables(read_results(make_results(tmp_path, auc=planted_auc)))
    write_tables(tables, tmp_path / "tables")
    assert len(list((tmp_path / "tables").iterdir())) == 2 * len(tables)
    for name, table in tables.items():
        parquet = pd.read_parquet(tmp_path / "tables" / f"{name}.parquet")
        csv = pd.read_csv(tmp_path / "tables" / f"{name}.csv")
        assert len(parquet) == len(csv) == len(table) and list(parquet) == list(csv)
    assert "mlet-d4-k16,mlet,4,16," in (tmp_path / "tables" / "cells.csv").read_text()
