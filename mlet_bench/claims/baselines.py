"""What MLET stands against: the paper's baseline, and the strongest rival that costs nothing more."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from mlet_bench.arms import ARMS, BASELINE, TREATED
from mlet_bench.errors import DivergedError
from mlet_bench.tables.cells import arm_cells


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
    unfinished: tuple[str, ...] = ()

    def stream(self, name: str) -> str:
        """The stream of a number: ``name`` itself against ``single``, as in the tables; with the rival another."""
        kind, _, rest = name.partition("/")
        return name if self.name == BASELINE else f"{kind}-{self.name}/{rest}"


def single(runs: pd.DataFrame) -> Baseline:
    """The paper's baseline: ``single`` at every d that was asked for, finished or not."""
    return Baseline(BASELINE, {dim: cell for (dim, _), cell in arm_cells(runs, BASELINE).items()})


def strongest_rival(runs: pd.DataFrame) -> Baseline:
    """At each d where a rival was asked for, the single layer of the best mean validation AUC; test is not looked at.

    The candidates are the rivals and ``single`` itself, so that nothing weaker than the paper's baseline stands in for
    it. Only cells with all their seeds done can be chosen. One that diverged is no rival; one that is missing or failed
    otherwise could have been the best, so it is named in ``unfinished``.

    Args:
        runs: the runs of one data set and model, one row each.
    """
    rivals = [name for name, arm in ARMS.items() if arm.is_rival]
    chosen, unfinished = {}, []
    for dim in sorted(int(dim) for dim in runs[runs["arm"].isin(rivals)]["dim"].unique()):
        candidates = runs[runs["arm"].isin((*rivals, BASELINE)) & (runs["dim"] == dim)]
        reached = {}
        for cell, part in candidates.groupby("cell", sort=True):
            if (part["status"] == "done").all():
                reached[cell] = float(part["val_auc"].mean())
            elif not (part["kind"] == DivergedError.kind).any():
                unfinished.append(cell)
        if set(candidates[candidates["arm"] != BASELINE]["cell"]) & set(reached):
            chosen[dim] = max(reached, key=lambda cell: reached[cell])
    return Baseline("rival", chosen, tuple(unfinished))


def widest_cells(runs: pd.DataFrame, dims: Sequence[int]) -> dict[int, str]:
    """d → the MLET cell of the largest k, at each of ``dims`` that MLET was asked for."""
    return {dim: cell for (dim, _), cell in sorted(arm_cells(runs, TREATED).items()) if dim in dims}
