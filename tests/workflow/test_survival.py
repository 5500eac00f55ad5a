"""The DAG under trouble: a cell that fails, eight jobs at once, a second snakemake in the folder, a sync meanwhile."""

import json
import re
import time
from pathlib import Path

import forked
import pandas as pd
from kill_at import numbers
from toy_dag import TOY, snakemake, start

SMALL = TOY | {"datasets": {"avazu": {"source": "synthesize", "rows": 1500}}}
RUNS = 4  # two arms, two seeds


def test_a_failed_cell_stops_no_other_and_the_report_says_why(tmp_path):
    results = tmp_path / "results" / "toy"
    (tmp_path / "raw.txt").write_text("1\tno Criteo row\n")
    broken = {"criteo-kaggle": {"source": "file", "file": str(tmp_path / "raw.txt")}}
    bad = results / "runs/avazu/dlrm/mlet-d4-k8/seed1"
    bad.mkdir(parents=True)
    (bad / "checkpoint.pt").write_text("no checkpoint")
    done = snakemake(tmp_path, "--cores", "2", config=SMALL | {"datasets": SMALL["datasets"] | broken})
    assert done.returncode != 0
    said = (results / "logs/avazu/dlrm/mlet-d4-k8/cell.log").read_text()
    assert "mlet-bench cell: error: " in said and "checkpoint.pt" in said and "Traceback" not in said
    for seed in (0, 1):
        assert (results / f"runs/avazu/dlrm/single-d4/seed{seed}/metrics.json").exists()
    # The report was written although the DAG did not come that far.
    status = pd.read_parquet(results / "tables" / "runs.parquet").set_index(["dataset", "cell", "seed"])
    assert status.loc["criteo-kaggle"].reason.str.contains("prepare: error: .*raw.txt, line 1").all()
    status = status.loc["avazu"]
    assert status.loc["mlet-d4-k8"].status.tolist() == ["failed", "failed"]
    assert status.loc["single-d4"].status.tolist() == ["done", "done"]
    assert "checkpoint.pt" in status.loc[("mlet-d4-k8", 1), "reason"]
    for page in ("report.html", "summary.md"):
        assert "checkpoint.pt" in (results / page).read_text()
    assert re.search(r"^\d+ runs created, 0 updated, 0 unchanged, \d+ failed$", done.stdout + done.stderr, re.MULTILINE)

    (bad / "checkpoint.pt").unlink()
    again = snakemake(tmp_path, "--cores", "2", config=SMALL)
    assert again.returncode == 0, again.stderr
    assert (pd.read_parquet(results / "tables" / "runs.parquet").status == "done").all()
    trained = [line for line in again.stderr.splitlines() if re.match(r"\s*cell\s+\d", line)]
    assert trained and trained[0].split()[1] == "1"  # the cell that had failed, no other


def test_eight_jobs_a_second_snakemake_and_a_sync_at_once(finished, tmp_path):
    first = start(tmp_path, "--cores", "8")
    results = tmp_path / "results" / "toy"
    try:
        while not list((tmp_path / ".snakemake" / "locks").glob("*")) and first.poll() is None:
            time.sleep(0.1)
        second = snakemake(tmp_path, "--cores", "1")
        assert second.returncode != 0 and "Directory cannot be locked" in second.stderr
        while not (results / "config.json").exists() and first.poll() is None:
            time.sleep(0.1)
        syncs = []
        while first.poll() is None:
            syncs.append(forked.run("sync", results, imported=forked.STORE))
            time.sleep(1)
    finally:
        first.wait()
    assert first.returncode == 0, Path(tmp_path, "snakemake.log").read_text(encoding="utf-8")[-3000:]
    assert syncs and not [sync.stderr for sync in syncs if sync.returncode]
    last = forked.run("sync", results, imported=forked.STORE)
    assert last.stdout.startswith("0 runs created") and last.returncode == 0
    one, other = numbers(finished / "results" / "toy" / "runs"), numbers(results / "runs")
    assert one == other  # eight jobs at once give the bits of two
    assert json.loads((results / "config.json").read_text())["profile"] == "toy"
