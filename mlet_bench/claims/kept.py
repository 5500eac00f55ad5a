"""What the two claims about compressed tables share: MLET's gain with and without the compression, paired by seed."""

import pandas as pd

from mlet_bench.claims.claim import Claim
from mlet_bench.claims.comparisons import INNER_DIM, Comparison
from mlet_bench.claims.finding import Finding, drawn, few, notes, power
from mlet_bench.claims.verdicts import NOT_RUN, UNDECIDED, VACUOUS, Judged, decide
from mlet_bench.display.text import commas, said
from mlet_bench.statistics.intervals import LEVEL, MATERIAL_AUC, Interval, mean_interval
from mlet_bench.tables.cells import open_cells, paired
from mlet_bench.tables.results import Setting

OPENREVIEW = "OpenReview sWSWudSpYy"
Pairs = list[tuple[str, str]]  # MLET's cell and the baseline's


class KeptGain(Claim):
    """A claim that MLET keeps its gain when the tables are compressed in some way.

    Attributes:
        way: the compression in words: ``under hashing``.
    """

    source = OPENREVIEW
    way: str

    def compressed(self, setting: Setting, comparison: Comparison) -> tuple[pd.DataFrame, Pairs]:
        """Runs with the compression, and the pairs of cells among them."""
        raise NotImplementedError

    def find(self, setting: Setting, comparison: Comparison) -> Finding:
        """The gain that is kept, and what is lost of the gain at the same d without the compression."""
        runs, pairs = self.compressed(setting, comparison)
        dims = {int(dim) for dim in runs.loc[runs["cell"].isin([ours for ours, _ in pairs]), "dim"]}
        treated, base = comparison.treated_cells(setting.runs), comparison.baseline_cells(setting.runs)
        plain = [(treated[dim], base[dim]) for dim in sorted(dims & treated.keys() & base.keys())]
        if not pairs or len(plain) < len(dims):
            needed = f"{comparison.treated} at k={INNER_DIM} and {comparison.baseline}"
            return Finding(Judged(NOT_RUN), note=f"needs {needed}, {self.way} and without at the same d")
        kept, gained = _gain(runs, pairs), _gain(setting.runs, plain)
        both = kept.index.intersection(gained.index)
        missing = [
            *open_cells(runs, [cell for pair in pairs for cell in pair]),
            *open_cells(setting.runs, [cell for pair in plain for cell in pair]),
        ]
        cells = tuple(dict.fromkeys(cell for pair in (*plain, *pairs) for cell in pair))
        note = f"missing or failed: {commas(dict.fromkeys(missing))}" if missing else ""
        if both.empty:
            return Finding(Judged(NOT_RUN), cells=cells, note=note)
        gain, lost = mean_interval(kept[both].to_numpy()), mean_interval((gained - kept)[both].to_numpy())
        before = mean_interval(gained[both].to_numpy())
        return Finding(
            Judged(UNDECIDED) if missing else judge_kept(gain, lost, before),
            f"{said(gain)} AUC {self.way}, {said(before)} without (d={commas(sorted(dims))})",
            f"{power(gain)} of gain, {power(lost)} of loss" if gain.known and lost.known else "",
            cells,
            notes(note, few(gain.count)),
            (drawn(f"gain {self.way}", gain), drawn(f"gain lost {self.way}", lost)),
        )


def judge_kept(gain: Interval, lost: Interval, before: Interval) -> Judged:
    """Vacuous without a gain, which nothing can keep; else both a gain, and a loss that is not material."""
    if before.p_below(0) <= LEVEL:
        return Judged(VACUOUS, before.p_below(0))
    return decide([gain.p_above(0), lost.p_below(MATERIAL_AUC)], [gain.p_below(0), lost.p_above(MATERIAL_AUC)])


def _gain(runs: pd.DataFrame, pairs: Pairs) -> pd.Series:
    """By seed, the mean over the pairs of MLET's test AUC minus the baseline's."""
    values = paired(runs, list(dict.fromkeys(cell for pair in pairs for cell in pair)), "test_auc")
    ours, theirs = (values[list(cells)] for cells in zip(*pairs, strict=True))
    return ours.mean(axis=1) - theirs.mean(axis=1)
