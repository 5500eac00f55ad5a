"""Which cells stand against which: MLET's, the paper's baseline, and the strongest rival that costs nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

# Single layers that are deployed and trained at the baseline's cost, and differ in step size or initial scale alone.
RIVALS = ("single-lr", "single-lr-tuned", "single-init")


@dataclass(frozen=True)
class Baseline:
    """What MLET is measured against.

    Attributes:
        name: ``single`` or ``rival``.
        cells: d → the cell that stands for it.
        unfinished: cells without which the choice of ``cells`` could be another.
    """

    name: str
    cells: dict[int, str]
    unfinished: tuple[str, ...] = field(default=())

    @property
    def text(self) -> str:
        """The cells in words."""
        return ", ".join(self.cells[dim] for dim in sorted(self.cells))


def single(runs: pd.DataFrame) -> Baseline:
    """The paper's baseline: ``single`` at every d that was asked for, finished or not."""
    return Baseline("single", {int(dim): cell for (dim, _), cell in arm_cells(runs, "single").items()})


def strongest_rival(runs: pd.DataFrame) -> Baseline:
    """At each d where a rival was asked for, the single layer of the best mean validation AUC; test is not looked at.

    The candidates are the rivals and ``single`` itself, so that nothing weaker than the paper's baseline stands in for
    it. Only cells with all their seeds done can be chosen. One that diverged is no rival; one that is missing or failed
    otherwise could have been the best, so it is named in ``unfinished``.

    Args:
        runs: the runs of one data set and model, one row each.
    """
    asked = runs[runs["arm"].isin(RIVALS)]["dim"].unique()
    chosen, unfinished = {}, []
    for dim in sorted(int(dim) for dim in asked):
        candidates = runs[runs["arm"].isin((*RIVALS, "single")) & (runs["dim"] == dim)]
        reached = {}
        for cell, part in candidates.groupby("cell", sort=True):
            if (part["status"] == "done").all():
                reached[cell] = float(part["val_auc"].mean())
            elif not part["reason"].fillna("").str.contains("diverged").any():
                unfinished.append(cell)
        rivals = set(candidates[candidates["arm"] != "single"]["cell"])
        if rivals & set(reached):
            chosen[dim] = max(reached, key=reached.get)
    return Baseline("rival", chosen, tuple(unfinished))


def arm_cells(runs: pd.DataFrame, arm: str) -> dict[tuple[int, int | None], str]:
    """(d, k) → cell of an arm, every one that was asked for; k is None where the arm has none."""
    rows = runs[runs["arm"] == arm][["dim", "inner_dim", "cell"]].drop_duplicates().sort_values(["dim", "inner_dim"])
    return {
        (int(row.dim), None if pd.isna(row.inner_dim) else int(row.inner_dim)): row.cell for row in rows.itertuples()
    }


def widest_cells(runs: pd.DataFrame, dims: Sequence[int]) -> dict[int, str]:
    """d → the MLET cell of the largest k, at each of ``dims`` that MLET was asked for."""
    return {dim: cell for (dim, _), cell in sorted(arm_cells(runs, "mlet").items()) if dim in dims}


def paired(runs: pd.DataFrame, cells: Sequence[str], column: str) -> pd.DataFrame:
    """Values by seed, for the seeds that *all* cells have finished: one row a seed, one column a cell, in their order.

    A cell without a finished run leaves no row: nothing is filled in.
    """
    done = runs[(runs["status"] == "done") & runs["cell"].isin(cells)]
    table = done.pivot(index="seed", columns="cell", values=column)
    return table.reindex(columns=list(cells)).dropna().astype(np.float64).sort_index()


def open_cells(runs: pd.DataFrame, cells: Sequence[str]) -> list[str]:
    """Those of ``cells`` with a run that is missing or failed."""
    undone = set(runs.loc[runs["status"] != "done", "cell"])
    return [cell for cell in cells if cell in undone or cell not in set(runs["cell"])]
