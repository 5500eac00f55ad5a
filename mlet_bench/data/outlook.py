"""What a preparation would give, and what in it may mislead: a trial in a temporary folder that is not kept."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mlet_bench.data import DATASETS
from mlet_bench.data.dataset import Rows, load_split, training_counts
from mlet_bench.data.prepare import prepare_as
from mlet_bench.spec import SPLITS, DatasetSchema

DIM = 16
EXTREME = 0.999  # an AUC of a dense column alone, from which on it gives the label away


def outlook(
    name: str, raw: Path, split: Any = None, max_rows: int | None = None, options: Any = None, called: str | None = None
) -> str:
    """Prepare on trial and describe the result; the arguments are those of ``prepare``. Needs memory for all rows.

    Raises:
        BenchError: as ``prepare``.
    """
    data = DATASETS[name](options, split)
    with TemporaryDirectory(prefix="mlet-bench-") as folder:
        out = Path(folder) / "data"
        schema = prepare_as(data, raw, out, max_rows, called)
        parts = {part: load_split(out, schema, part) for part in SPLITS}
        counts = [training_counts(out, schema, field.name) for field in schema.fields]
    lines = [f"{column}: {kind}" for column, kind in data.types().items()]
    lines += [f"{field.name}: {field.size:,} categories" for field in schema.fields]
    size = sum(schema.table_sizes)
    lines.append(f"all tables: {size:,} categories, {size * DIM * 4:,} bytes at d={DIM} (float32)")
    for part, rows in parts.items():
        lines.append(f"{part}: {len(rows):,} rows, {schema.clicks[part] / len(rows):.2%} with label 1")
    lines += [f"warning: {warning}" for warning in _warnings(schema, parts, counts)]
    return "\n".join([*lines, "a dry run: nothing was written"])


def _warnings(schema: DatasetSchema, parts: dict[str, Rows], counts: list[np.ndarray]) -> Iterator[str]:
    label = np.concatenate([rows.label.numpy() for rows in parts.values()])  # (N,)
    for part, rows in parts.items():
        if schema.clicks[part] in (0, len(rows)):
            yield f"{part} has rows of one label only: no AUC can be computed on it; use another split or more rows"
    for number, field in enumerate(schema.fields):
        ids = np.concatenate([rows.ids[:, number].numpy() for rows in parts.values()])
        shown = np.bincount(ids, minlength=field.size)
        clicked = np.bincount(ids, weights=label, minlength=field.size)
        if field.size > 0.9 * len(ids):
            yield f"{field.name} differs in nearly every row: nothing can be learnt about its categories; leave it out"
        elif _decides(shown, clicked):
            yield f"{field.name} decides the label: each of its categories has one label only; is it known beforehand?"
        unseen = (counts[number][parts["test"].ids[:, number].numpy()] == 0).mean()
        if unseen > 0.5:
            yield f"{unseen:.0%} of the test rows have a category of {field.name} that no training row has"
    for number, name in enumerate(schema.dense):
        values = np.concatenate([rows.dense[:, number].numpy() for rows in parts.values()])
        auc = _auc(values, label)
        if max(auc, 1 - auc) > EXTREME:
            yield f"{name} decides the label: alone it has an AUC of {max(auc, 1 - auc):.4f}; is it known beforehand?"


def _decides(shown: np.ndarray, clicked: np.ndarray) -> bool:
    """Whether categories (n,) that repeat have one label each, there being both labels and enough rows to tell."""
    repeated = shown > 1
    shown, clicked = shown[repeated], clicked[repeated]
    split = (clicked > 0) & (clicked < shown)
    return bool(clicked.any() and (clicked < shown).any() and not split.any() and shown.sum() >= 20)


def _auc(values: np.ndarray, label: np.ndarray) -> float:
    """AUC of one column as a score, ties halved; one half where a class is missing."""
    _, group = np.unique(values, return_inverse=True)
    totals = np.bincount(group).astype(float)
    positives = np.bincount(group, weights=label)
    negatives = totals - positives
    below = np.cumsum(negatives) - negatives
    pairs = positives.sum() * negatives.sum()
    return float((positives * (below + negatives / 2)).sum() / pairs) if pairs else 0.5
