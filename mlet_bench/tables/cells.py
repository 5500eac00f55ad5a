"""The cells of one data set and model: which there are, which are open, and their values paired by seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from mlet_bench.evaluation.frequency import WHOLE
from mlet_bench.statistics.intervals import Interval, mean_interval
from mlet_bench.tables.results import Setting


def arm_cells(runs: pd.DataFrame, arm: str) -> dict[tuple[int, Any], str]:
    """(d, k) → cell of an arm, every one that was asked for; k is None where the arm has none."""
    rows = runs[runs["arm"] == arm][["dim", "inner_dim", "cell"]].drop_duplicates().sort_values(["dim", "inner_dim"])
    widths = ((row, None if pd.isna(row["inner_dim"]) else int(row["inner_dim"])) for row in records(rows))
    return {(int(row["dim"]), inner_dim): row["cell"] for row, inner_dim in widths}


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame, each by its columns' names."""
    return cast(list[dict[str, Any]], frame.to_dict("records"))


def paired(runs: pd.DataFrame, cells: Sequence[str], column: str) -> pd.DataFrame:
    """Values by seed, for the seeds that *all* cells have finished: one row a seed, one column a cell, in their order.

    A cell without a finished run leaves no row: nothing is filled in.

    Args:
        runs: those of one data set and model; two of them would have cells of one name.
    """
    done = runs[(runs["status"] == "done") & runs["cell"].isin(cells)]
    table = done.pivot(index="seed", columns="cell", values=column)
    return table.reindex(columns=list(cells)).dropna().astype(np.float64).sort_index()


def open_cells(runs: pd.DataFrame, cells: Sequence[str]) -> list[str]:
    """Those of ``cells`` with a run that is missing or failed."""
    undone = set(runs.loc[runs["status"] != "done", "cell"])
    return [cell for cell in cells if cell in undone or cell not in set(runs["cell"])]


def contrast(setting: Setting, weights: Mapping[str, float], metric: str = "test_auc") -> Interval | None:
    """A weighted sum of cells' metrics, say 1 of MLET's and -1 of the baseline's, paired by seed.

    Only seeds that all the cells have finished enter; None without one. Of AUC, test rows are a second source of doubt.
    """
    values = paired(setting.runs, list(weights), metric)
    if values.empty:
        return None
    rows = 0.0
    if metric == "test_auc" and (found := row_deviations(setting, list(weights), list(values.index))) is not None:
        rows = float(np.linalg.norm(list(weights.values()) @ found))
    return mean_interval(values.to_numpy() @ np.array(list(weights.values())), rows)


def row_deviations(
    setting: Setting, cells: Sequence[str], seeds: Sequence[int], grouping: str = WHOLE, group: int = 0
) -> np.ndarray | None:
    """What test rows add to the AUC of each cell, means over seeds: (C, 2 blocks), see ``statistics.delong``.

    None where a run has none of a group of rows.
    """
    rare = setting.of(setting.results.rare)
    rare = rare[(rare["grouping"] == grouping) & (rare["group"] == group)]
    found = dict(zip(zip(rare["cell"], rare["seed"]), rare["deviations"]))
    wanted = [[found.get((cell, seed)) for seed in seeds] for cell in cells]
    if any(one is None for of_cell in wanted for one in of_cell):
        return None
    whole = np.array(wanted, dtype=np.float64)  # (C, S, 2 blocks)
    return whole.mean(axis=1) if np.isfinite(whole).all() else None


def added(*parts: Mapping[str, float]) -> dict[str, float]:
    """Weights of several contrasts as those of their sum."""
    whole: dict[str, float] = {}
    for part in parts:
        for cell, weight in part.items():
            whole[cell] = whole.get(cell, 0.0) + weight
    return whole


def mean_of(cells: Iterable[str], weight: float = 1.0) -> dict[str, float]:
    """Weights of the mean of some cells, times ``weight``."""
    names = list(cells)
    return dict.fromkeys(names, weight / len(names))


def whole_widths(table: pd.DataFrame) -> pd.DataFrame:
    """Widths as nullable integers: k stays empty, not 16.0, in the CSV where an arm has none."""
    return table.astype({name: "Int64" for name in ("dim", "inner_dim") if name in table.columns})
