"""Reduction factors, rare categories and longer trainings, on planted numbers."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fake_results import make_results, small_config

from mlet_bench.arms import ARMS
from mlet_bench.claims.c1_reduction import ReductionClaim, reduction_table
from mlet_bench.claims.c4_rank import RankClaim
from mlet_bench.claims.c7_rare import RareClaim, gains_by_group, rare_table
from mlet_bench.claims.comparisons import AS_PAPER
from mlet_bench.report.content import make_report
from mlet_bench.report.curves import longer_table
from mlet_bench.report.page import render, write_report
from mlet_bench.runs import TUNING, RunFolder
from mlet_bench.spec import cell_name
from mlet_bench.tables.read import read_results

GRID = {"dims": [4, 8, 16], "inner_dims": [16], "seeds": [0, 1, 2, 3, 4]}


def summarise(results):
    """``summary.md`` without figures, which take most of the time."""
    return render("report.md.j2", make_report(read_results(results)), {})


def threefold(cell, seed):
    """Quality grows with log2 d; MLET is as good as a single layer three times as wide."""
    width = cell.dim * (3 if cell.arm == "mlet" else 1)
    return 0.7 + 0.01 * math.log2(width) + 0.001 * math.sin(seed)


def test_a_known_factor_is_found_and_bounded_beyond_the_range(tmp_path):
    results = read_results(make_results(tmp_path, small_config(**GRID), auc=threefold))
    table = results.table(reduction_table).query("metric == 'auc'").set_index("dim")
    assert table.loc[4, "factor"] == pytest.approx(3, rel=1e-6)
    assert table.loc[4, "factor_low"] <= 3 <= table.loc[4, "factor_high"]
    assert table.loc[4, "bytes_factor"] == pytest.approx(3, rel=1e-6)
    assert table.loc[16, "factor"] == math.inf and table.loc[16, "text"].startswith("not measurable")
    assert (table["pairs"] == 5).all()


@pytest.mark.parametrize(("scale", "factor"), [(1.0, 1.0), (0.5, 0.0)])
def test_a_tie_is_one_and_a_loss_is_a_bound(tmp_path, scale, factor):
    def auc(cell, seed):
        return 0.7 + 0.01 * math.log2(cell.dim * (scale if cell.arm == "mlet" else 1)) + 0.001 * math.sin(seed)

    table = reduction_table(read_results(make_results(tmp_path, small_config(**GRID), auc=auc)))
    found = table.query("metric == 'auc' and dim == 4").iloc[0]
    assert found["factor"] == pytest.approx(factor)
    assert factor or found["text"].startswith("<= 1x")


def test_seeds_that_are_missing_anywhere_do_not_enter(tmp_path):
    skip = {("single-d8", 0), ("mlet-d4-k16", 1)}
    results = read_results(make_results(tmp_path, small_config(**GRID), auc=threefold, skip=skip))
    table = results.table(reduction_table).query("metric == 'auc'").set_index("dim")
    assert table["pairs"].to_dict() == {4: 3, 8: 4, 16: 4}


def test_one_width_gives_no_factor_and_says_so(tmp_path):
    table = reduction_table(read_results(make_results(tmp_path, small_config())))
    assert table["factor"].isna().all() and table["pairs"].tolist() == [0, 0]  # at equal AUC and at equal LogLoss
    assert table["text"].str.startswith("not measurable: single has one width").tolist() == [True, True]


def test_factors_in_bytes_stand_beside_those_in_d_where_they_differ(tmp_path):
    """MLET is as good as a table three times as wide, by LogLoss twice; served in half of its bytes six and four."""
    config, halved = small_config(**GRID), lambda cell: 480 * cell.dim // (2 if cell.arm == "mlet" else 1)
    same = ReductionClaim().section(read_results(make_results(tmp_path / "same", config, auc=threefold)))
    results = read_results(make_results(tmp_path / "half", config, auc=threefold, table_bytes=halved))
    results.runs.loc[results.runs["arm"] == "mlet", "test_logloss"] += 0.01 * math.log2(3 / 2)
    half, table = ReductionClaim().section(results), results.table(reduction_table)
    assert table["bytes_factor"][0] == pytest.approx(2 * table["factor"][0])
    assert half.tables[0][1].header[5:] == [f"at equal {name}" for name in
                                            ("AUC", "LogLoss", "AUC in bytes", "LogLoss in bytes")]  # fmt: skip
    assert [text[:5] for text in half.tables[0][1].rows[0][5:]] == ["3.00x", "2.00x", "6.00x", "4.00x"]
    assert "do not grow as d" in half.text[0] and len(half.tables[0][1].rows) == 3  # one for each d
    assert len(same.tables[0][1].header) == 7 and "grow as d, so" in same.text[0]


def test_a_linear_part_makes_the_factor_in_bytes_less(tmp_path):
    """The paper's 16x, d 64 to 4, is (64 + 1) / (4 + 1) = 13x of what is stored: the linear part stays."""

    def auc(cell, seed):
        return 0.7 + 0.01 * math.log2(64 if cell.arm == "mlet" else cell.dim) + 0.001 * math.sin(seed)

    config = small_config(**GRID | {"dims": [4, 16, 64], "inner_dims": [64]})
    results = read_results(make_results(tmp_path, config, auc=auc))
    results.runs["deployed_linear_bytes"] = results.runs["deployed_tables_bytes"] // results.runs["dim"]
    table = results.table(reduction_table).query("metric == 'auc' and dim == 4").iloc[0]
    assert [table[name] for name in ("factor", "bytes_factor", "linear_factor")] == pytest.approx([16, 16, 13])
    section = ReductionClaim().section(results)
    ((_, shown),) = section.tables
    assert shown.header[-2:] == [f"at equal {name} in bytes with the linear part" for name in ("AUC", "LogLoss")]
    assert shown.rows[0][-2].startswith("13.00x") and "with its bytes the factor is less" in section.text[0]
    (setting,) = results.settings
    found = ReductionClaim().find(setting, AS_PAPER)
    assert "16.00x" in found.number and "13.00x" in found.number


def rare_rows(gain):
    rows = [
        {"dataset": "avazu", "model": "dlrm", "cell": arm, "arm": arm, "dim": 4, "inner_dim": pd.NA, "seed": seed,
         "grouping": "rare fields", "group": group, "low": 10.0 * group, "high": 10.0 * group + 9, "rows": 100,
         "clicks": 9, "auc": 0.6 + 0.05 * group + 0.001 * seed + (gain[group] if arm == "mlet" else 0), "logloss": 0.4}
        for arm in ("single", "mlet") for seed in range(5) for group in range(2)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_gains_of_rare_groups_are_paired():
    table = rare_table(SimpleNamespace(rare=rare_rows({0: 0.03, 1: -0.01}))).set_index("group")
    assert table["gain"].to_dict() == pytest.approx({0: 0.03, 1: -0.01})
    assert table["gain_low"].to_dict() == pytest.approx({0: 0.03, 1: -0.01})  # equal pairs: no spread
    assert (table["pairs"] == 5).all()
    rows = rare_rows({0: 0.03, 1: -0.01})
    other = rows[rows["arm"] == "single"].assign(arm="single-lr", cell="single-lr", auc=rows["auc"] + 0.01)
    both = rare_table(SimpleNamespace(rare=pd.concat([rows, other]))).set_index(["arm", "group"])
    assert (both["pairs"] == 5).all() and both["gain"].to_dict() == pytest.approx(
        {("mlet", 0): 0.03, ("mlet", 1): -0.01, ("single-lr", 0): 0.01, ("single-lr", 1): 0.01}
    )


def test_rare_categories_have_a_section(tmp_path):
    section = RareClaim().section(read_results(make_results(tmp_path)))
    assert section.figures == ["rare"] and section.tables


def test_a_group_without_an_auc_is_left_out():
    rows = rare_rows({0: 0.03, 1: 0.0})
    rows.loc[(rows["arm"] == "single") & (rows["group"] == 0) & (rows["seed"] == 2), "auc"] = np.nan
    assert rare_table(SimpleNamespace(rare=rows)).set_index("group")["pairs"].to_dict() == {0: 4, 1: 5}


def test_longer_trainings_are_read_at_the_ends_of_epochs():
    rows = [
        {"dataset": "avazu", "model": "dlrm", "cell": arm, "arm": arm, "dim": 4, "inner_dim": pd.NA, "seed": seed,
         "step": half, "rows": half * 50, "train_loss": 0.4, "val_logloss": 0.4,
         "val_auc": 0.6 + 0.01 * half + (0.02 / half if arm == "mlet" else 0)}
        for arm in ("single", "mlet") for seed in range(5) for half in range(1, 9)
    ]  # fmt: skip
    schemas = {"avazu": SimpleNamespace(rows={"train": 100})}
    table = longer_table(SimpleNamespace(longer_curves=pd.DataFrame(rows), schemas=schemas))
    gains = table[table["arm"] == "mlet"].set_index("epoch")["gain"].to_dict()
    assert gains == pytest.approx({1: 0.01, 2: 0.005, 3: 0.02 / 6, 4: 0.0025})
    assert table[table["arm"] == "single"]["gain"].isna().all()


def test_longer_cells_enter_no_table_of_the_main_grid_but_are_reported(tmp_path):
    longer = {"arms": ["single", "mlet"], "epochs": 2}
    results = make_results(tmp_path, small_config(longer=longer), skip={("mlet-d4-k16-e2", 1)})
    write_report(results)
    cells = pd.read_parquet(results / "tables" / "cells.parquet")
    assert cells["cell"].tolist() == ["single-d4", "mlet-d4-k16"]
    summary = (results / "summary.md").read_text()
    assert "mlet-d4-k16-e2 | 1 | missing" in summary
    assert "Does it last?" in summary and (results / "figures" / "longer.svg").is_file()


@pytest.mark.parametrize(("chosen", "edge"), [(4, "largest"), (3, ""), (1, "smallest")])
@pytest.mark.parametrize("arm", ["single-lr-tuned", "mlet-lr-tuned"])
def test_what_a_tuned_cell_tried_is_told_and_a_choice_at_the_edge_doubted(tmp_path, arm, chosen, edge):
    results = make_results(tmp_path, small_config(arms=["single", "mlet", arm]))
    candidates = [{"factor": factor, "val_auc": 0.7 + factor / 100, "val_auc_by_seed": {}} for factor in (1, 3, 4)]
    candidates.insert(1, {"factor": 2, "val_auc": None, "val_auc_by_seed": {}, "failed": "diverged"})
    cell = cell_name(arm, 4, 16 if ARMS[arm].inner_dim else None)
    run = results / "runs" / "avazu" / "dlrm" / cell / "seed0"
    folder = RunFolder(run)
    folder.write_document(TUNING, {"chosen": chosen, "by": "val_auc", "candidates": candidates}, folder.spec.id)
    summary = summarise(results)
    said = f"{chosen} (the {edge} tried)" if edge else "3"
    assert f"| avazu | {cell} | 0.71000 | – | 0.73000 | 0.74000 | {said} |" in summary
    for end in ("largest", "smallest"):
        assert (f"avazu {cell} chose the {end} embedding learning rate" in summary) == (end == edge)


def test_ranks_of_each_arm_by_stage_and_weighting_and_beside_the_authors(tmp_path):
    """Weighted ranks are made half of the plain ones; on other rows, or of another model, all are a quarter."""
    datasets = {name: {"source": "download"} for name in ("avazu", "criteo-kaggle")}
    arms = ["single", "mlet", "mlet-frozen", "single-lr"]
    config = small_config(datasets=datasets, models=["dlrm", "dcn"], arms=arms, inner_dims=[64], seeds=[0])
    results = read_results(make_results(tmp_path, config))
    spectrum = results.spectrum
    spectrum.loc[spectrum["weighting"] == "training", "effective_rank"] /= 2
    spectrum.loc[(spectrum["dataset"] != "avazu") | (spectrum["model"] != "dlrm"), "effective_rank"] /= 4
    (_, ours), (_, authors) = RankClaim().section(results).tables
    assert len(ours.rows) == 16 and [row[2:] for row in ours.rows if row[:2] == ["avazu", "DLRM"]] == [
        ["single", "4", "–", "3.80", "3.60", "–", "1.80", "1.80"],
        ["mlet", "4", "64", "3.80", "3.20", "2 of 2", "1.60", "1.60"],
        ["mlet-frozen", "4", "64", "3.80", "3.20", "2 of 2", "1.60", "1.60"],
        ["single-lr", "4", "64", "3.80", "3.60", "0 of 2", "1.80", "1.80"],
    ]
    assert len(authors.rows) == 8
    assert authors.rows[0] == ["4", "64", "3.373", "3.481", "7 of 21", "3.60", "3.20", "2 of 2"]


def test_each_control_stands_beside_mlet_of_its_width(tmp_path):
    gains = {"single": 0.0, "mlet": 0.004, "single-lr": 0.003, "single-lr-tuned": 0.002}
    config = small_config(arms=list(gains), dims=[4, 8], inner_dims=[16, 64], seeds=[0])

    def auc(cell, seed):
        return 0.7 + gains[cell.arm] * (cell.inner_dim or 16) / 16 * cell.dim / 4

    summary = summarise(make_results(tmp_path, config, auc=auc))
    table = summary.split("## What explains it")[1].split("\n## ")[0]
    assert "| data | d | k | mlet | single-lr | single-lr-tuned |" in table
    assert "| avazu | 4 | 16 | +0.00400 | +0.00300 | +0.00200 |" in table
    assert "| avazu | 4 | 64 | +0.01600 | +0.01200 | +0.00200 |" in table
    assert "| avazu | 8 | 64 | +0.03200 | +0.02400 | +0.00400 |" in table and table.count("| avazu |") == 4
    alone = summarise(make_results(tmp_path / "alone", auc=lambda cell, seed: 0.7))
    assert "What explains it" not in alone


def test_gains_by_frequency_one_column_a_group():
    rows = [
        {"dataset": "avazu", "model": "dlrm", "cell": "mlet-d4-k16", "arm": "mlet", "dim": 4, "inner_dim": 16,
         "grouping": "rare fields", "group": group, "low": low, "high": high, "rows": 1000, "pairs": 1,
         "gain": 0.001 * group, "gain_low": math.nan, "gain_high": math.nan}
        for group, low, high in ((0, 0, 0), (1, 1, 1500))
    ]  # fmt: skip
    table = gains_by_group(pd.DataFrame(rows))
    assert table.header[4:] == ["0 (1,000 rows)", "1 to 1,500 (1,000 rows)"]
    assert table.rows == [["mlet", "4", "16", "1", "+0.00000", "+0.00100"]]
