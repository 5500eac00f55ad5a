"""Verdicts: their words, and what all rules have in common.

The rule of each claim is the docstring of its ``rule``, written before any full-scale result was there. Common to all:

- Every rule but that of C3 reads 95% intervals over paired seeds (C5: over timed cells), never a mean alone: Student's
  t, and where the test rows' own chance is known sqrt(t² + z²) of both. Fewer than ``DECISIVE_PAIRS`` seeds give a
  range and no verdict. *Undecided* means that both answers are still possible.
- *Reproduced* and *not reproduced* are both to be shown: failing to show the first is not the second. *Vacuous* means
  that the baseline does not need what MLET would save.
- k and the widths are fixed beforehand, and an embedding learning rate is chosen on seeds that are not judged: the best
  of many noisy cells would be taken for the effect, also where validation picks it.
- A claim about several data sets holds if it holds on each: one that shows the contrary is enough against it.
- The claims of a column are judged together: by Holm's method, the chance that any verdict of it is wrong stays 5%.
- Rows that the generator made decide nothing (*not run*), and neither does a part of a data set (*undecided* at best).
- A missing or failed cell can only take a verdict away.
- Power is the difference that these seeds and rows would have shown in four of five repetitions.
"""

import inspect
import re
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any, NamedTuple

from mlet_bench.statistics import intervals
from mlet_bench.statistics.intervals import LEVEL

REPRODUCED, NOT_REPRODUCED, UNDECIDED = "reproduced", "not reproduced", "undecided"
NOT_RUN, VACUOUS = "not run", "vacuous"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, UNDECIDED, NOT_RUN, VACUOUS)


class Judged(NamedTuple):
    """A verdict, and the p-value of what shows it; 1 where nothing is shown, 0 where it is no matter of statistics."""

    verdict: str
    p: float = 1.0


def decide(shows: Sequence[float], refutes: Sequence[float]) -> Judged:
    """*Reproduced* if all of ``shows`` are significant, *not reproduced* if any of ``refutes`` is, times their number.

    Args:
        shows, refutes: two-sided p-values.
    """
    for verdict, p in ((REPRODUCED, max(shows, default=1.0)), (NOT_REPRODUCED, _any_of(refutes))):
        if p <= LEVEL:
            return Judged(verdict, p)
    return Judged(UNDECIDED)


def overall(judged: Sequence[Judged]) -> Judged:
    """One verdict for several data sets or models: any that is against decides, all that are for decide."""
    against = [one.p for one in judged if one.verdict == NOT_REPRODUCED]
    if against:
        return Judged(NOT_REPRODUCED, _any_of(against, len(judged)))
    for verdict in (REPRODUCED, VACUOUS, NOT_RUN):
        if judged and all(one.verdict == verdict for one in judged):
            return Judged(verdict, max(one.p for one in judged))
    return Judged(UNDECIDED if judged else NOT_RUN)


def together(judged: Sequence[Judged]) -> list[Judged]:
    """A family of verdicts by Holm's method (1979): those that do not pass together become *undecided*.

    The j-th smallest of m p-values has to be within ``LEVEL`` / (m - j + 1), and all smaller ones within theirs. The
    family is all that has run; what is undecided or vacuous belongs to it and claims nothing.
    """
    tested = sorted((place for place, one in enumerate(judged) if one.verdict != NOT_RUN), key=lambda i: judged[i].p)
    kept, passes = list(judged), True
    for rank, place in enumerate(tested):
        passes = passes and judged[place].p <= LEVEL / (len(tested) - rank)
        if not passes and judged[place].verdict in (REPRODUCED, NOT_REPRODUCED):
            kept[place] = Judged(UNDECIDED)
    return kept


def _any_of(ps: Sequence[float], count: int = 0) -> float:
    """Bonferroni's p-value of "at least one of these"."""
    return min(1.0, max(count, len(ps)) * min(ps)) if ps else 1.0


def on_a_part(judged: Judged) -> Judged:
    """A verdict from a part of a data set's rows: the papers' claims are about all of them."""
    return judged if judged.verdict == NOT_RUN else Judged(UNDECIDED)


def rule_text(rule: FunctionType) -> str:
    """A rule in words, its own docstring with every constant as its value: what a reader is told is what decides.

    Raises:
        KeyError: the docstring names a constant that neither the rule's module nor ``intervals`` has.
    """
    said = (inspect.getdoc(rule) or "").split("\n\nArgs:")[0]
    return _filled(re.sub(r"^[A-Z]+\d+: ", "", said), {**vars(intervals), **rule.__globals__})


def common_rules() -> list[str]:
    """What all rules have in common, a sentence or two an item."""
    items = re.split(r"\n- ", (__doc__ or "").split("Common to all:")[1])
    return [_filled(item, vars(intervals)) for item in items if item.strip()]


def _filled(text: str, known: Mapping[str, Any]) -> str:
    """One line, constants by value, without the marks of emphasis."""

    def value(found: re.Match) -> str:
        if not found[1].isupper():
            return found[1]
        constant = known[found[1]]
        if not isinstance(constant, tuple):
            return f"{constant:g}"
        return (" to " if len(constant) == 2 else ", ").join(f"{end:g}" for end in constant)

    plain = " ".join(re.sub(r"\*([^*]+)\*", r"\1", re.sub(r"``(\w+)``", value, text)).split())
    return plain[:1].upper() + plain[1:]
