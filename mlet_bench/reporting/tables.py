"""The tables behind the report, as pandas frames, and their CSV and Parquet files."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlet_bench.analysis.statistics import mean_interval, paired_bootstrap, read_auc_difference
from mlet_bench.files import atomic
from mlet_bench.reporting.collect import BYTES, CELL_KEYS, TEST_METRICS, Results
from mlet_bench.reporting.evidence import longer_table, rare_table, reduction_table, reweighting_table, sampling_table
from mlet_bench.reporting.ledger import claims_table
from mlet_bench.spec import derive_seed

KEYS = list(CELL_KEYS)
# "25% more time on average" (arXiv 2006.05623).
PAPER_OVERHEAD = 0.25
# "4-8x" (arXiv 2006.05623).
PAPER_REDUCTION = (4, 8)
COMPARED = ("auc", "logloss")
SPECTRUM_KEYS = [*KEYS, "field", "size", "stage", "weighting"]
OVERHEAD_KEYS = ["dataset", "model", "device", "batch_size", "dim", "inner_dim"]


def make_tables(results: Results) -> dict[str, pd.DataFrame]:
    """All tables by file name."""
    differences = differences_table(results.runs)
    return {
        "claims": claims_table(results),
        "runs": results.runs,
        "cells": cells_table(results.runs),
        "differences": differences,
        "sampling": sampling_table(differences, results.sampling),
        "reduction": reduction_table(results.runs),
        "rare": rare_table(results.rare),
        "longer": longer_table(results.longer_curves, {n: s.rows["train"] for n, s in results.schemas.items()}),
        "tuned": results.tuned,
        "spectrum": spectrum_table(results.spectrum),
        "reweighting": reweighting_table(results.reweighting),
        "overhead": overhead_table(results.overhead),
    }


def write_tables(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """Each table as ``<name>.csv`` and ``<name>.parquet``."""
    for name, table in tables.items():
        with atomic(folder / f"{name}.csv") as partial:
            table.to_csv(partial, index=False)
        with atomic(folder / f"{name}.parquet") as partial:
            table.to_parquet(partial, index=False)


def cells_table(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a cell: how many of its seeds are done, and over those the mean, 95% t interval and range of each metric.

    A cell without a finished run keeps its row; its numbers are NaN.
    """
    rows = []
    for key, cell in runs.groupby(KEYS, sort=False, dropna=False):
        done = cell[cell["status"] == "done"]
        row: dict[str, Any] = dict(zip(KEYS, key)) | {"seeds": len(cell), "done": len(done)}
        row["failed"] = int((cell["status"] == "failed").sum())
        for metric in TEST_METRICS:
            values = done[f"test_{metric}"].dropna().to_numpy()
            interval = mean_interval(values) if len(values) else None
            row[metric] = interval.mean if interval else np.nan
            row[f"{metric}_low"] = interval.low if interval else np.nan
            row[f"{metric}_high"] = interval.high if interval else np.nan
            row[f"{metric}_min"], row[f"{metric}_max"] = done[f"test_{metric}"].min(), done[f"test_{metric}"].max()
        for name in (*(f"{part}_bytes" for part in BYTES), "rows_per_second", "seconds", "peak_memory_bytes"):
            row[name] = float(done[name].mean()) if len(done) else np.nan
        rows.append(row)
    return _integers(pd.DataFrame(rows))


def differences_table(runs: pd.DataFrame, baseline: str = "single") -> pd.DataFrame:
    """One row a cell and metric: mean of (cell - ``single`` of the same d), paired by seed, with its 95% interval.

    Only seeds that both have finished enter; with none, the numbers are NaN and ``pairs`` is 0. ``reading`` says what
    an AUC difference amounts to (``read_auc_difference``).
    """
    done = runs[runs["status"] == "done"]
    rows = []
    for key, cell in runs[runs["arm"] != baseline].groupby(KEYS, sort=False, dropna=False):
        keys = dict(zip(KEYS, key))
        same = (done["dataset"] == keys["dataset"]) & (done["model"] == keys["model"]) & (done["dim"] == keys["dim"])
        reference = done[same & (done["arm"] == baseline)]
        pairs = cell[cell["status"] == "done"].merge(reference, on="seed", suffixes=("", "_baseline"))
        for metric in COMPARED:
            row: dict[str, Any] = keys | {"metric": metric, "pairs": len(pairs)}
            if len(pairs):
                # A generator for each row: a cell that is added or fails leaves the others' intervals as they are.
                name = f"bootstrap/{keys['dataset']}/{keys['model']}/{keys['cell']}/{metric}"
                interval = paired_bootstrap(
                    pairs[f"test_{metric}"].to_numpy(),
                    pairs[f"test_{metric}_baseline"].to_numpy(),
                    np.random.default_rng(derive_seed(0, name)),
                )
                row |= {"difference": interval.mean, "low": interval.low, "high": interval.high}
                row["reading"] = read_auc_difference(interval) if metric == "auc" else ""
            rows.append(row)
    columns = [*KEYS, "metric", "pairs", "difference", "low", "high", "reading"]
    table = pd.DataFrame(rows, columns=columns).astype({"difference": float, "low": float, "high": float})
    return _integers(table.astype({"reading": "string"}))


def spectrum_table(spectrum: pd.DataFrame) -> pd.DataFrame:
    """One row a cell, field, stage and weighting: effective and stable rank, means over seeds."""
    grouped = spectrum.groupby(SPECTRUM_KEYS, sort=False, dropna=False)
    table = grouped.agg(
        seeds=("seed", "nunique"), effective_rank=("effective_rank", "mean"), stable_rank=("stable_rank", "mean")
    )
    return _integers(table.reset_index())


def rank_means(spectrum: pd.DataFrame) -> pd.DataFrame:
    """One row a cell, stage and weighting of a ``spectrum_table``: the mean over its fields' tables.

    ``lower`` counts the fields whose effective rank is below that of ``single`` at the same d, of ``compared`` fields.
    """
    group = ["dataset", "model", "dim", "field", "stage", "weighting"]
    reference = spectrum[spectrum["arm"] == "single"][[*group, "effective_rank"]]
    joined = spectrum.merge(reference, on=group, how="left", suffixes=("", "_single"))
    joined["lower"] = joined["effective_rank"] < joined["effective_rank_single"]
    joined["compared"] = joined["effective_rank_single"].notna()
    table = joined.groupby([*KEYS, "stage", "weighting"], sort=False, dropna=False).agg(
        fields=("field", "size"),
        effective_rank=("effective_rank", "mean"),
        stable_rank=("stable_rank", "mean"),
        lower=("lower", "sum"),
        compared=("compared", "sum"),
    )
    return table.reset_index()


def overhead_table(overhead: pd.DataFrame) -> pd.DataFrame:
    """One row a (d, k), device and batch size: quartiles of the paired ratios of step times, MLET over single."""
    timed = overhead.assign(ratio=overhead["mlet_ms"].astype(float) / overhead["single_ms"].astype(float))
    grouped = timed.groupby(OVERHEAD_KEYS, sort=False)
    table = grouped.agg(
        pairs=("ratio", "size"),
        single_ms=("single_ms", "median"),
        mlet_ms=("mlet_ms", "median"),
        ratio=("ratio", "median"),
        ratio_q25=("ratio", _q25),
        ratio_q75=("ratio", _q75),
    )
    return _integers(table.reset_index())


def overhead_means(table: pd.DataFrame) -> pd.DataFrame:
    """One row a data set, model, device and batch size of an ``overhead_table``: the mean over its (d, k) grid."""
    grouped = table.groupby(["dataset", "model", "device", "batch_size"], sort=False)
    return grouped.agg(cells=("ratio", "size"), ratio=("ratio", "mean")).reset_index()


def _q25(values: pd.Series) -> float:
    return float(values.quantile(0.25))


def _q75(values: pd.Series) -> float:
    return float(values.quantile(0.75))


def _integers(table: pd.DataFrame) -> pd.DataFrame:
    """Nullable integers for the widths: k stays empty, not 16.0, in the CSV where an arm has none."""
    return table.astype({name: "Int64" for name in ("dim", "inner_dim") if name in table.columns})
