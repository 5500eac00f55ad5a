"""What MLET stands against: the paper's baseline, and a single layer with a tuned step, also with MLET tuned."""

from dataclasses import dataclass

import pandas as pd

from mlet_bench.arms import BASELINE, TREATED
from mlet_bench.tables.cells import arm_cells

INNER_DIM = 64  # k, fixed before any result was there: the best of several k would be taken for the effect


@dataclass(frozen=True)
class Comparison:
    """Two arms: MLET's, and the single layer's that it is measured against."""

    treated: str
    baseline: str

    @property
    def name(self) -> str:
        """``against single``; with another arm in MLET's place ``mlet-lr-tuned against single-lr-tuned``."""
        return ("" if self.treated == TREATED else f"{self.treated} ") + f"against {self.baseline}"

    def treated_cells(self, runs: pd.DataFrame, inner_dim: int = INNER_DIM) -> dict[int, str]:
        """d → MLET's cell of that k, finished or not."""
        return {dim: cell for (dim, inner), cell in arm_cells(runs, self.treated).items() if inner == inner_dim}

    def baseline_cells(self, runs: pd.DataFrame) -> dict[int, str]:
        """d → the single layer's cell, finished or not."""
        return {dim: cell for (dim, _), cell in arm_cells(runs, self.baseline).items()}


AS_PAPER = Comparison(TREATED, BASELINE)
TUNED_BASELINE = Comparison(TREATED, "single-lr-tuned")
BOTH_TUNED = Comparison("mlet-lr-tuned", "single-lr-tuned")
COMPARISONS = (AS_PAPER, TUNED_BASELINE, BOTH_TUNED)
