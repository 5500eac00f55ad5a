"""C6: the reduction over several models, from the factors that C1's rule finds for each."""

from collections.abc import Sequence
from dataclasses import replace

from mlet_bench.claims import CLAIMS
from mlet_bench.claims.baselines import Baseline
from mlet_bench.claims.c1_reduction import REDUCTION, find_reduction
from mlet_bench.claims.claim import PAPER_B, Claim, ClaimRow
from mlet_bench.claims.finding import Finding, Found
from mlet_bench.claims.verdicts import NOT_REPRODUCED, NOT_RUN, REPRODUCED, UNDECIDED, with_unfinished_rivals
from mlet_bench.display.text import commas
from mlet_bench.statistics.reduction import Reduction
from mlet_bench.tables.results import Results, Setting

MEAN_REDUCTION, LARGEST_REDUCTION = 5.8, 16.0


def judge_models(factors: Sequence[Reduction]) -> str:
    """C6: up to 16x, 5.8x on average, over several models.

    The mean of the intervals' ends holds the mean factor; it is wider than need be, as if all erred together.
    *Reproduced*: mean and largest allow the paper's 5.8 and 16 or more, and exclude less than the 4 and 8 of paper A,
    which they are to surpass. *Not reproduced*: the mean stays below 5.8, or the largest below 16, with its interval.

    Args:
        factors: one a data set and model, of the cell that validation chose.
    """
    if not factors or not all(factor.decides for factor in factors):
        return UNDECIDED
    low, high = mean_ends(factors)
    largest = max(factor.floor for factor in factors), max(factor.ceiling for factor in factors)
    if high < MEAN_REDUCTION or largest[1] < LARGEST_REDUCTION:
        return NOT_REPRODUCED
    return REPRODUCED if low >= REDUCTION and largest[0] >= 2 * REDUCTION else UNDECIDED


def mean_ends(factors: Sequence[Reduction]) -> tuple[float, float]:
    """Means of the lower and of the upper ends of the factors' intervals."""
    return sum(f.floor for f in factors) / len(factors), sum(f.ceiling for f in factors) / len(factors)


@CLAIMS.add
class ModelsClaim(Claim):
    name = "C6"
    sentence = "The reduction is up to 16x, 5.8x on average, over several models."
    source = PAPER_B
    rule = staticmethod(judge_models)

    def find(self, setting: Setting, base: Baseline) -> Finding:
        return find_reduction(setting, base)

    def row(self, results: Results) -> ClaimRow:
        """One verdict on all data sets and models together; genuine rows alone where there are any."""
        settings = [setting for setting in results.settings if not setting.is_planted] or results.settings
        models = list(dict.fromkeys(setting.model for setting in settings))
        if len(models) < 2:
            row = self.combined([(setting, Finding(NOT_RUN)) for setting in settings], [])
            return replace(row, note=f"needs two models or more, found {commas(sorted(models)) or 'none'}")
        ours, theirs = self.against_single(settings), self.against_rival(settings)
        row = self.combined(_judged(ours), _judged(theirs))
        return replace(row, number=_mean(ours, row.number), rival_number=_mean(theirs, row.rival_number))


def _judged(found: Found) -> Found:
    """Each with the verdict on all: the claim is about them together."""
    factors = _factors(found)
    if not factors:
        verdict = NOT_RUN
    else:
        verdict = judge_models(factors) if len(factors) == len(found) else UNDECIDED
        if any(finding.rival and finding.rival.unfinished for _, finding in found):
            verdict = with_unfinished_rivals(verdict, True)
    return [(setting, replace(finding, verdict=verdict)) for setting, finding in found]


def _factors(found: Found) -> list[Reduction]:
    return [finding.factor for _, finding in found if finding.factor is not None]


def _mean(found: Found, number: str) -> str:
    factors = [factor for factor in _factors(found) if factor.pairs > 1]
    if not factors:
        return number
    low, high = mean_ends(factors)
    upper = "no bound" if high == float("inf") else f"{high:.2f}x"
    return f"mean of {len(factors)} between {low:.2f}x and {upper}; {number}"
