"""C9: MLET keeps its gain under quantisation."""

import pandas as pd

from mlet_bench.claims import CLAIMS
from mlet_bench.claims.comparisons import INNER_DIM, Comparison
from mlet_bench.claims.kept import KeptGain, Pairs, judge_kept
from mlet_bench.claims.verdicts import Judged
from mlet_bench.statistics.intervals import Interval
from mlet_bench.tables.results import Setting

FORMATS = ("int8", "int4")  # rows in torch's layout, as they are used in production (arXiv 1911.02079)


def judge_quantized(gain: Interval, lost: Interval, before: Interval) -> Judged:
    """C9: MLET served in 8 and in 4 bits gains over a single layer in as many bits, and not materially less than in
    32 bits.

    The mean over int8 and int4 and over the d that have them, at k = ``INNER_DIM``. *Reproduced*: the gain
    is shown to be above 0, and what it lacks of the gain in float32 to be below ``MATERIAL_AUC``. *Not reproduced*: the
    gain is shown to be below 0, or the lack above ``MATERIAL_AUC``. *Vacuous*: MLET in float32 is shown to lose.
    """
    return judge_kept(gain, lost, before)


@CLAIMS.add
class QuantizedClaim(KeptGain):
    name = "C9"
    sentence = "MLET keeps its gain when tables are served in 8 or 4 bits."
    rule = staticmethod(judge_quantized)
    way = "in 8 and 4 bits"

    def compressed(self, setting: Setting, comparison: Comparison) -> tuple[pd.DataFrame, Pairs]:
        """The main grid's cells as they are served in each of ``FORMATS``, a cell and format a cell of its own."""
        served = setting.of(setting.results.formats)
        served = served[served["format"].isin(FORMATS) & (served["budget"] == "") & (served["refused"] == "")]
        runs = served.assign(cell=served["cell"] + " " + served["format"], status="done")
        treated, base = comparison.treated_cells(setting.runs, INNER_DIM), comparison.baseline_cells(setting.runs)
        there, pairs = set(runs["cell"]), []
        for dim in sorted(treated.keys() & base.keys()):
            for name in FORMATS:
                pair = (f"{treated[dim]} {name}", f"{base[dim]} {name}")
                pairs += [pair] if there >= set(pair) else []
        return runs, pairs
