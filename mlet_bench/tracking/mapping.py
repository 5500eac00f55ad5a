"""What of a run goes where in MLflow: its files, parameters, tags and metrics."""

import math
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from mlet_bench.files import digest, file_digest, read_json
from mlet_bench.reporting.collect import RunFiles
from mlet_bench.spec import RunSpec

RUN_ID = "mlet_bench.run_id"
CONTENT = "mlet_bench.content"
# Raised when the mapping below changes, so that runs already in a store are written anew.
LAYOUT = 4
# The small files of a run folder, those that a report reads among them; none is a model.
ARTIFACTS = (
    *("spec.json", "metrics.json", "collapsed.json", "provenance.json", "sampling.json", "tuning.json"),
    "data.json",
    *("curve.parquet", "spectrum.parquet", "rare.parquet", "factors.parquet"),
)


def artifacts_of(folder: Path) -> list[Path]:
    """Those of ``ARTIFACTS`` that a run folder has."""
    return [folder / name for name in ARTIFACTS if (folder / name).is_file()]


def content_of(folder: Path, files: Iterable[Path]) -> str:
    """A hash of files, by their names below a folder, and of how they are written to MLflow."""
    names = {file.relative_to(folder).as_posix(): file_digest(file) for file in files}
    return digest({"layout": LAYOUT, "files": names}, 32)


def content_of_tree(folder: Path) -> str:
    """The same of every file below a folder."""
    return content_of(folder, [path for path in folder.rglob("*") if path.is_file()])


def params_of(spec: RunSpec) -> dict[str, str]:
    """A run's parameters. One that means nothing to its arm is left out: a word would make the UI's axis no scale.

    ``trained_width``, the numbers trained for a category, is k, or d of a single layer: the UI draws parallel
    coordinates over parameters that all runs have, and a single layer has no ``inner_dim``.
    """
    params = {name: text_of(value) for name, value in asdict(spec).items() if value is not None}
    return params | {"trained_width": text_of(spec.inner_dim or spec.dim)}


def tags_of(run: RunFiles) -> dict[str, str]:
    provenance, spec = run.provenance, run.spec
    tags = {
        RUN_ID: spec.id,
        "mlet_bench.arm": spec.arm,
        "mlet_bench.cell": spec.cell,
        "mlet_bench.fingerprint": spec.fingerprint,
        "mlet_bench.commit": provenance.get("commit"),
        "mlet_bench.dirty": provenance.get("dirty"),
        "mlet_bench.device": provenance.get("device"),
        "mlet_bench.collapsed_sha256": run.metrics.get("collapsed_sha256"),
        "mlflow.source.name": "mlet-bench",
        "mlflow.source.git.commit": provenance.get("commit"),
    }
    return {name: text_of(value) for name, value in tags.items() if value is not None}


def metrics_of(run: RunFiles, start: int, end: int) -> list[tuple[str, float, int, int]]:
    """(name, value, time in ms, step) of every point; a value that was not measured gives no point."""
    last = int(run.curve["step"].max()) if len(run.curve) else 0
    points = {}
    for row in run.curve.to_dict("records"):
        when = start + round((end - start) * row["step"] / max(last, 1))
        for name in ("train_loss", "val_auc", "val_logloss"):
            points[name, int(row["step"])] = (row[name], when)
    finals = {f"{split}_{name}": value for split in ("val", "test") for name, value in run.metrics[split].items()}
    finals |= {f"authors_{name}": value for name, value in run.metrics.get("authors_selection", {}).items()}
    finals |= {f"bytes_{name}": value for name, value in run.metrics["bytes"].items()}
    finals |= {name: run.provenance[name] for name in ("rows_per_second", "seconds", "peak_memory_bytes")}
    if run.spectrum is not None:
        trained = run.spectrum[run.spectrum["stage"] == "trained"]
        for weighting, table in trained.groupby("weighting"):
            finals[f"effective_rank_{weighting}"] = table["effective_rank"].mean()
    # The final score, that of the collapsed model, replaces the curve's last point: one value a name and step.
    points |= {(name, last): (value, end) for name, value in finals.items()}
    return [
        (name, float(value), when, step)
        for (name, step), (value, when) in points.items()
        if value is not None and not math.isnan(value)
    ]


def times_of(provenance: dict[str, Any]) -> tuple[int, int]:
    """Start and end of a run in ms since 1970."""
    start = datetime.fromisoformat(provenance["started"]).timestamp()
    return round(start * 1000), round((start + provenance["seconds"]) * 1000)


def text_of(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "-".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def dataset_source(results: Path, run: RunFiles) -> dict[str, Any]:
    """What is known of the raw file behind a run's data set."""
    path = results / "data" / run.spec.dataset / "schema.json"
    if not path.is_file():
        return {}
    return read_json(path, "prepare the data set anew with 'mlet-bench prepare'").get("source", {})
