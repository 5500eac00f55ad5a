"""Run folders to tidy tables: one row a run that the configuration asks for, finished or not."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlet_bench.analysis.reweighting import COLUMNS as REWEIGHTING_COLUMNS
from mlet_bench.analysis.reweighting import reweighting
from mlet_bench.config import Cell, cell_training, run_folders
from mlet_bench.errors import BenchError
from mlet_bench.evaluation.rare import SCHEMA as RARE_SCHEMA
from mlet_bench.files import read_json
from mlet_bench.parquet import read_table
from mlet_bench.spec import DatasetSchema, RunSpec

TEST_METRICS = ("auc", "logloss", "ne", "pr_auc", "accuracy", "calibration")
BYTES = ("training", "inference", "training_tables", "inference_tables")
CURVE_COLUMNS = ("step", "rows", "train_loss", "val_auc", "val_logloss")
SPECTRUM_COLUMNS = ("field", "size", "stage", "weighting", "effective_rank", "stable_rank")
OVERHEAD_COLUMNS = ("dataset", "model", "dim", "inner_dim", "batch_size", "device", "pair", "single_ms", "mlet_ms")
RARE_COLUMNS = tuple(RARE_SCHEMA.names)
SAMPLING_COLUMNS = ("rows", "difference", "low", "high", "seeds", "cell_difference", "cell_low", "cell_high")
TUNED_COLUMNS = ("factor", "val_auc", "chosen")
CELL_KEYS = ("dataset", "model", "cell", "arm", "dim", "inner_dim")


@dataclass(frozen=True)
class RunFiles:
    """What a finished run folder holds.

    Attributes:
        metrics: ``val`` and ``test`` (metric → value), ``bytes``, ``collapsed_sha256``.
        curve: one row a validation, columns ``CURVE_COLUMNS``.
        collapsed: None where only the numbers of the run were kept.
        spectrum: columns ``SPECTRUM_COLUMNS``; None where ranks were not computed.
    """

    spec: RunSpec
    metrics: dict[str, Any]
    curve: pd.DataFrame
    provenance: dict[str, Any]
    collapsed: dict[str, Any] | None
    spectrum: pd.DataFrame | None


@dataclass(frozen=True)
class Results:
    """One profile's results as tables.

    Attributes:
        config: the checked configuration.
        schemas: data set → its schema, for those that are prepared.
        runs: one row a run that the configuration asks for; ``status`` is ``done``, ``failed`` or ``missing``, and
            ``reason`` says why a run is not done.
        curves: the validation curves of the runs that are done, one row a validation.
        longer_curves: those of the cells trained for more epochs, which stand in none of the other frames but ``open``.
        rare: quality by category frequency of the runs that are done, one row a group of test rows.
        tuned: what each tuned cell chose, one row a candidate.
        open: the runs that are not done, longer ones included.
        spectrum: ranks of the tables of the runs that are done, one row a field, stage and weighting.
        overhead: one row a timed pair of steps.
        untimed: data set → why it has no timings, for those that have none.
        sampling: AUC differences from ``single`` with their intervals over test rows, one row a run that is done.
        reweighting: quantiles of the factors by which gradients are scaled, one row a run, field and stage.
    """

    config: dict[str, Any]
    schemas: dict[str, DatasetSchema]
    runs: pd.DataFrame
    curves: pd.DataFrame
    spectrum: pd.DataFrame
    overhead: pd.DataFrame
    untimed: dict[str, str]
    longer_curves: pd.DataFrame
    rare: pd.DataFrame
    tuned: pd.DataFrame
    open: pd.DataFrame
    sampling: pd.DataFrame
    reweighting: pd.DataFrame

    @property
    def profile(self) -> str:
        """The name of the results folder."""
        return self.config["profile"]

    def planted(self, dataset: str) -> dict[str, Any] | None:
        """What is known of a data set that the generator made; None for genuine rows."""
        if dataset in self.schemas:
            return self.schemas[dataset].source.get("planted")
        return {} if self.config["datasets"][dataset]["source"] == "synthesize" else None


def is_finished(folder: Path) -> bool:
    """Whether a folder is a run that was trained and evaluated, with no failure on record."""
    needed = ("spec.json", "curve.parquet", "metrics.json", "provenance.json")
    return all((folder / name).is_file() for name in needed) and not (folder / "failed.json").exists()


def read_run(folder: Path) -> RunFiles:
    """Read a finished run folder.

    Raises:
        BenchError: names the file that is absent, unreadable or of another layout, or metrics and model disagree.
    """
    spec = RunSpec.read(folder)
    metrics = read_json(folder / "metrics.json", "evaluate the run with 'mlet-bench evaluate'")
    for part, names in (("test", TEST_METRICS), ("val", ()), ("bytes", BYTES)):
        _require(folder / "metrics.json", metrics, (part,))
        _require(folder / "metrics.json", metrics[part], names)
    provenance = read_json(folder / "provenance.json", "train the run anew with 'mlet-bench train'")
    _require(folder / "provenance.json", provenance, _PROVENANCE)
    collapsed = _optional(folder / "collapsed.json", _read_collapsed)
    if collapsed and metrics.get("collapsed_sha256") not in (None, collapsed.get("sha256")):
        raise BenchError(
            f"{folder / 'metrics.json'} scores model {metrics['collapsed_sha256'][:12]}, but collapsed.json beside it "
            f"is {str(collapsed.get('sha256'))[:12]}: evaluate the run anew"
        )
    return RunFiles(
        spec=spec,
        metrics=metrics,
        curve=_read_table(folder / "curve.parquet", CURVE_COLUMNS),
        provenance=provenance,
        collapsed=collapsed,
        spectrum=_optional(folder / "spectrum.parquet", lambda path: _read_table(path, SPECTRUM_COLUMNS)),
    )


def collect(results: Path) -> Results:
    """Read everything below ``results/<profile>`` that the report shows.

    Raises:
        BenchError: ``config.json``, a data set's schema or the timings are absent or unreadable. A run with an
            unreadable file is one that failed.
    """
    results = Path(results)
    config = read_json(results / "config.json", "not a results folder; run the workflow first")
    schemas = {
        name: DatasetSchema.read(results / "data" / name)
        for name in config["datasets"]
        if (results / "data" / name / "schema.json").is_file()
    }
    rows, longer_rows, curves, longer_curves = [], [], [], []
    frames: dict[str, list[pd.DataFrame]] = {name: [] for name in ("spectrum", "rare", "sampling", "factors", "tuned")}
    for cell, seed, folder in run_folders(config, results):
        row = {**_cell_row(cell), "seed": seed}
        schema, run, parts = schemas.get(cell.dataset), None, {}
        # Another length of training is another experiment: it enters no comparison of the main grid.
        longer = cell.epochs != config["training"]["epochs"]
        try:
            status, reason, run = _read_status(folder, cell, seed, config, schema)
            if run and not longer:
                parts = _read_parts(folder, run, schema, tuned=seed == config["seeds"][0])  # the choice is the cell's
        except BenchError as error:  # one damaged file hides no other run
            status, reason, run = "failed", f"not readable: {error}", None
        if status == "missing" and schema is None:
            said = _last_error(sorted((results / "logs" / cell.dataset).glob("*.log")))
            reason = f"not trained: {said}" if said else reason
        whole = {**row, "status": status, "reason": reason, **(_run_row(run) if run else {})}
        (longer_rows if longer else rows).append(whole)
        if run:
            (longer_curves if longer else curves).append(run.curve[list(CURVE_COLUMNS)].assign(**row))
        for name, frame in parts.items():
            frames[name].append(frame.assign(**row))
    runs = _typed(pd.DataFrame(rows, columns=_run_columns()))
    every = pd.concat([runs, _typed(pd.DataFrame(longer_rows, columns=_run_columns()))]) if longer_rows else runs
    return Results(
        config=config,
        schemas=schemas,
        runs=runs,
        curves=_stack(curves, (*CELL_KEYS, "seed", *CURVE_COLUMNS)),
        spectrum=_stack(frames["spectrum"], (*CELL_KEYS, "seed", *SPECTRUM_COLUMNS)),
        overhead=_read_overhead(results, config),
        untimed={
            name: _last_error([results / "logs" / name / "overhead.log"]) or "the timing did not run"
            for name in config["datasets"]
            if not (results / "overhead" / f"{name}.parquet").is_file()
        },
        longer_curves=_stack(longer_curves, (*CELL_KEYS, "seed", *CURVE_COLUMNS)),
        rare=_stack(frames["rare"], (*CELL_KEYS, "seed", *RARE_COLUMNS)),
        tuned=_stack(frames["tuned"], (*CELL_KEYS, "seed", *TUNED_COLUMNS)),
        open=every[every["status"] != "done"].reset_index(drop=True),
        sampling=_stack(frames["sampling"], (*CELL_KEYS, "seed", *SAMPLING_COLUMNS)),
        reweighting=_stack(frames["factors"], (*CELL_KEYS, "seed", *REWEIGHTING_COLUMNS)),
    )


def _last_error(logs: list[Path]) -> str:
    """The last sentence of an error in the logs of some jobs; empty if there is none."""
    lines = [line for log in logs if log.is_file() for line in log.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if ": error: " in line), "")


def _read_parts(folder: Path, run: RunFiles, schema: DatasetSchema | None, tuned: bool) -> dict[str, pd.DataFrame]:
    """What a finished run's folder holds beside the run itself, of that which is there."""
    parts = {}
    if run.spectrum is not None:
        parts["spectrum"] = run.spectrum[list(SPECTRUM_COLUMNS)]
    if (folder / "rare.parquet").is_file():
        parts["rare"] = _read_table(folder / "rare.parquet", RARE_COLUMNS)[list(RARE_COLUMNS)]
    if (folder / "sampling.json").is_file():
        parts["sampling"] = _sampling(folder / "sampling.json", run.spec.id)
    if (folder / "factors.parquet").is_file() and schema is not None:
        table = _read_table(folder / "factors.parquet", ("field", "stage", "factor", "index", "singular_value"))
        parts["factors"] = reweighting(table, {field.name: field.size for field in schema.fields})
    if (folder / "tuning.json").is_file() and tuned:
        parts["tuned"] = _tuned(folder / "tuning.json")
    return parts


def _tuned(path: Path) -> pd.DataFrame:
    """One row a candidate of a tuned cell: its factor, mean validation AUC, and whether it was chosen."""
    content = read_json(path, "train the cell anew with 'mlet-bench train'")
    _require(path, content, ("chosen", "candidates"))
    rows = [(c["factor"], c["val_auc"], c["factor"] == content["chosen"]) for c in content["candidates"]]
    return pd.DataFrame(rows, columns=TUNED_COLUMNS)


def _sampling(path: Path, run_id: str) -> pd.DataFrame:
    """The one row of a run's ``sampling.json``; none where it is of another run."""
    content = read_json(path, "compare the run anew with 'mlet-bench compare'")
    _require(path, content, ("run_id", "rows", "difference", "low", "high", "cell"))
    _require(path, content["cell"], ("seeds", "difference", "low", "high"))
    cell = content["cell"]
    row = [content[name] for name in ("rows", "difference", "low", "high")]
    row += [len(cell["seeds"]), *(cell[name] for name in ("difference", "low", "high"))]
    return pd.DataFrame([row] if content["run_id"] == run_id else [], columns=SAMPLING_COLUMNS)


def _cell_row(cell: Cell) -> dict[str, Any]:
    names = (cell.dataset, cell.model, cell.name, cell.arm, cell.dim, cell.inner_dim)
    return dict(zip(CELL_KEYS, names))


def _read_status(
    folder: Path, cell: Cell, seed: int, config: dict[str, Any], schema: DatasetSchema | None
) -> tuple[str, str, RunFiles | None]:
    if (folder / "failed.json").exists():
        failure = read_json(folder / "failed.json", "run the job again")
        return "failed", f"{failure.get('stage', 'unknown stage')}: {failure.get('error', 'no reason given')}", None
    if not (folder / "spec.json").is_file():
        return "missing", "not trained", None
    if stale := _stale(RunSpec.read(folder), cell, seed, config, schema):
        return "missing", stale, None
    for name, stage in (("curve.parquet", "trained"), ("provenance.json", "trained"), ("metrics.json", "evaluated")):
        if not (folder / name).is_file():
            return "missing", f"not {stage} to the end ({name} is absent)", None
    run = read_run(folder)
    test = run.metrics["test"]
    if bad := [name for name in ("auc", "logloss") if test[name] is None or not math.isfinite(test[name])]:
        return "failed", f"evaluated: test {' and '.join(bad)} is not a number; the training diverged", None
    return "done", "", run


def _stale(spec: RunSpec, cell: Cell, seed: int, config: dict[str, Any], schema: DatasetSchema | None) -> str:
    """Why a folder's run is not the one that the configuration asks for; empty when it is.

    A folder is named after cell and seed only: after a change of the learning rate, say, it still holds the old run.
    """
    expected = {
        "dataset": cell.dataset,
        "model": cell.model,
        "arm": cell.arm,
        "dim": cell.dim,
        "inner_dim": cell.inner_dim,
        "seed": seed,
        **cell_training(config, cell),
    }
    if schema is not None:
        expected["fingerprint"] = schema.fingerprint
    differing = [
        f"{name} {getattr(spec, name)} instead of {value}"
        for name, value in expected.items()
        if getattr(spec, name) != (tuple(value) if isinstance(value, list) else value)
    ]
    return f"the folder holds another run: {', '.join(differing)}" if differing else ""


def _run_row(run: RunFiles) -> dict[str, Any]:
    provenance = run.provenance
    row: dict[str, Any] = {"run_id": run.spec.id, "fingerprint": run.spec.fingerprint}
    for split in ("test", "val"):
        row |= {f"{split}_{name}": run.metrics[split].get(name) for name in TEST_METRICS}
    row["authors_auc"] = run.metrics.get("authors_selection", {}).get("auc")
    row |= {f"{name}_bytes": run.metrics["bytes"][name] for name in BYTES}
    row |= {name: provenance[name] for name in _PROVENANCE}
    row["versions"] = json.dumps(provenance.get("versions", {}), sort_keys=True)
    row["collapsed_sha256"] = run.metrics.get("collapsed_sha256")
    # By split; the largest stands for the run.
    row["max_logit_difference"] = max((run.collapsed or {}).get("max_logit_difference", {}).values(), default=None)
    return row


_PROVENANCE = ("started", "seconds", "rows_per_second", "peak_memory_bytes", "device", "threads", "commit", "dirty")
_TEXT = ("status", "reason", "run_id", "fingerprint", "started", "device", "commit", "versions", "collapsed_sha256")


def _run_columns() -> list[str]:
    metrics = [f"{split}_{name}" for split in ("test", "val") for name in TEST_METRICS]
    head = [*CELL_KEYS, "seed", "status", "reason", "run_id", "fingerprint"]
    tail = [*_PROVENANCE, "versions", "collapsed_sha256", "max_logit_difference"]
    return [*head, *metrics, "authors_auc", *(f"{name}_bytes" for name in BYTES), *tail]


def _typed(runs: pd.DataFrame) -> pd.DataFrame:
    """The same column types whether all runs, some or none are done."""
    for name in runs.columns:
        if name in ("dataset", "model", "cell", "arm", *_TEXT):
            runs[name] = runs[name].astype("string")
        elif name in ("dim", "inner_dim", "seed", "threads", "peak_memory_bytes") or name.endswith("_bytes"):
            runs[name] = runs[name].astype("Int64")
        elif name == "dirty":
            runs[name] = runs[name].astype("boolean")
        else:
            runs[name] = runs[name].astype(np.float64)
    return runs


def _stack(frames: list[pd.DataFrame], columns: tuple[str, ...]) -> pd.DataFrame:
    whole = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(columns))
    return whole[list(columns)].astype({"inner_dim": "Int64", "dim": "Int64", "seed": "Int64"})


def _read_overhead(results: Path, config: dict[str, Any]) -> pd.DataFrame:
    paths = [results / "overhead" / f"{name}.parquet" for name in config["datasets"]]
    frames = [_read_table(path, OVERHEAD_COLUMNS)[list(OVERHEAD_COLUMNS)] for path in paths if path.is_file()]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(OVERHEAD_COLUMNS))


def _optional(path: Path, read: Callable[[Path], Any]) -> Any:
    return read(path) if path.is_file() else None


def _read_collapsed(path: Path) -> dict[str, Any]:
    return read_json(path, "collapse the run anew with 'mlet-bench evaluate'")


def _require(path: Path, content: Any, names: tuple[str, ...]) -> None:
    if absent := [name for name in names if not isinstance(content, dict) or name not in content]:
        raise BenchError(f"{path} lacks {', '.join(absent)}: it is of another version; run its job again")


def _read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    table = read_table(path, "remove it and run its job again")
    if absent := [name for name in columns if name not in table.column_names]:
        raise BenchError(f"{path} lacks the columns {', '.join(absent)}: remove it and run its job again")
    return table.to_pandas(ignore_metadata=True)
