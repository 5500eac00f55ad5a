"""The ledger: the papers' claims, each with its number, its interval and a verdict.

Numbers come from ``quality_findings`` and ``table_findings``, verdicts from the rules in ``verdicts``; this file says
what is claimed, and makes one row of what several data sets and models say.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from mlet_bench.analysis import verdicts
from mlet_bench.analysis.comparison import Baseline, single, strongest_rival
from mlet_bench.analysis.findings import Finding, Streams, listed, notes
from mlet_bench.analysis.places import Found, Place, describe_cells, limits, numbers, remarks, verdict_of
from mlet_bench.analysis.quality_findings import find_gain, find_rare, find_reduction
from mlet_bench.analysis.table_findings import find_collapse, find_overhead, find_rank
from mlet_bench.analysis.verdicts import mean_ends
from mlet_bench.errors import BenchError

PAPER_A, PAPER_B = "arXiv 2006.05623", "arXiv 2309.15881"
MODEL_A = "dlrm"  # the one model of paper A: its claims are about nothing else

CLAIMS = {
    "C1": ("At equal model quality MLET allows d, and so table memory, to be cut 4-8x.", PAPER_A),
    "C2": ("The gain is substantial when k is much larger than d, and grows with k.", PAPER_A),
    "C3": ("Collapsing changes no prediction, and the collapsed model's size scales as d.", PAPER_A),
    "C4": ("MLET's trained embeddings have lower effective rank than single-layer ones.", PAPER_A),
    "C5": ("Training costs 25% more time on average.", PAPER_A),
    "C6": ("The reduction is up to 16x, 5.8x on average, over several models.", PAPER_B),
    "C7": ("The gain is largest for rarely seen categories.", PAPER_B),
}


@dataclass(frozen=True)
class ClaimRow:
    """One claim in the ledger.

    Attributes:
        source: the paper that makes it.
        cells: what the verdict against ``single`` rests on, ``dataset/model/cell``.
        number: with its interval, a data set after the other.
        verdict: against ``single``, as the papers compare: one of ``verdicts``.
        rival: the cells of the strongest rival, ``dataset/model/cell``; empty where no rival is involved (C3, C5).
        rival_number, rival_verdict: against it; empty where no rival is involved.
        note: what is missing, and what limits the verdict.
    """

    claim: str
    sentence: str
    source: str
    cells: tuple[str, ...]
    number: str
    verdict: str
    rival: tuple[str, ...]
    rival_number: str
    rival_verdict: str
    note: str

    @property
    def cells_text(self) -> str:
        """``avazu/dlrm: mlet d=4 k=64, single d=4,8,16``."""
        return describe_cells(self.cells)

    @property
    def rival_text(self) -> str:
        """The strongest rival's cells, as ``cells_text`` has them."""
        return describe_cells(self.rival)


def claim_ledger(
    runs: pd.DataFrame,
    spectrum: pd.DataFrame,
    overhead: pd.DataFrame,
    rare: pd.DataFrame,
    planted: Mapping[str, bool],
    streams: Streams,
    parts: Collection[str] = (),
) -> list[ClaimRow]:
    """The ledger of the claims C1 to C7, one row each, whatever has run.

    Args:
        runs: one row a run that the configuration asks for, done or not; columns dataset, model, cell, arm, dim,
            inner_dim, seed, status (``done``, ``failed``, ``missing``), reason, test_auc, test_logloss, val_auc,
            inference_tables_bytes, max_logit_difference.
        spectrum: one row a run, field, stage and weighting: dataset, model, cell, seed, field, stage, weighting,
            effective_rank.
        overhead: one row a timed pair: dataset, model, dim, inner_dim, batch_size, device, single_ms, mlet_ms.
        rare: one row a run and group of test rows: dataset, model, cell, seed, grouping, group (rarest first), auc.
        planted: data set → whether the generator made its rows. Such rows show numbers and decide nothing.
        streams: gives the generator of each interval by name, ``reduction/avazu/dlrm/mlet-d4-k64/auc`` for one; equal
            names must give equal streams. ``lambda name: np.random.default_rng(derive_seed(0, name))`` gives the
            intervals of the report's tables.
        parts: genuine data sets of which only a part of the rows was used; they too decide nothing but C3.

    Raises:
        BenchError: a data set of ``runs`` is not in ``planted``.
    """
    if unknown := sorted(set(runs["dataset"]) - set(planted)):
        raise BenchError(f"planted says nothing of {listed(unknown)}: say whether the generator made its rows")
    places = [
        Place(str(dataset), str(model), part, bool(planted[dataset]), dataset in parts)
        for (dataset, model), part in runs.groupby(["dataset", "model"], sort=False)
    ]
    of_a = [place for place in places if place.model == MODEL_A]
    # Rounding is the same on a part of the rows.
    collapses = [(replace(place, part=False), find_collapse(place.runs)) for place in of_a]
    reductions = _both(places, lambda place, base: find_reduction(place.runs, base, place.where, streams))
    gains = _both(of_a, lambda place, base: find_gain(place.runs, base, place.where, streams))
    ranks = _both(
        of_a, lambda place, base: find_rank(place.runs, place.of(spectrum), base, place.where, streams), False
    )
    rares = _both(places, lambda place, base: find_rare(place.runs, place.of(rare), base, place.where, streams), False)
    return [
        _row("C1", *([found for found in side if found[0].model == MODEL_A] for side in reductions)),
        _row("C2", *gains),
        _row("C3", collapses, None),
        _row("C4", *ranks),
        _overhead_row(of_a, overhead, streams),
        _models_row(*reductions),
        _row("C7", *rares),
    ]


def _both(
    places: Sequence[Place], find: Callable[[Place, Baseline], Finding], stronger_is_harder: bool = True
) -> tuple[Found, Found]:
    """What each place says against ``single``, and against the strongest rival."""
    ours = [(place, find(place, single(place.runs))) for place in places]
    theirs = []
    for place in places:
        base = strongest_rival(place.runs)
        if not base.cells:
            theirs.append((place, Finding(verdicts.NOT_RUN, note="no rival has run")))
            continue
        found = find(place, base)
        if base.unfinished:
            verdict = verdicts.with_unfinished_rivals(found.verdict, stronger_is_harder)
            note = notes(found.note, f"could be stronger, missing or failed: {listed(base.unfinished)}")
            found = replace(found, verdict=verdict, note=note)
        theirs.append((place, replace(found, rival=tuple(base.cells.values()), unfinished=base.unfinished)))
    return ours, theirs


def _row(claim: str, ours: Found, theirs: Found | None) -> ClaimRow:
    """One row of what several places say; ``theirs`` is None where no rival is involved."""
    said = {(place, found.note) for place, found in ours}
    return ClaimRow(
        claim,
        *CLAIMS[claim],
        cells=tuple(f"{place.where}/{cell}" for place, found in ours for cell in found.cells),
        number=numbers(ours),
        verdict=verdict_of(ours),
        rival=tuple(f"{place.where}/{cell}" for place, found in theirs or () for cell in found.rival),
        rival_number=numbers(theirs or []),
        rival_verdict="" if theirs is None else verdict_of(theirs),
        note=notes(
            "" if ours else f"no run of {MODEL_A}",
            limits(ours),
            remarks(ours),
            remarks(
                [item for item in theirs or [] if (item[0], item[1].note) not in said], "against the strongest rival, "
            ),
        ),
    )


def _overhead_row(places: Sequence[Place], overhead: pd.DataFrame, streams: Streams) -> ClaimRow:
    """C5 pools its data sets, genuine ones where there are any: the paper's number is one mean."""
    pooled = [place for place in places if not place.planted] or list(places)
    if not pooled:
        return _row("C5", [], None)
    timed = pd.concat([place.of(overhead) for place in pooled])
    found = find_overhead(pd.concat([place.runs for place in pooled]), timed, streams)
    # A step's time depends on the sizes of the tables, and those of a part of the rows are smaller.
    verdict = verdicts.on_a_part(found.verdict) if any(place.part for place in pooled) else found.verdict
    row = _row("C5", [(place, Finding(verdict, note=found.note)) for place in pooled], None)
    return replace(row, cells=found.cells, number=found.number)


def _models_row(ours: Found, theirs: Found) -> ClaimRow:
    """C6, from the factors that C1's rule finds for every model; genuine rows alone where there are any."""
    counted = [[item for item in side if not item[0].planted] or side for side in (ours, theirs)]
    models = sorted({place.model for place, _ in counted[0]})
    row = _row("C6", *([(place, replace(found, verdict=_of_all(side))) for place, found in side] for side in counted))
    if len(models) > 1:
        return replace(row, number=_mean(counted[0], row.number), rival_number=_mean(counted[1], row.rival_number))
    note = f"needs two models or more, found {listed(models) or 'none'}"
    nothing = {"cells": (), "number": "", "rival": (), "rival_number": ""}
    return replace(row, verdict=verdicts.NOT_RUN, rival_verdict=verdicts.NOT_RUN, note=note, **nothing)


def _of_all(side: Found) -> str:
    """One verdict on all places: the claim is about them together."""
    factors = [found.factor for _, found in side if found.factor is not None]
    if not factors:
        return verdicts.NOT_RUN
    verdict = verdicts.judge_models(factors) if len(factors) == len(side) else verdicts.UNDECIDED
    unfinished = any(found.unfinished for _, found in side)
    return verdicts.with_unfinished_rivals(verdict, True) if unfinished else verdict


def _mean(side: Found, number: str) -> str:
    factors = [found.factor for _, found in side if found.factor is not None and found.factor.pairs > 1]
    if not factors:
        return number
    low, high = mean_ends(factors)
    upper = "no bound" if high == float("inf") else f"{high:.2f}x"
    return f"mean of {len(factors)} between {low:.2f}x and {upper}; {number}"
