"""C6: the reduction over several models, from their factors at the smallest width."""

import math
from collections.abc import Sequence
from dataclasses import replace

from mlet_bench.claims import CLAIMS
from mlet_bench.claims.c1_reduction import CLAIMED, WIDTHS, drawn_factor, in_units, reductions
from mlet_bench.claims.claim import PAPER_B, Claim
from mlet_bench.claims.comparisons import INNER_DIM, Comparison
from mlet_bench.claims.finding import Finding, Found, few, notes, undone
from mlet_bench.claims.verdicts import NOT_REPRODUCED, NOT_RUN, REPRODUCED, UNDECIDED, Judged
from mlet_bench.display.text import commas
from mlet_bench.statistics.intervals import LEAST_P, LEVEL
from mlet_bench.statistics.reduction import Reduction
from mlet_bench.tables.results import Results, Setting

MEAN_REDUCTION, LARGEST_REDUCTION = 5.8, 16.0
LEAST_MEAN, LEAST_LARGEST = CLAIMED  # of paper A, which they are to surpass
WIDTH = WIDTHS[0]


def judge_models(factors: Sequence[Reduction]) -> str:
    """C6: up to 16x, 5.8x on average, over several models.

    The factors are those at d = ``WIDTH``, k = ``INNER_DIM``. The mean of the intervals' ends holds the mean factor; it
    is wider than need be, as if all erred together. *Reproduced*: mean and largest allow the paper's
    ``MEAN_REDUCTION`` and ``LARGEST_REDUCTION`` or more, and exclude less than the ``LEAST_MEAN`` and ``LEAST_LARGEST``
    of paper A. *Not reproduced*: the mean stays below ``MEAN_REDUCTION``, or the largest below ``LARGEST_REDUCTION``,
    with its interval.

    Args:
        factors: one a data set and model.
    """
    if not factors or not all(factor.decides for factor in factors):
        return UNDECIDED
    low, high = mean_ends(factors)
    largest = max(factor.floor for factor in factors), max(factor.ceiling for factor in factors)
    if high < MEAN_REDUCTION or largest[1] < LARGEST_REDUCTION:
        return NOT_REPRODUCED
    return REPRODUCED if low >= LEAST_MEAN and largest[0] >= LEAST_LARGEST else UNDECIDED


def mean_ends(factors: Sequence[Reduction]) -> tuple[float, float]:
    """Means of the lower and of the upper ends of the factors' intervals."""
    return sum(f.floor for f in factors) / len(factors), sum(f.ceiling for f in factors) / len(factors)


@CLAIMS.add
class ModelsClaim(Claim):
    name = "C6"
    sentence = "The reduction is up to 16x, 5.8x on average, over several models."
    source = PAPER_B
    rule = staticmethod(judge_models)

    def settings(self, results: Results) -> list[Setting]:
        """Genuine rows alone where there are any."""
        return [setting for setting in results.settings if not setting.is_planted] or results.settings

    def find(self, setting: Setting, comparison: Comparison) -> Finding:
        """The factor of one model; the verdict is on all of them."""
        cell = comparison.treated_cells(setting.runs).get(WIDTH)
        line = comparison.baseline_cells(setting.runs)
        if cell is None or WIDTH not in line or len(line) < 2:
            needs = f"{comparison.treated} at d={WIDTH}, k={INNER_DIM}, and two widths of {comparison.baseline}"
            return Finding(Judged(NOT_RUN), note=f"needs {needs}")
        rests = (cell, *line.values())
        open_cells, found = undone(setting.runs, rests), reductions(setting, cell, WIDTH, line)
        if not found:
            return Finding(Judged(NOT_RUN), cells=rests, note=open_cells)
        factor = found[0]
        return Finding(
            Judged(UNDECIDED),
            in_units(*found),
            cells=rests,
            note=notes(open_cells, few(factor.pairs)),
            estimates=(drawn_factor(f"reduction at d={WIDTH}", factor, (MEAN_REDUCTION, LARGEST_REDUCTION)),),
            factor=factor,
        )

    def found(self, results: Results, comparison: Comparison) -> Found:
        """Each with the verdict on all: the claim is about them together."""
        found = super().found(results, comparison)
        models = {setting.model for setting, _ in found}
        if len(models) < 2:
            note = f"needs two models or more, found {commas(sorted(models)) or 'none'}"
            return [(setting, Finding(Judged(NOT_RUN), note=note)) for setting, _ in found]
        if all(finding.factor is None for _, finding in found):
            return found
        verdict = Judged(UNDECIDED)
        if all(finding.factor and not undone(setting.runs, finding.cells) for setting, finding in found):
            verdict = _surest(found, comparison)
        return [(setting, replace(finding, judged=verdict)) for setting, finding in found]

    def judged(self, found: Found) -> Judged:
        """The verdict on all, which each of them has, taken once."""
        genuine = [(setting, finding) for setting, finding in found if not setting.is_planted]
        limited = [(setting, finding) for setting, finding in genuine if self.is_limited(setting)]
        return super().judged((limited or genuine)[:1])

    def number(self, found: Found) -> str:
        """Before the factors of all, what their mean lies within."""
        factors = [finding.factor for _, finding in found if finding.factor and finding.factor.decides]
        if not factors:
            return super().number(found)
        low, high = mean_ends(factors)
        upper = "no bound" if high == float("inf") else f"{high:.2f}x"
        return f"mean of {len(factors)} between {low:.2f}x and {upper}; {super().number(found)}"


def _surest(found: Found, comparison: Comparison) -> Judged:
    """The verdict of the factors, and its p-value: the least p, to 1%, whose intervals show it.

    By bisection: intervals that miss with a smaller p contain those of a larger one, so what they show, all show.
    """

    def said(p: float) -> str:
        lines = [(setting, finding.cells[0], comparison.baseline_cells(setting.runs)) for setting, finding in found]
        return judge_models([reductions(setting, cell, WIDTH, line, p=p)[0] for setting, cell, line in lines])

    verdict = said(LEVEL)
    if verdict == UNDECIDED:
        return Judged(UNDECIDED)
    low, high = math.log(LEAST_P), math.log(LEVEL)
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (low, middle) if said(math.exp(middle)) == verdict else (middle, high)
    return Judged(verdict, math.exp(high))
