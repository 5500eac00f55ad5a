"""A peer's preparation beside ours, on the same raw Criteo file."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from agreements import FOLDER, Agreement
from checkouts import Peer, old_numpy_python
from planted_rows import prepared

SPLITS = ("train", "test", "val")  # in the order of the raw file


@dataclass(frozen=True)
class Prepared:
    """A prepared file. N rows: those of train, test, val one after the other, which is the raw file's order.

    Attributes:
        counts: (26,) table sizes.
        rows: of train, test and val.
        dense: (N, 13) float32; ids: (N, 26); label: (N,).
    """

    counts: np.ndarray
    rows: tuple[int, ...]
    dense: np.ndarray
    ids: np.ndarray
    label: np.ndarray


@cache
def run_peer(peer: Peer, kind: str, raw: Path, order: str) -> Prepared:
    """What drive_preparation.py made of a raw file; raises PeerAbsent."""
    python, checkout = old_numpy_python(), peer.path
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(raw, Path(folder) / "train.txt"))
        out = Path(folder) / "out.npz"
        command = [python, FOLDER / "drive_preparation.py", checkout, kind, copy, out, order]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(command, capture_output=True, text=True, env=clean)
        if done.returncode:
            raise RuntimeError(f"{peer.name}'s preparation failed: {done.stderr[-2000:]}")
        with np.load(out) as found:
            return joined(dict(found))


def joined(arrays: dict[str, np.ndarray]) -> Prepared:
    """The arrays of drive_preparation.py, in the raw file's order."""
    parts = {part: [arrays[f"{split}_{part}"] for split in SPLITS] for part in ("dense", "ids", "label")}
    rows = tuple(len(label) for label in parts["label"])
    return Prepared(arrays["counts"], rows, **{part: np.concatenate(values) for part, values in parts.items()})


def ours(raw: Path) -> Prepared:
    """The same from our preparation."""
    schema, splits = prepared(raw, "criteo-kaggle")
    arrays = {"counts": np.array(schema.table_sizes)}
    for split, rows in splits.items():
        arrays |= {f"{split}_{part}": getattr(rows, part).numpy() for part in ("dense", "ids", "label")}
    return joined(arrays)


def without_added_rows(theirs: Prepared, count: int) -> Prepared:
    """The fork's result without the rows that it makes up.

    Its reader gives every day the length of the longest and leaves what the last one lacks as rows of zeros, with
    label 0 and 26 empty tokens: 7 - (count mod 7) rows, 3 of the complete file, at the end of its last day. An empty
    token that no true row has becomes a further category.
    """
    added = len(theirs.label) - count
    assert added == -count % 7, f"{added} added rows"
    assert not theirs.label[count:].any() and not theirs.dense[count:].any(), "an added row is not empty"
    # Ids count from 0 in order of appearance, so the true rows' categories are those up to their largest id.
    counts = theirs.ids[:count].max(axis=0) + 1
    return Prepared(counts, theirs.rows, theirs.dense[:count], theirs.ids[:count], theirs.label[:count])


def compare(peer: Peer, mine: Prepared, theirs: Prepared, on: str) -> list[Agreement]:
    """Table sizes, labels, ids and dense values, row for row."""
    shape = f"{on}, {len(mine.label)} rows"
    equal = {
        "table sizes": unlike(mine.counts, theirs.counts),
        "labels, row for row": unlike(mine.label, theirs.label),
        "ids, row for row": unlike(mine.ids, theirs.ids),
    }
    apart = ulps(mine.dense, theirs.dense)
    share = f"{shape}; {np.mean(apart > 0):.2%} of values differ"
    what = "preparation: dense values, in units of the last float32 bit"
    return [
        *(Agreement(peer.name, peer.version, f"preparation: {what}", shape, n, 0) for what, n in equal.items()),
        Agreement(peer.name, peer.version, what, share, float(apart.max()), 1),
    ]


def compare_splits(peer: Peer, mine: Prepared, theirs: Prepared, on: str) -> Agreement:
    """Sizes of train, test and val; equal sizes of equal rows in one order are equal splits."""
    apart = max(abs(a - b) for a, b in zip(mine.rows, theirs.rows, strict=True))
    shape = f"{on}, {'/'.join(str(rows) for rows in mine.rows)} rows"
    return Agreement(peer.name, peer.version, "preparation: train/test/val", shape, apart, 0)


def unlike(a: np.ndarray, b: np.ndarray) -> int:
    """Values that differ; every value of the longer one where shapes differ."""
    return int((a != b).sum()) if a.shape == b.shape else max(a.size, b.size)


def ulps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many float32 numbers lie between non-negative a and b. Both (N, D) → (N, D) int64."""
    assert a.shape == b.shape and a.dtype == b.dtype == np.float32, f"{a.shape} {a.dtype}, {b.shape} {b.dtype}"
    return np.abs((a + 0).view(np.int32).astype(np.int64) - (b + 0).view(np.int32))
