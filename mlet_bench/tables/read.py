"""Run folders to tidy frames: one row a run that the configuration asks for, finished or not."""

import json
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlet_bench import runs
from mlet_bench.config import cell_spec, read_config, run_folders
from mlet_bench.errors import BenchError
from mlet_bench.evaluation.metrics import METRICS
from mlet_bench.files import read_json
from mlet_bench.parquet import read_table
from mlet_bench.spec import DatasetSchema
from mlet_bench.statistics.reweighting import COLUMNS as REWEIGHTING
from mlet_bench.statistics.reweighting import reweighting
from mlet_bench.tables.results import CELL, Results

RUN = [*CELL, "seed"]
UNTIMED = "the timing did not run"
# Frames of ``Results`` that are made of single runs, and their columns after those that name the run.
_PARTS = {
    "spectrum": runs.SPECTRUM.columns.names,
    "rare": runs.BY_FREQUENCY.columns.names,
    "reweighting": list(REWEIGHTING),
    "tuned": ["factor", "val_auc", "chosen"],
    "formats": [
        *("format", "budget", "tables_bytes", "whole_bytes", "refused"),
        *(f"{split}_{name}" for split in ("val", "test") for name in METRICS),
        *(f"rows_per_second_{batch}" for batch in runs.LOOKUPS),
    ],
}
_MAIN, _LONGER, _BUDGET = "main", "longer", "budget"  # grids: only cells of one grid are compared with each other
_PROVENANCE = ["started", "seconds", "rows_per_second", "peak_memory_bytes", "device", "threads", "commit", "dirty"]
_TYPES = dict.fromkeys(
    ["dataset", "model", "cell", "arm", "budget", "status", "kind", "reason", "run_id", "fingerprint"], "string"
)
_TYPES |= dict.fromkeys(["started", "device", "commit", "versions", "deployed_sha256"], "string")
_TYPES |= dict.fromkeys(["dim", "inner_dim", "seed", "threads", "peak_memory_bytes"], "Int64") | {"dirty": "boolean"}
_TYPES |= dict.fromkeys([f"{name}_bytes" for name in runs.BYTES], "Int64")


def read_results(folder: Path | str) -> Results:
    """Read everything below ``results/<profile>`` that the report shows.

    Raises:
        BenchError: ``config.json`` is absent or unreadable. A run with an unreadable file, or on a data set with one,
            is one that failed; timings that are unreadable are absent, and ``untimed`` says why.
    """
    folder = Path(folder)
    config = read_config(folder)
    schemas, unreadable = _schemas(folder, config)
    rows, curves = ({grid: [] for grid in (_MAIN, _LONGER, _BUDGET)} for _ in range(2))
    parts: dict[str, list[pd.DataFrame]] = defaultdict(list)
    order = {name: place for place, name in enumerate((*config["datasets"], *config["models"]))}
    asked = sorted(run_folders(config, folder), key=lambda of: (order[of[0].dataset], order[of[0].model]))
    for cell, seed, path in asked:
        schema, run = schemas.get(cell.dataset), runs.RunFolder(path)
        names = (cell.dataset, cell.model, cell.name, cell.arm, cell.dim, cell.inner_dim, seed)
        keys = dict(zip(RUN, names))
        numbers, found = {}, {}
        # Another length of training is another experiment: it enters no comparison of the main grid.
        grid = _BUDGET if cell.budget else _MAIN if cell.epochs == config["training"]["epochs"] else _LONGER
        try:
            if cell.dataset in unreadable:  # whether its runs are of these rows cannot be known
                raise unreadable[cell.dataset]
            status = run.status(cell_spec(config, cell, seed, schema.fingerprint if schema else ""))
            if status.state == "done":
                # What was tuned is the cell's, the same with every seed.
                numbers, found = _numbers(run), _parts(run, schema, tuned=seed == config["seeds"][0])
                _refuse_lost(run, schema)  # afterwards: a file may go while the run is read
        except BenchError as error:  # one damaged file hides no other run
            status, numbers, found = runs.Status("failed", error.kind, f"not readable: {error}"), {}, {}
        reason = status.reason
        if status.state == "missing" and schema is None and (said := _last_error(folder, cell.dataset, "*.log")):
            reason = f"not trained: {said}"
        told = {"status": status.state, "kind": status.kind, "reason": reason, "budget": cell.budget}
        rows[grid].append(keys | told | numbers)
        for name, frame in found.items():
            if name == "formats" and grid != _LONGER:
                parts[name].append(frame.assign(**keys, budget=cell.budget))
            elif name == "curve":
                curves[grid].append(frame.assign(**keys))
            elif grid == _MAIN:
                parts[name].append(frame.assign(**keys))
    overhead, untimed = _overhead(folder, config)
    return Results(
        config=config,
        schemas=schemas,
        runs=_runs(rows[_MAIN]),
        longer_runs=_runs(rows[_LONGER]),
        budget_runs=_runs(rows[_BUDGET]),
        curves=_stacked(curves[_MAIN], runs.CURVE.columns.names),
        longer_curves=_stacked(curves[_LONGER], runs.CURVE.columns.names),
        **{name: _stacked(parts[name], columns) for name, columns in _PARTS.items()},
        overhead=overhead,
        untimed=untimed,
    )


def _refuse_lost(run: runs.RunFolder, schema: DatasetSchema | None) -> None:
    """Refuse a run that lacks a file its cell made, or its data set: a claim would rest on the others without a word.

    Raises:
        BenchError: names the files.
    """
    made: list[str] = []
    with suppress(BenchError, KeyError, TypeError):  # no index, as restored runs have none, or a damaged one
        made = read_json(run.path.parent / "runs.json", "")["runs"][run.path.name]["files"]
    if made and schema is None:
        raise BenchError(f"{run.path} was trained on a data set whose schema.json is gone: run the workflow again")
    made += [runs.TUNING.file] if made and run.spec.settings.tunes_lr else []
    shown = [part.file for part in (*runs.TABLES, *runs.DOCUMENTS)]
    if lost := [file for file in made if file in shown and not run.has(file)]:
        raise BenchError(f"{run.path} lacks {', '.join(lost)}, which was made with it: run the workflow again")


def _schemas(folder: Path, config: dict[str, Any]) -> tuple[dict[str, DatasetSchema], dict[str, BenchError]]:
    """The schemas of the data sets that are prepared, and for those that are damaged why they cannot be read."""
    found, unreadable = {}, {}
    for name in config["datasets"]:
        if (folder / "data" / name / "schema.json").is_file():
            try:
                found[name] = DatasetSchema.read(folder / "data" / name)
            except BenchError as error:
                unreadable[name] = error
    return found, unreadable


def _last_error(folder: Path, place: str, logs: str) -> str:
    """The last sentence of an error in the logs of some jobs; empty if there is none."""
    texts = [log.read_text(encoding="utf-8", errors="replace") for log in sorted((folder / "logs" / place).glob(logs))]
    return next((line for line in reversed("\n".join(texts).splitlines()) if ": error: " in line), "")


def _numbers(run: runs.RunFolder) -> dict[str, Any]:
    """A finished run's columns of the runs table."""
    spec, metrics, provenance = run.spec, run.document(runs.METRICS), run.document(runs.PROVENANCE)
    deployed = run.document(runs.DEPLOYED) if run.has(runs.DEPLOYED) else {}  # absent where only the numbers were kept
    path = run.path / runs.METRICS.file
    runs.require_keys(path, metrics["test"], ("auc", "logloss"))  # a metric that is newer than the run has no value
    if deployed.get("sha256") not in (None, metrics["deployed_sha256"]):
        raise BenchError(
            f"{path} scores model {metrics['deployed_sha256'][:12]}, but {runs.DEPLOYED.file} beside it is of "
            f"{deployed['sha256'][:12]}: evaluate the run again"
        )
    row = {"run_id": spec.id, "fingerprint": spec.fingerprint, "deployed_sha256": metrics["deployed_sha256"]}
    row |= {f"{split}_{name}": metrics[split].get(name) for split in ("test", "val") for name in METRICS}
    row |= {"authors_auc": metrics.get("authors_selection", {}).get("auc")}
    row |= {f"{name}_bytes": metrics["bytes"].get(name, 0) for name in runs.BYTES}
    row |= {name: provenance[name] for name in _PROVENANCE}
    row |= {"versions": json.dumps(provenance["versions"], sort_keys=True)}
    # By split; the largest stands for the run, and what is no number is the largest (max() may pass over a NaN).
    moved = np.array(list(deployed.get("max_logit_difference", {}).values()), dtype=float)  # null is NaN
    row |= {
        "max_logit_difference": (float(moved.max()) if np.isfinite(moved).all() else np.inf) if len(moved) else None
    }
    return row | {"logit_tolerance": deployed.get("logit_tolerance")}


def _parts(run: runs.RunFolder, schema: DatasetSchema | None, tuned: bool) -> dict[str, pd.DataFrame]:
    """What a finished run's folder holds beside the run itself, of that which is there."""
    found = {"curve": _frame(run, runs.CURVE), "formats": _formats(run)}
    if run.has(runs.SPECTRUM):
        found["spectrum"] = _frame(run, runs.SPECTRUM)
    if run.has(runs.BY_FREQUENCY):
        found["rare"] = _frame(run, runs.BY_FREQUENCY)
    if run.has(runs.FACTORS) and schema is not None:
        sizes = {field.name: field.size for field in schema.fields}
        found["reweighting"] = reweighting(_frame(run, runs.FACTORS), sizes)
    if run.has(runs.TUNING):
        tuning = run.document(runs.TUNING)
        tried = [(one["factor"], one["val_auc"], one["factor"] == tuning["chosen"]) for one in tuning["candidates"]]
        found |= {"tuned": pd.DataFrame(tried, columns=_PARTS["tuned"])} if tuned else {}
    return found


def _formats(run: runs.RunFolder) -> pd.DataFrame:
    """How a run is served: a row a format, the deployed model first; one that was refused has the reason alone."""
    metrics = run.document(runs.METRICS)
    plain = {"tables": metrics["bytes"]["deployed_tables"], "whole": metrics["bytes"]["deployed"]}
    made = {runs.PLAIN: plain | {split: metrics[split] for split in ("val", "test")}}
    if run.has(runs.FORMATS):
        told = run.document(runs.FORMATS)
        if told["deployed_sha256"] != metrics["deployed_sha256"]:
            raise BenchError(f"{run.path / runs.FORMATS.file} is of another model than the scored one: make it again")
        made |= told["formats"]
    rows = []
    for name, of in made.items():
        row = {
            "format": name,
            "refused": of.get("refused", ""),
            "tables_bytes": of.get("tables"),
            "whole_bytes": of.get("whole"),
        }
        row |= {f"{split}_{metric}": of.get(split, {}).get(metric) for split in ("val", "test") for metric in METRICS}
        speeds = of.get("rows_per_second", {})
        rows.append(row | {f"rows_per_second_{batch}": speeds.get(str(batch)) for batch in runs.LOOKUPS})
    numbers = [name for name in _PARTS["formats"] if name not in ("format", "budget", "refused")]
    return pd.DataFrame(rows).astype(dict.fromkeys(numbers, np.float64))


def _frame(run: runs.RunFolder, table: runs.Table) -> pd.DataFrame:
    return run.table(table).select(table.columns.names).to_pandas(ignore_metadata=True)


def _runs(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The runs table: the same columns and types whether all runs, some or none are done."""
    names = [*RUN, "budget", "status", "kind", "reason", "run_id", "fingerprint"]
    names += [*(f"{split}_{name}" for split in ("test", "val") for name in METRICS), "authors_auc"]
    names += [*(f"{name}_bytes" for name in runs.BYTES), *_PROVENANCE]
    names += ["versions", "deployed_sha256", "max_logit_difference", "logit_tolerance"]
    return pd.DataFrame(rows, columns=names).astype({name: _TYPES.get(name, np.float64) for name in names})


def _stacked(frames: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """Frames of single runs as one: what names the run, then ``columns``."""
    names = [*RUN, *columns]
    whole = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=names)
    return whole[names].astype({"inner_dim": "Int64", "dim": "Int64", "seed": "Int64"})


def _overhead(folder: Path, config: dict[str, Any]) -> tuple[pd.DataFrame, dict[str, str]]:
    """The timed pairs of every data set that has been timed; and of data set and model why there are none."""
    tables, untimed = [], {}
    for name, model in ((name, model) for name in config["datasets"] for model in config["models"]):
        path, title = runs.overhead_file(folder, name, model), f"{name}, {model.upper()}"
        if not path.is_file():
            untimed[title] = _last_error(folder, f"{name}/{model}", "overhead.log") or UNTIMED
            continue
        try:
            table = read_table(path, runs.OVERHEAD.again)
            runs.require_columns(path, table, runs.OVERHEAD)
            if reason := (table.schema.metadata or {}).get(runs.NOT_TIMED.encode(), b"").decode():
                untimed[title] = reason
            tables.append(table)
        except BenchError as error:
            untimed[title] = f"not readable: {error}"
    frames = [table.select(runs.OVERHEAD.columns.names).to_pandas(ignore_metadata=True) for table in tables]
    empty = pd.DataFrame(columns=runs.OVERHEAD.columns.names)
    return (pd.concat(frames, ignore_index=True) if frames else empty), untimed
