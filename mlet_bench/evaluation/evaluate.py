"""The last word on a run: its collapsed model, scored on validation and, once, on test."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from mlet_bench.data.dataset import Rows
from mlet_bench.errors import BenchError
from mlet_bench.evaluation.collapse import load_collapsed
from mlet_bench.evaluation.metrics import all_metrics
from mlet_bench.evaluation.rare import quality_by_frequency, row_frequencies
from mlet_bench.evaluation.score import logits, score
from mlet_bench.evaluation.scores import FILE, probabilities, write_scores
from mlet_bench.files import read_json, write_sealed
from mlet_bench.parquet import as_array, read_table, write_table
from mlet_bench.spec import DatasetSchema, RunSpec


def evaluate_run(folder: Path, schema: DatasetSchema, data: dict[str, Rows], counts: list[np.ndarray]) -> dict:
    """Score a run's collapsed model: ``metrics.json``, ``rare.parquet`` and ``scores.parquet``, once.

    Nothing of the factorised model is read: what is scored is what would be deployed.

    Args:
        data: the splits ``val`` and ``test``, on one device.
        counts: (n,) training rows of each category, a field each.

    Returns:
        ``{"val": {...}, "test": {...}, "bytes": {...}, "collapsed_sha256"}``, the metrics of evaluation/metrics.py;
        ``authors_selection`` as well where the run asked for it.

    Raises:
        BenchError: no collapsed model, or one trained on other data.
    """
    path = folder / "metrics.json"
    model, description = load_collapsed(folder)
    if description["fingerprint"] != schema.fingerprint:
        raise BenchError(
            f"{folder} was trained on data with fingerprint {description['fingerprint']}, the data set given has "
            f"{schema.fingerprint}: scores would mean nothing"
        )
    if path.exists() and (folder / "rare.parquet").exists() and (folder / FILE).exists():
        stored = read_json(path, "delete it and evaluate the run anew")
        if stored.get("collapsed_sha256") == description["sha256"]:
            return stored  # the test split is scored once
    model.to(data["test"].label.device)
    test = data["test"]
    label, logit = test.label.cpu().numpy(), logits(model, test)
    probability = probabilities(logit)
    write_scores(folder, label, logit)
    rare = quality_by_frequency(label, probability, row_frequencies(test.ids.cpu().numpy(), counts))
    write_table(folder / "rare.parquet", rare)
    metrics = {
        "val": score(model, data["val"]),
        "test": all_metrics(label, probability),
        "bytes": description["bytes"],
        "collapsed_sha256": description["sha256"],
    }
    if RunSpec.read(folder).authors_selection:
        metrics["authors_selection"] = authors_selection(read_table(folder / "curve.parquet", "train the run anew"))
    write_sealed(path, metrics)
    return metrics


def authors_selection(curve: pa.Table) -> dict[str, float]:
    """What the authors' code reports: the test AUC at the best test accuracy among the periodic evaluations.

    Selection on the scored rows; kept beside the sound number, never in its place.

    Args:
        curve: with the columns ``step``, ``test_auc``, ``test_accuracy``, at least one row; the first best one counts.
    """
    best = curve.slice(int(np.nanargmax(as_array(curve["test_accuracy"]))), 1).to_pylist()[0]
    return {"auc": best["test_auc"], "accuracy": best["test_accuracy"], "step": best["step"]}
