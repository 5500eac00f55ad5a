"""A results folder of real runs, made by the commands of the DAG in this process, and what a report says of it."""

import functools
from pathlib import Path

import pandas as pd
from staged import call

from mlet_bench.config import check_config
from mlet_bench.files import write_sealed
from mlet_bench.tables.read import read_results
from mlet_bench.tables.results import Results

CONFIG = {
    "profile": "toy",
    "datasets": {"avazu": {"source": "synthesize", "rows": 900}},
    "arms": ["single", "mlet"],
    "controls": {"enabled": True, "arms": ["single-lr-tuned"]},
    "embedding_lr_factors": [1, 4],
    "dims": [4],
    "inner_dims": [8],
    "seeds": [0, 1],
    "training": {"validations": 2, "batch_size": 64},
    "keep": "all",
    "device": "cpu",
    "overhead": {"pairs": 5, "steps": 1},
}
CELLS = {"single-d4": ("single",), "mlet-d4-k8": ("mlet", "--inner-dim", 8), "single-lr-tuned-d4": ("single-lr-tuned",)}
FRAMES = ("runs", "curves", "spectrum", "reweighting", "rare", "tuned")


def make_finished(place: Path) -> Path:
    """Make ``place/toy`` with all that the DAG makes before the report; the raw file is packed."""
    results = place / "toy"
    raw, data = results / "raw/avazu.txt.gz", results / "data/avazu"
    write_sealed(results / "config.json", check_config(CONFIG))
    words = [("synthesize", "avazu", "--rows", 900, "--out", raw), ("prepare", "avazu", "--raw", raw, "--out", data)]
    words += [cell_words(results, cell) for cell in CELLS]
    timed = results / "overhead/avazu/dlrm.parquet"
    words += [("overhead", "--data", data, "--dims", 4, "--inner-dims", 8, "--pairs", 5, "--steps", 1, "--out", timed)]
    for each in words:
        assert call(*each) == 0
    return results


def runs_of(results: Path, cell: str) -> Path:
    return results / "runs/avazu/dlrm" / cell


def cell_words(results: Path, cell: str) -> tuple:
    """The command that makes the runs of a cell."""
    place = runs_of(results, cell)
    words = ("cell", "--data", results / "data/avazu", "--arm", *CELLS[cell], "--dim", 4, "--seed", 0, 1)
    words += ("--embedding-lr-factors", 1, 4) if "tuned" in cell else ()
    words += ("--validations", 2, "--batch-size", 64, "--device", "cpu", "--keep", "all")
    return (*words, "--out", place / "seed{seed}", "--index", place / "runs.json")


def is_told(right: Results, results: Path) -> str:
    """How the report says what it says: ``survived``, all numbers are right; ``refused``, a sentence says what is not.

    ``wrong``: a number of a run that counts as done differs from the right one.

    Raises:
        BenchError: there is no report.
    """
    found = read_results(results)
    missing = found.runs[found.runs["status"] != "done"]
    assert missing["reason"].str.len().gt(3).all()
    done = set(_keys(found.runs[found.runs["status"] == "done"]))
    for name in FRAMES:
        expected, frame = getattr(right, name), getattr(found, name)
        columns = [column for column in expected.columns if column != "reason"]
        expected = expected.loc[[key in done for key in _keys(expected)], columns]
        frame = frame[frame["status"] == "done"] if name == "runs" else frame
        if not same(expected, frame[columns]):
            return "wrong"
    if not found.untimed and not same(right.overhead, found.overhead):
        return "wrong"
    same_schemas = found.schemas == {name: right.schemas[name] for name in found.schemas}
    if found.config != right.config or not same_schemas:
        return "wrong"
    return "refused" if len(missing) or found.untimed else "survived"


def _keys(frame: pd.DataFrame) -> list[tuple]:
    return list(frame[["cell", "seed"]].itertuples(index=False, name=None))


def same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two frames hold the same rows in the same order, NaN being equal to itself."""
    one, other = one.reset_index(drop=True), other.reset_index(drop=True)
    return one.equals(other) or (one.empty and other.empty)


right_of = functools.cache(read_results)
