"""C8: MLET keeps its gain under hashing."""

import pandas as pd

from mlet_bench.claims import CLAIMS
from mlet_bench.claims.comparisons import INNER_DIM, Comparison
from mlet_bench.claims.kept import KeptGain, Pairs, judge_kept
from mlet_bench.claims.verdicts import Judged
from mlet_bench.statistics.intervals import Interval
from mlet_bench.tables.cells import records
from mlet_bench.tables.results import Setting


def judge_hashing(gain: Interval, lost: Interval, before: Interval) -> Judged:
    """C8: MLET over hashed rows gains over hashing alone, and not materially less than without hashing.

    The mean over all budgets, at k = ``INNER_DIM`` and equal bytes. *Reproduced*: the gain under hashing is shown to be
    above 0, and what it lacks of the gain without hashing to be below ``MATERIAL_AUC``. *Not reproduced*: the gain is
    shown to be below 0, or the lack above ``MATERIAL_AUC``. *Vacuous*: MLET without hashing is shown to lose.
    """
    return judge_kept(gain, lost, before)


@CLAIMS.add
class HashingClaim(KeptGain):
    name = "C8"
    sentence = "MLET keeps its gain when rows are shared by hashing."
    rule = staticmethod(judge_hashing)
    way = "under hashing"

    def compressed(self, setting: Setting, comparison: Comparison) -> tuple[pd.DataFrame, Pairs]:
        """The cells of each budget: ``mlet-hash`` against ``hash``, both tuned where both are."""
        runs = setting.of(setting.results.budget_runs)
        ours, theirs = (arm.replace(old, new) for arm, old, new in (
            (comparison.treated, "mlet", "mlet-hash"), (comparison.baseline, "single", "hash"),
        ))  # fmt: skip
        cells = runs.drop_duplicates("cell")
        base = {(row["budget"], row["dim"]): row["cell"] for row in records(cells[cells["arm"] == theirs])}
        treated = records(cells[(cells["arm"] == ours) & (cells["inner_dim"] == INNER_DIM)])
        keys = {row["cell"]: (row["budget"], row["dim"]) for row in treated}
        return runs, [(cell, base[key]) for cell, key in keys.items() if key in base]
