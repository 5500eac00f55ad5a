"""Verdicts: their words, and what all rules have in common.

The rule of each claim is the docstring of its ``rule``, written before any full-scale result was there. Common to all:

- Every rule but that of C3 reads 95% intervals over paired seeds (C5: over timed cells), never a mean alone, and
  decides nothing on fewer than ``DECISIVE_PAIRS``. *Undecided* means that the interval allows both answers.
- *Reproduced* and *not reproduced* are both to be shown: failing to show the first is not the second.
- Where one of several cells has to be chosen (k at a d, the cell of the best factor, the strongest rival), validation
  chooses and test judges. Otherwise the best of 20 noisy cells would be taken for the effect.
- A claim about several data sets holds if it holds on each: one that shows the contrary is enough against it.
- Rows that the generator made decide nothing (*not run*), and neither does a part of a data set (*undecided* at best).
- A missing or failed cell can only take a verdict away.
"""

import inspect
import re
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any

from mlet_bench.statistics import intervals

REPRODUCED, NOT_REPRODUCED, UNDECIDED, NOT_RUN = "reproduced", "not reproduced", "undecided", "not run"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, UNDECIDED, NOT_RUN)


def overall(verdicts: Sequence[str]) -> str:
    """One verdict for several data sets or models: any that is against decides, all that are for decide."""
    if NOT_REPRODUCED in verdicts:
        return NOT_REPRODUCED
    for verdict in (REPRODUCED, NOT_RUN):
        if verdicts and all(other == verdict for other in verdicts):
            return verdict
    return UNDECIDED if verdicts else NOT_RUN


def with_unfinished_rivals(verdict: str, stronger_is_harder: bool) -> str:
    """A verdict against the strongest rival, where a cell that could have been stronger is missing.

    Args:
        stronger_is_harder: whether a stronger rival could only be harder to beat (a difference of quality); then what
            fails against the weaker one stands.
    """
    return verdict if verdict == NOT_RUN or (stronger_is_harder and verdict == NOT_REPRODUCED) else UNDECIDED


def on_a_part(verdict: str) -> str:
    """A verdict from a part of a data set's rows: the papers' claims are about all of them."""
    return verdict if verdict == NOT_RUN else UNDECIDED


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
        return " to ".join(f"{end:g}" for end in constant) if isinstance(constant, tuple) else f"{constant:g}"

    plain = " ".join(re.sub(r"\*([^*]+)\*", r"\1", re.sub(r"``(\w+)``", value, text)).split())
    return plain[:1].upper() + plain[1:]
