"""The comparison of two results folders: it tells a number that moved, and nothing that only stands elsewhere."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "same_tables.py"
FRAME = pd.DataFrame({"cell": ["a", "b"], "seed": [0, 1], "old_name": [0.1, float("nan")], "seconds": [1.0, 2.0]})


def compare(tmp_path, after):
    for name, frame in (("before", FRAME), ("after", after)):
        (tmp_path / name / "tables").mkdir(parents=True)
        frame.to_parquet(tmp_path / name / "tables" / "runs.parquet")
    folders = [str(tmp_path / "before"), str(tmp_path / "after")]
    more = ["--renamed", "old_name=auc", "--skip", "seconds"]
    return subprocess.run([sys.executable, str(SCRIPT), *folders, *more], capture_output=True, text=True)


SAME = FRAME.rename(columns={"old_name": "auc"}).assign(seconds=9.0)


@pytest.mark.parametrize(
    ("after", "code", "says"),
    [
        (SAME, 0, "runs: equal"),
        (SAME[::-1].assign(more=1), 0, "runs: more column more"),
        (SAME.assign(auc=[0.1 + 1e-16, float("nan")]), 1, "auc differs in 1 of 2 rows: ('a', '0'): 0.1, now 0.1"),
        (SAME[:1], 1, "1 rows are gone, ('b', '1') for one"),
        (SAME.drop(columns="auc"), 1, "column auc is gone"),
    ],
)
def test_what_differs_is_told(tmp_path, after, code, says):
    done = compare(tmp_path, after)
    assert done.returncode == code and says in done.stdout, done.stdout + done.stderr
