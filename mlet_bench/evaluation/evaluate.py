"""The last word on a run: its deployed model, scored on validation and, once, on test."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mlet_bench.data.dataset import Rows
from mlet_bench.errors import BenchError
from mlet_bench.evaluation.deploy import load_deployed
from mlet_bench.evaluation.frequency import quality_by_frequency
from mlet_bench.evaluation.metrics import METRICS as ALL_METRICS
from mlet_bench.evaluation.metrics import all_metrics
from mlet_bench.evaluation.score import logits
from mlet_bench.evaluation.scores import probabilities
from mlet_bench.parquet import as_array, table_of_columns
from mlet_bench.runs import BY_FREQUENCY, CURVE, METRICS, SCORES, RunFolder
from mlet_bench.spec import DatasetSchema

SCORED = ("val", "test")  # splits


@dataclass(frozen=True)
class Prediction:
    """What a run's deployed model says of rows, on the host: metrics need no device.

    Attributes:
        logit: (N,) float32 by split, ``val`` and ``test``.
        model: of the model, as ``metrics.json`` has it: ``bytes`` and ``deployed_sha256``.
    """

    logit: dict[str, np.ndarray]
    model: dict[str, Any]


def evaluate_run(
    folder: Path, schema: DatasetSchema, data: dict[str, Rows], frequencies: dict[str, np.ndarray]
) -> dict:
    """Score a run's deployed model: ``predict_run``, then ``judge_run``, with the same arguments."""
    return judge_run(folder, predict_run(folder, schema, data), data, frequencies)


def predict_run(folder: Path, schema: DatasetSchema, data: dict[str, Rows]) -> Prediction | None:
    """What a run's deployed model says of ``val`` and ``test``; None where the run is scored already.

    Nothing of the factorised model is read: what is scored is what would be served. The test split is scored once, and
    again where a metric is new.

    Args:
        data: the splits ``val`` and ``test``, on one device.

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
            return None
    model.to(data["test"].label.device)
    logit = {split: logits(model, data[split]) for split in SCORED}
    return Prediction(logit, {"bytes": description["bytes"], "deployed_sha256": description["sha256"]})


def judge_run(
    folder: Path, prediction: Prediction | None, data: dict[str, Rows], frequencies: dict[str, np.ndarray]
) -> dict:
    """Write ``metrics.json``, ``rare.parquet`` and ``scores.parquet`` of a run from what ``predict_run`` gave.

    Args:
        data: the splits ``val`` and ``test``, whose labels are looked at.
        frequencies: what test rows are grouped by, as ``row_frequencies`` gives it: the same for all runs on a split.

    Returns:
        the content of ``metrics.json``: ``val`` and ``test``, the metrics of evaluation/metrics.py, ``bytes`` and
        ``deployed_sha256``; ``authors_selection`` as well where the run asked for it.
    """
    run = RunFolder(folder)
    spec = run.spec
    if prediction is None:
        return run.document(METRICS, spec)
    val, label = (data[split].label.cpu().numpy() for split in SCORED)
    logit = prediction.logit["test"]
    probability = probabilities(logit)
    run.write_table(SCORES, table_of_columns([label, logit], SCORES.columns), spec.id, compression="zstd")
    by_frequency = quality_by_frequency(label, probability, frequencies)
    run.write_table(BY_FREQUENCY, by_frequency, spec.id)
    metrics = {
        "val": all_metrics(val, probabilities(prediction.logit["val"])),
        "test": all_metrics(label, probability),
        **prediction.model,
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
