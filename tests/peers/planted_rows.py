"""Planted raw files and their prepared rows, made once a process in a temporary folder; genuine ones, too."""

import atexit
import os
import tempfile
from functools import cache
from pathlib import Path

from agreements import PeerAbsent

from mlet_bench.data.dataset import Rows, load_split
from mlet_bench.data.generate import synthesize
from mlet_bench.data.prepare import prepare
from mlet_bench.spec import DatasetSchema

ROWS = 20_000
GENUINE = "MLET_BENCH_GENUINE"


@cache
def folder() -> Path:
    """The process's temporary folder."""
    temporary = tempfile.TemporaryDirectory(prefix="mlet-bench-peers-")
    atexit.register(temporary.cleanup)
    return Path(temporary.name)


@cache
def planted(name: str, rows: int = ROWS) -> Path:
    """A planted raw file of data set `name`."""
    raw = folder() / f"{name}-{rows}.txt"
    synthesize(name, rows, seed=1, out=raw)
    return raw


@cache
def prepared(raw: Path, name: str) -> tuple[DatasetSchema, dict[str, Rows]]:
    """A raw file prepared by us: its schema and the rows of each split."""
    out = folder() / f"{raw.stem}.prepared"
    schema = prepare(name, raw, out)
    return schema, {split: load_split(out, schema, split) for split in ("train", "val", "test")}


def genuine() -> Path:
    """A file of genuine Criteo rows; raises PeerAbsent."""
    if not os.environ.get(GENUINE):
        raise PeerAbsent(f"{GENUINE} is not set: give it a folder with genuine rows, criteo_kaggle_sample.txt")
    return Path(os.environ[GENUINE]) / "criteo_kaggle_sample.txt"
