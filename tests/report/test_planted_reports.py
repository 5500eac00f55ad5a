"""Planted effects through the whole report: what was put in is what the first screen, the ledger and the page say."""

import math

import pandas as pd
import pyarrow as pa
import pytest
from fake_results import make_results, small_config

from mlet_bench.evaluation.frequency import WHOLE
from mlet_bench.files import write_json
from mlet_bench.report.content import make_report
from mlet_bench.report.page import all_tables, render, write_report
from mlet_bench.runs import BY_FREQUENCY, RunFolder
from mlet_bench.tables.read import read_results

GRID = {"datasets": {"avazu": {"source": "download"}}, "dims": [4, 16, 32], "inner_dims": [32, 64]}
SEEDS = [0, 1, 2, 3, 4]


def worth(factor):
    """AUC of a run: .01 a doubling of d; MLET as good as a single layer ``factor`` times as wide, seeds in common."""

    def auc(cell, seed):
        width = cell.dim * (factor if cell.arm == "mlet" else 1)
        return 0.7 + 0.01 * math.log2(width) + 0.001 * math.sin(seed)

    return auc


def planted(tmp_path, factor, seeds=SEEDS, **options):
    """Run folders of a grid on all rows of Avazu, as far as the report knows."""
    config = small_config(**GRID, seeds=seeds)
    return make_results(tmp_path, config, planted=None, auc=worth(factor), full=True, **options)


def summarise(results):
    """``summary.md`` without figures, which take most of the time, and the tables."""
    found = read_results(results)
    return render("report.md.j2", make_report(found), {}), all_tables(found)


def lead(summary):
    """The first screen: what is said before the first section."""
    return summary.split("\n## ")[0].replace("\\", "")


def verdicts(tables):
    """Against single."""
    return tables["claims"].drop_duplicates("claim").set_index("claim")["verdict"].to_dict()


def test_a_known_factor_is_the_first_thing_said_everywhere(tmp_path):
    results = planted(tmp_path, factor=5.0)
    write_report(results)
    summary, claims, page = ((results / name).read_text() for name in ("summary.md", "claims.md", "report.html"))
    said = (
        "On avazu, MLET at d=4 is as good as a single table at d=20 (5.0x, 5.0-5.0x); a single table with a tuned step"
    )
    assert said in lead(summary) and said in page.split("<h2>")[0]
    assert "| against single | reproduced |" in claims and "| against single-lr-tuned | not run |" in claims
    assert "(against single: **reproduced**, against single-lr-tuned: **not run**" in summary
    assert 'against single <span class="chip reproduced">reproduced</span>' in page
    # In the figure too, and the bound of the cells that are wider than any single layer.
    assert "<title>mlet, d = 4, k = 64: 5.00x [5.00x, 5.00x] at equal AUC, 5 seeds</title>" in page
    assert "<title>mlet, d = 32, k = 64: not measurable: no wider baseline at equal AUC, 5 seeds</title>" in page
    assert pd.read_parquet(results / "tables" / "claims.parquet")["verdict"].iloc[0] == "reproduced"
    # By hand: at d=4, k=64 n·64 + 2·64·4 numbers of W1 and W2 beside n·4, n = 30.
    assert f"| {(30 * 64 + 2 * 64 * 4) / (30 * 4):.3g}x |" in summary.split("Memory, MB")[1]


@pytest.mark.parametrize(("factor", "said"), [(1.0, "0.0000 AUC (+0.0000 to +0.0000) above"), (0.4, "below")])
def test_a_tie_and_a_loss_are_not_called_gains(tmp_path, factor, said):
    summary, tables = summarise(planted(tmp_path, factor))
    assert said in lead(summary) and "as good as a single table at" not in lead(summary)
    assert verdicts(tables)["C1"] == "not reproduced"


def test_missing_cells_leave_it_undecided_and_are_named(tmp_path):
    lost = {(f"mlet-d4-k{k}", seed) for k in (32, 64) for seed in SEEDS}
    summary, tables = summarise(planted(tmp_path, factor=5.0, skip=lost))
    assert verdicts(tables)["C1"] == "not run"
    assert "10 runs missing; nothing stands in for them above." in summary
    assert "mlet-d4-k64" in summary.split("## Quality over embedding width")[0]  # the ledger's note
    assert "| mlet | 4 | 32 | 0 of 5 | missing | missing |" in summary


def test_one_seed_decides_nothing(tmp_path):
    summary, tables = summarise(planted(tmp_path, factor=5.0, seeds=[3]))
    assert "1 seed, where 5 are needed, cannot decide" in lead(summary)
    assert "with one seed each, so no interval can be given" in summary and "nan" not in summary.lower()
    assert verdicts(tables)["C1"] == verdicts(tables)["C4"] == "undecided"


def test_generated_rows_have_no_verdict_which_is_said_once(tmp_path):
    config = small_config(dims=[4, 16, 32], seeds=SEEDS, inner_dims=[64])
    summary, tables = summarise(make_results(tmp_path, config, auc=worth(5.0)))
    first, ledger = summary.split("\n## The claims")[0].split("\n## The ledger")
    assert first.count("No verdict: generated rows.") == 1 and "On avazu (generated rows), MLET" in first
    ledger = ledger.split("\n## ")[0]
    assert "not run |" not in ledger and "**not run**" not in ledger and "**C1** At equal" in ledger
    assert "5.00x" in tables["claims"]["number"].iloc[0]


def test_failed_runs_show_their_reason_and_each_run_its_id(tmp_path):
    results = make_results(tmp_path)
    for seed in (0, 1):
        run = results / f"runs/avazu/dlrm/mlet-d4-k16/seed{seed}"
        write_json(
            run / "failed.json", {"stage": "train", "kind": "diverged", "error": f"the loss is NaN at step {seed}"}
        )
    (results / "runs/avazu/dlrm/single-d4/seed1/spec.json").unlink()
    write_report(results)
    summary, page = ((results / name).read_text() for name in ("summary.md", "report.html"))
    assert "2 runs failed and 1 run missing; nothing stands in for them above." in summary
    assert "train: the loss is NaN at step 1" in summary and "train: the loss is NaN at step 0" in page
    (known,) = pd.read_parquet(results / "tables" / "runs.parquet")["run_id"].dropna()
    assert "\n4 rows, in `tables/runs.csv`.\n" in summary
    runs = page.split("<details>")[-1]
    assert f'<a href="mlflow.html#{known}">{known}</a>' in runs and "mlet_bench.run_id" in page
    assert 'href="runs/avazu/dlrm/single-d4/seed0/"' in runs and 'href="tables/runs.csv"' in runs


def test_both_intervals_stand_beside_each_other(tmp_path):
    config = small_config(seeds=SEEDS)
    results = make_results(tmp_path, config, auc=lambda cell, seed: 0.7 + (0.001 + 0.001 * seed) * (cell.arm == "mlet"))
    add_rows(results)
    # Differences .001 to .005, so .003 ± 2.776 · .001581 / √5 over seeds. What test rows add is (.002, 0) of single and
    # (0, .002) of mlet, so ± 1.960 · .002 √2 over rows, and the root of both squares in all.
    row = "| mlet | 4 | 16 | 5 | +0.00300 | \\[+0.00104, +0.00496\\] | \\[-0.00254, +0.00854\\] |"
    summary, tables = summarise(results)
    assert row in summary
    whole = tables["differences"].set_index("metric").loc["auc"]
    assert whole["high"] - whole["difference"] == pytest.approx(math.hypot(0.00196, 0.00554), abs=1e-5)
    # Two seeds have no interval of their own; the one over rows is theirs all the same.
    results = make_results(tmp_path / "two", auc=lambda cell, seed: 0.7 + 0.001 * (cell.arm == "mlet"))
    add_rows(results)
    assert "| mlet | 4 | 16 | 2 | +0.00100 | – | \\[-0.00454, +0.00654\\] |" in summarise(results)[0]


def add_rows(results):
    """What other test rows would change of each AUC, by two blocks of rows: another block's of single and of mlet."""
    for path in results.glob("runs/*/*/*/seed*"):
        run = RunFolder(path)
        moved = [0.002, 0.0] if run.spec.arm == "single" else [0.0, 0.002]
        table = run.table(BY_FREQUENCY)
        whole = table.slice(0, 1).to_pylist()[0] | {"grouping": WHOLE, "deviations": moved}
        both = pa.concat_tables([table.cast(BY_FREQUENCY.columns), pa.Table.from_pylist([whole], BY_FREQUENCY.columns)])
        run.write_table(BY_FREQUENCY, both, run.spec.id)


def test_the_authors_ranks_stand_beside_ours_where_the_cell_ran(tmp_path):
    config = small_config(datasets={"avazu": {"source": "download"}}, dims=[4, 8], inner_dims=[64])
    summary, _ = summarise(make_results(tmp_path, config, planted=None, full=True))
    table = summary.split("beside the authors'\n")[1]
    # Trained, ours are .9 d for single and .8 d for MLET, so both tables are lower.
    assert "| 4 | 64 | 3.373 | 3.481 | 7 of 21 | 3.60 | 3.20 | 2 of 2 |" in table
    assert "| 32 | 64 | 19.986 | 16.667 | 19 of 21 | – | – | – |" in table
    assert "| 32 | 8 | 19.986 | 5.71 | – | – | – | – |" in table


def test_factors_of_the_gradient_at_the_start_and_trained(tmp_path):
    # k = 16: squares of W2 are 1; of W1 1, then 4.
    row = "| avazu | mlet | 4 | 16 | 1 | 2 \\[2, 2\\] | 5 \\[5, 5\\] | 1 | 1 | 4 | 1 |"
    assert row in summarise(make_results(tmp_path))[0]


def test_points_of_the_main_figure_say_what_they_are(tmp_path):
    results = make_results(tmp_path, auc=lambda cell, seed: 0.7 + 0.01 * seed)
    write_report(results)
    words = "mlet, d = 4, k = 16: AUC 0.70500 (0.70000 to 0.71000), LogLoss 0.49500 (0.49000 to 0.50000), tables"
    assert f"<title>{words} 0.00048 MB, 2 seeds</title>" in (results / "report.html").read_text()
