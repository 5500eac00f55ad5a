"""The first screen: for each data set a sentence, made from the numbers, that says what to train."""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlet_bench.claims.comparisons import AS_PAPER, BOTH_TUNED, INNER_DIM, TUNED_BASELINE
from mlet_bench.display.document import DATASET, MODEL, D, K, Section, difference, number, show, words
from mlet_bench.display.text import counted, listed
from mlet_bench.statistics.intervals import DECISIVE_PAIRS, EQUIVALENT_AUC, Interval, equivalent
from mlet_bench.statistics.intervals import LEVEL as P
from mlet_bench.statistics.reduction import Reduction, reduction_factor
from mlet_bench.tables.cells import contrast, open_cells, paired, whole_widths
from mlet_bench.tables.results import Results, Setting

AHEAD, BEHIND, LEVEL, OPEN = "ahead", "behind", "level", "undecided"
TUNED = "a single table with a tuned step"


@dataclass(frozen=True)
class Tuned:
    """MLET beside a single table with a tuned step.

    Attributes:
        dim: d of both.
        difference: AUC of MLET minus that of the single table; None where there is none to compare.
        both: whether MLET's step was tuned as well.
        undone: cells that are missing or failed, without which nothing is shown.
    """

    dim: int
    difference: Interval | None = None
    both: bool = False
    undone: tuple[str, ...] = ()

    @property
    def reading(self) -> str:
        return OPEN if self.difference is None or self.undone else reading(self.difference)


@dataclass(frozen=True)
class Outcome:
    """What the runs of one data set and model say of MLET at its narrowest width d.

    Attributes:
        own: AUC of MLET minus that of ``single``, both of width d.
        factor: how many times as wide ``single`` is at equal AUC.
        width: AUC that ``single`` gains from its narrowest to its widest table.
        tuned: MLET beside a tuned single table, at the narrowest width that both have.
    """

    setting: Setting
    dim: int
    inner_dim: int
    own: Interval
    factor: Reduction | None
    width: Interval | None
    tuned: Tuned

    @property
    def rival(self) -> str:
        """The tuned single table in words."""
        return TUNED + ("" if self.tuned.dim == self.dim else f" at d={self.tuned.dim}")

    @property
    def against_single(self) -> str:
        return reading(self.own)


def reading(difference: Interval) -> str:
    """What an AUC difference of MLET comes to: ahead, behind, level, or open."""
    if difference.known and equivalent(difference, EQUIVALENT_AUC):
        return LEVEL
    return AHEAD if difference.low > 0 else BEHIND if difference.high < 0 else OPEN


def outcome(setting: Setting) -> Outcome | None:
    """None where MLET and ``single`` have finished no width and seed in common."""
    runs = setting.runs
    inner_dims = sorted(int(k) for k in runs[runs["arm"] == AS_PAPER.treated]["inner_dim"].unique())
    inner_dim = INNER_DIM if INNER_DIM in inner_dims else max(inner_dims, default=0)
    line = AS_PAPER.baseline_cells(runs)
    for dim, cell in sorted(AS_PAPER.treated_cells(runs, inner_dim).items()):
        own = contrast(setting, {cell: 1, line[dim]: -1}) if dim in line else None
        if own is not None:
            break
    else:
        return None
    values = paired(runs, [*line.values(), cell], "test_auc").to_numpy().T  # (W + 1, S)
    measured = len(line) > 1 and values.size
    factor = reduction_factor(np.array([*line], float), values[:-1], dim, values[-1]) if measured else None
    width = contrast(setting, {line[max(line)]: 1, line[dim]: -1}) if max(line) > dim else None
    return Outcome(setting, dim, inner_dim, own, factor, width, tuned(setting, inner_dim) or Tuned(dim))


def tuned(setting: Setting, inner_dim: int) -> Tuned | None:
    """At the narrowest width in common; None where no tuned single table has one with MLET."""
    runs = setting.runs
    for comparison in (BOTH_TUNED, TUNED_BASELINE):  # the fairer one first
        ours, theirs = comparison.treated_cells(runs, inner_dim), comparison.baseline_cells(runs)
        if dims := sorted(ours.keys() & theirs.keys()):
            pair = ours[dims[0]], theirs[dims[0]]
            difference, undone = contrast(setting, dict(zip(pair, (1, -1)))), tuple(open_cells(runs, pair))
            return Tuned(dims[0], difference, comparison is BOTH_TUNED, undone)
    return None


def answer(results: Results) -> list[str]:
    """A sentence for each data set; of several models it counts, and ``models_section`` has each."""
    told = []
    for dataset in results.config["datasets"]:
        settings = [setting for setting in results.settings if setting.dataset == dataset]
        found = [outcome(setting) for setting in settings]
        outcomes = [one for one in found if one is not None]
        if not outcomes and len(settings) == 1 and (beside := tuned(settings[0], INNER_DIM)) is not None:
            said = _beside_tuned(beside, f"{TUNED} of its width", f"MLET at d={beside.dim}")
            told.append(f"On {named(settings[0])}, {said}.")
        elif not outcomes:
            told.append(f"On {dataset}, no seed of MLET and a single table of its width is done.")
        elif len(found) == 1:
            told.append(f"On {named(outcomes[0].setting)}, {sentence(outcomes[0])}.")
        else:
            told.append(f"On {named(outcomes[0].setting)}, {_counted(outcomes, len(found))}.")
    return told


def named(setting: Setting) -> str:
    """The data set, marked where its rows are generated."""
    return setting.dataset + (" (generated rows)" if setting.is_planted else "")


def sentence(found: Outcome) -> str:
    """One data set and model: MLET beside ``single``, then beside a tuned single table, then what to use."""
    if found.own.count < DECISIVE_PAIRS:
        beside = f", {_apart(found.tuned.difference)} {found.rival}" if found.tuned.difference else ""
        return (
            f"MLET at d={found.dim} is {_apart(found.own)} a single table of its width{beside}; "
            f"{counted(found.own.count, 'seed')}, where {DECISIVE_PAIRS} are needed, cannot decide"
        )
    return f"{_beside_single(found)}; {_beside_tuned(found.tuned, found.rival)}"


def _apart(difference: Interval) -> str:
    """``0.0116 AUC above``; of several seeds the interval, of few none."""
    interval = f" ({difference.low:+.4f} to {difference.high:+.4f})" if difference.known else ""
    return f"{abs(difference.mean):.4f} AUC{interval} {'below' if difference.mean < 0 else 'above'}"


def _beside_single(found: Outcome) -> str:
    mlet = f"MLET at d={found.dim}"
    if found.width is not None and found.width.p_below(EQUIVALENT_AUC) <= P:
        return f"a single table gains nothing from more width than d={found.dim}, so there is none to save"
    factor, ahead = found.factor, found.against_single
    if ahead != AHEAD or factor is None or not factor.decides:
        means = {AHEAD: "", LEVEL: ", which counts as equal", BEHIND: "", OPEN: ", which is too little to tell"}[ahead]
        return f"{mlet} is {_apart(found.own)} a single table of its width{means}"
    if not math.isfinite(factor.factor):
        return f"{mlet} is better than a single table of any width up to d={factor.most * found.dim:.0f}"
    high = f"{factor.low:.1f}-{factor.high:.1f}x" if math.isfinite(factor.high) else f"{factor.low:.1f}x or more"
    as_wide = f"d={factor.factor * found.dim:.0f}"
    return f"{mlet} is as good as a single table at {as_wide} ({factor.factor:.1f}x, {high})"


def _beside_tuned(found: Tuned, rival: str, mlet: str = "MLET") -> str:
    if found.undone:
        return f"whether {rival} does as well is open, without {listed(found.undone)}"
    if found.difference is None:
        return f"{TUNED} has not run"
    if found.reading == LEVEL:
        return f"{rival} is as good{' as MLET with a tuned step' if found.both else ''}: use that"
    advice = {BEHIND: ": use that", AHEAD: ": use MLET", OPEN: ", which is too little to tell"}
    mlet += ", its step tuned as well," if found.both else ""
    return f"{mlet} is {_apart(found.difference)} {rival}{advice[found.reading]}"


def _counted(found: list[Outcome], models: int) -> str:
    """Several models: with how many MLET is ahead of a tuned single table."""
    count = Counter(one.tuned.reading for one in found)
    count[OPEN] += models - len(found)
    counts = listed(f"{of} with {count[of]}" for of in (AHEAD, LEVEL, BEHIND, OPEN) if count[of])
    return f"MLET at d={found[0].dim}, beside {TUNED}, is {counts} of {counted(models, 'model')}"


def answer_table(results: Results) -> pd.DataFrame:
    """One row a data set and model: the numbers of the first screen, and of MLET beside the tuned single table."""
    names = [
        "dataset",
        "model",
        "dim",
        "inner_dim",
        "own",
        "own_low",
        "own_high",
        "factor",
        "factor_low",
        "factor_high",
    ]
    names += ["tuned_dim", "tuned", "tuned_low", "tuned_high", "both_tuned", "reading"]
    rows = []
    for found in filter(None, map(outcome, results.settings)):
        factor, nothing = found.factor, (math.nan,) * 3
        factors = (factor.factor, factor.low, factor.high) if factor else nothing
        beside = found.tuned
        apart = beside.difference.numbers if beside.difference else nothing
        of = (found.setting.dataset, found.setting.model, found.dim, found.inner_dim)
        rows.append((*of, *found.own.numbers, *factors, beside.dim, *apart, beside.both, beside.reading))
    return whole_widths(pd.DataFrame(rows, columns=names))


def models_section(results: Results) -> Section | None:
    """All models side by side; None where there is one."""
    table = results.table(answer_table)
    if table["model"].nunique() < 2:
        return None
    columns = [
        *(DATASET, MODEL, D, K, difference("AUC from single", "own", "own_low", "own_high")),
        number("single's width at equal AUC, × d", "factor", ".2f"),
        difference(f"AUC from {TUNED}", "tuned", "tuned_low", "tuned_high"),
        words("MLET is", "reading"),
    ]
    text = [
        "MLET at its narrowest width on each data set and model, with 95% intervals where the seeds are enough. Where "
        "single reaches MLET's quality at no width measured, the factor is infinite."
    ]
    return Section("Models side by side", text, tables=[("", show(table, columns, csv="answer"))])
