"""The last word on a run: its deployed model, scored on validation and, once, on test."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from mlet_bench.data.dataset import Rows
from mlet_bench.errors import BenchError
from mlet_bench.evaluation.deploy import load_deployed
from mlet_bench.evaluation.frequency import quality_by_frequency
from mlet_bench.evaluation.metrics import METRICS as ALL_METRICS
from mlet_bench.evaluation.metrics import all_metrics
from mlet_bench.evaluation.score import logits, score
from mlet_bench.evaluation.scores import probabilities
from mlet_bench.parquet import as_array, table_of_columns
from mlet_bench.runs import BY_FREQUENCY, CURVE, METRICS, SCORES, RunFolder
from mlet_bench.spec import DatasetSchema


def evaluate_run(
    folder: Path, schema: DatasetSchema, data: dict[str, Rows], frequencies: dict[str, np.ndarray]
) -> dict:
    """Score a run's deployed model: ``metrics.json``, ``rare.parquet`` and ``scores.parquet``, once.

    Nothing of the factorised model is read: what is scored is what would be served.

    Args:
        data: the splits ``val`` and ``test``, on one device.
        frequencies: what test rows are grouped by, as ``row_frequencies`` gives it: the same for all runs on a split.

    Returns:
        the content of ``metrics.json``: ``val`` and ``test``, the metrics of evaluation/metrics.py, ``bytes`` and
        ``deployed_sha256``; ``authors_selection`` as well where the run asked for it.

    Raises:
        BenchError: no deployed model, or one trained on other data.
    """
    run = RunFolder(folder)
    spec = run.spec
    model, description = load_deployed(folder)
    if description["fingerprint"] != schema.fingerprint:
        raise BenchError(
            f"{folder} was trained on data with fingerprint {description['fingerprint']}, the data set given has "
            f"{schema.fingerprint}: scores would mean nothing"
        )
    if all(run.is_whole(part, spec) for part in (METRICS, BY_FREQUENCY, SCORES)):
        stored = run.document(METRICS, spec)
        if stored["deployed_sha256"] == description["sha256"] and ALL_METRICS.keys() <= stored["test"].keys():
            return stored  # the test split is scored once; again where a metric is new
    test = data["test"]
    model.to(test.label.device)
    label, logit = test.label.cpu().numpy(), logits(model, test)
    probability = probabilities(logit)
    run.write_table(SCORES, table_of_columns([label, logit], SCORES.columns), spec.id, compression="zstd")
    by_frequency = quality_by_frequency(label, probability, frequencies)
    run.write_table(BY_FREQUENCY, by_frequency, spec.id)
    metrics = {
        "val": score(model, data["val"]),
        "test": all_metrics(label, probability),
        "bytes": description["bytes"],
        "deployed_sha256": description["sha256"],
    }
    if spec.authors_selection:
        metrics["authors_selection"] = authors_selection(run.table(CURVE, spec))
    return run.write_document(METRICS, metrics, spec.id)


def authors_selection(curve: pa.Table) -> dict[str, float]:
    """What the authors' code reports: the test AUC at the best test accuracy among the periodic evaluations.

    Selection on the scored rows; kept beside the sound number, never in its place.

    Args:
        curve: with the columns ``step``, ``test_auc``, ``test_accuracy``, at least one row; the first best one counts.
    """
    best = curve.slice(int(np.nanargmax(as_array(curve["test_accuracy"]))), 1).to_pylist()[0]
    return {"auc": best["test_auc"], "accuracy": best["test_accuracy"], "step": best["step"]}
