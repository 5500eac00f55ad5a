"""Tables of quality: a row a cell, differences from the baseline, and the two kinds of doubt about them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mlet_bench.arms import BASELINE
from mlet_bench.evaluation.metrics import METRICS
from mlet_bench.runs import BYTES
from mlet_bench.statistics.intervals import LEVEL, mean_interval, read_auc_difference, z_quantile
from mlet_bench.tables.cells import arm_cells, contrast, records, whole_widths
from mlet_bench.tables.results import CELL, Results


def cells_table(results: Results) -> pd.DataFrame:
    """One row a cell: how many of its seeds are done, and over those the mean, 95% t interval and range of each metric.

    A cell without a finished run keeps its row; its numbers are NaN.
    """
    rows = []
    for key, cell in results.runs.groupby(CELL, sort=False, dropna=False):
        done = cell[cell["status"] == "done"]
        row: dict[str, Any] = dict(zip(CELL, key)) | {"seeds": len(cell), "done": len(done)}
        row["failed"] = int((cell["status"] == "failed").sum())
        for metric in METRICS:
            values = done[f"test_{metric}"].dropna().to_numpy()
            interval = mean_interval(values) if len(values) else None
            row[metric] = interval.mean if interval else np.nan
            row[f"{metric}_low"] = interval.low if interval else np.nan
            row[f"{metric}_high"] = interval.high if interval else np.nan
            row[f"{metric}_min"], row[f"{metric}_max"] = done[f"test_{metric}"].min(), done[f"test_{metric}"].max()
        for name in (*(f"{part}_bytes" for part in BYTES), "rows_per_second", "seconds", "peak_memory_bytes"):
            row[name] = float(done[name].mean()) if len(done) else np.nan
        rows.append(row)
    return whole_widths(pd.DataFrame(rows))


def differences_table(results: Results) -> pd.DataFrame:
    """One row a cell and metric: mean of (cell - ``single`` of the same d), paired by seed, with its 95% interval.

    That is over seeds, and of AUC over test rows as well; ``seeds_low`` and ``seeds_high`` are over seeds alone,
    ``rows_low`` and ``rows_high`` over test rows alone, the trained models held fixed. Below ``DECISIVE_PAIRS`` only
    the last is there, and the range of the seeds, ``least`` to ``most``, always is. Only seeds that both have finished
    enter; with none, the numbers are NaN and ``pairs`` is 0. ``reading`` says what an AUC difference amounts to
    (``read_auc_difference``).
    """
    rows = []
    for setting in results.settings:
        single = {dim: cell for (dim, _), cell in arm_cells(setting.runs, BASELINE).items()}
        others = setting.runs[setting.runs["arm"] != BASELINE]
        for cell in records(others[CELL].drop_duplicates()):
            for metric in METRICS:
                weights = {cell["cell"]: 1.0, single.get(cell["dim"], ""): -1.0}
                interval = contrast(setting, weights, f"test_{metric}")
                row: dict[str, Any] = cell | {"metric": metric, "pairs": interval.count if interval else 0}
                if interval:
                    alone = replace(interval, rows=0.0)
                    row |= {"difference": interval.mean, "low": interval.low, "high": interval.high}
                    row |= {"seeds_low": alone.low, "seeds_high": alone.high}
                    half = z_quantile(LEVEL) * interval.rows if interval.rows else np.nan  # not known of other metrics
                    row |= {"rows_low": interval.mean - half, "rows_high": interval.mean + half}
                    row |= {"least": interval.least, "most": interval.most}
                    row["reading"] = read_auc_difference(interval) if metric == "auc" else ""
                rows.append(row)
    numbers = ["difference", "low", "high", "seeds_low", "seeds_high", "rows_low", "rows_high", "least", "most"]
    table = pd.DataFrame(rows, columns=[*CELL, "metric", "pairs", *numbers, "reading"])
    table = table.astype(dict.fromkeys(numbers, float))
    return whole_widths(table.astype({"reading": "string"}))
