"""What of a run goes where in MLflow: its files, parameters, tags and metrics."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from mlet_bench.files import digest, file_digest
from mlet_bench.runs import CURVE, DATA, DOCUMENTS, METRICS, PROVENANCE, SPEC, SPECTRUM, TABLES, RunFolder
from mlet_bench.spec import RunSpec

RUN_ID = "mlet_bench.run_id"
CONTENT = "mlet_bench.content"
# Raised when the mapping below changes, so that runs already in a store are written again.
LAYOUT = 6
# How an experiment's runs are shown: MLflow's interface opens .../runs?viewStateShareKey=results with these columns.
COLUMNS = (
    *("metrics.`test_auc`", "metrics.`test_logloss`"),
    *("params.`arm`", "params.`dim`", "params.`inner_dim`", "params.`seed`"),
)
EXPERIMENT_TAGS = {
    "mlflow.sharedViewState.results": json.dumps(
        {"orderByKey": COLUMNS[0], "orderByAsc": False, "selectedColumns": COLUMNS}
    ),
    "mlflow.note.content": "One run for each training of mlet-bench. Add `?viewStateShareKey=results` to the address "
    "of the runs to see test AUC, LogLoss, arm, d and k in columns, the best run first.",
}
# The small files of a run folder, those that a report reads among them; none is a model.
ARTIFACTS = (SPEC, DATA, *(part.file for part in (*DOCUMENTS, *TABLES)))


@dataclass(frozen=True)
class TrackedRun:
    """What MLflow is told of a finished run: what its files hold, read once.

    Attributes:
        content: a hash of the files in ``ARTIFACTS``.
        files: their sizes in bytes, by name.
    """

    folder: Path
    content: str
    files: dict[str, int]
    spec: RunSpec
    provenance: dict[str, Any]
    metrics: dict[str, Any]
    curve: list[dict[str, Any]]
    ranks: list[dict[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> "TrackedRun":
        """Read a finished run folder.

        Raises:
            BenchError: names the file that is absent, damaged, or of another run or version.
        """
        # The hash comes first: files that change between the two readings then differ from it.
        files, run = artifacts_of(folder), RunFolder(folder)
        content = content_of(folder, files)
        spec = run.spec
        return cls(
            folder=folder,
            content=content,
            files=sizes_of(folder, files),
            spec=spec,
            provenance=run.document(PROVENANCE, spec),
            metrics=run.document(METRICS, spec),
            curve=run.table(CURVE, spec).to_pylist(),
            ranks=run.table(SPECTRUM, spec).to_pylist() if run.has(SPECTRUM) else [],
        )

    @property
    def times(self) -> tuple[int, int]:
        """Start and end in ms since 1970."""
        start = datetime.fromisoformat(self.provenance["started"]).timestamp()
        return round(start * 1000), round((start + self.provenance["seconds"]) * 1000)


def artifacts_of(folder: Path) -> list[Path]:
    """Those of ``ARTIFACTS`` that a run folder has."""
    return [folder / name for name in ARTIFACTS if (folder / name).is_file()]


def content_of(folder: Path, files: Iterable[Path]) -> str:
    """A hash of files, by their names below a folder, and of how they are written to MLflow."""
    names = {file.relative_to(folder).as_posix(): file_digest(file) for file in files}
    return digest({"layout": LAYOUT, "files": names}, 32)


def content_of_tree(folder: Path) -> str:
    """The same of every file below a folder."""
    return content_of(folder, files_below(folder))


def sizes_of(folder: Path, files: Iterable[Path]) -> dict[str, int]:
    """The size in bytes of each file, by its name below a folder."""
    return {file.relative_to(folder).as_posix(): file.stat().st_size for file in files}


def files_below(folder: Path) -> list[Path]:
    """Every file below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


def params_of(spec: RunSpec) -> dict[str, str]:
    """A run's parameters. One that means nothing to its arm is left out: a word would make the UI's axis no scale.

    ``trained_width``, the numbers trained for a category, is k, or d of a single layer: the UI draws parallel
    coordinates over parameters that all runs have, and a single layer has no ``inner_dim``.
    """
    settings = {name: value for name, value in asdict(spec).items() if name != "hyper"} | spec.hyper
    params = {name: text_of(value) for name, value in settings.items() if value is not None}
    return params | {"trained_width": text_of(spec.inner_dim or spec.dim)}


def tags_of(run: TrackedRun) -> dict[str, str]:
    provenance, spec = run.provenance, run.spec
    tags = {
        RUN_ID: spec.id,
        "mlet_bench.arm": spec.arm,
        "mlet_bench.cell": spec.cell,
        "mlet_bench.fingerprint": spec.fingerprint,
        "mlet_bench.commit": provenance.get("commit"),
        "mlet_bench.dirty": provenance.get("dirty"),
        "mlet_bench.device": provenance.get("device"),
        "mlet_bench.deployed_sha256": run.metrics.get("deployed_sha256"),
        "mlflow.source.name": "mlet-bench",
        "mlflow.source.git.commit": provenance.get("commit"),
        "mlflow.note.content": note_of(run),
    }
    return {name: text_of(value) for name, value in tags.items() if value is not None}


def note_of(run: TrackedRun) -> str:
    """A run in a sentence, for the page of the run."""
    spec, test = run.spec, run.metrics["test"]
    widths = f"d={spec.dim}" + ("" if spec.inner_dim is None else f", k={spec.inner_dim}")
    return (
        f"**{spec.arm}**, {widths}, seed {spec.seed}, {spec.model.upper()} on {spec.dataset}: test AUC "
        f"{test['auc']:.5f}, LogLoss {test['logloss']:.5f}. Folder `runs/{spec.dataset}/{spec.model}/{spec.cell}/"
        f"seed{spec.seed}`."
    )


def metrics_of(run: TrackedRun) -> list[tuple[str, float, int, int]]:
    """(name, value, time in ms, step) of every point; a value that was not measured gives no point.

    Test metrics come first, AUC before all: MLflow's Compare opens on the first that runs have in common.
    """
    start, end = run.times
    last = max((row["step"] for row in run.curve), default=0)
    test = {name: run.metrics["test"][name] for name in sorted(run.metrics["test"], key=lambda name: name != "auc")}
    points: dict[tuple[str, int], tuple[float | None, int]] = {
        (f"test_{name}", last): (value, end) for name, value in test.items()
    }
    for row in run.curve:
        when = start + round((end - start) * row["step"] / max(last, 1))
        for name in ("train_loss", "val_auc", "val_logloss"):
            points[name, row["step"]] = (row[name], when)
    finals = {f"val_{name}": value for name, value in run.metrics["val"].items()}
    finals |= {f"authors_{name}": value for name, value in run.metrics.get("authors_selection", {}).items()}
    finals |= {f"bytes_{name}": value for name, value in run.metrics["bytes"].items()}
    finals |= {name: run.provenance[name] for name in ("rows_per_second", "seconds", "peak_memory_bytes")}
    trained = [row for row in run.ranks if row["stage"] == "trained"]
    for weighting in sorted({row["weighting"] for row in trained}):
        ranks = [row["effective_rank"] for row in trained if row["weighting"] == weighting]
        finals[f"effective_rank_{weighting}"] = float(np.nanmean(ranks)) if np.isfinite(ranks).any() else math.nan
    # The final score, that of the deployed model, replaces the curve's last point: one value a name and step.
    points |= {(name, last): (value, end) for name, value in finals.items()}
    return [
        (name, float(value), when, step)
        for (name, step), (value, when) in points.items()
        if value is not None and not math.isnan(value)
    ]


def text_of(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "-".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
