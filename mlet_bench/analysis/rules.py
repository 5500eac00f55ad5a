"""The rules of ``verdicts`` in words: their own docstrings, so that what a reader is told is what decides."""

import inspect
import re
from collections.abc import Callable

from mlet_bench.analysis import verdicts

RULES: dict[str, Callable[..., str]] = {
    "C1": verdicts.judge_reduction,
    "C2": verdicts.judge_gain,
    "C3": verdicts.judge_collapse,
    "C4": verdicts.judge_rank,
    "C5": verdicts.judge_overhead,
    "C6": verdicts.judge_models,
    "C7": verdicts.judge_rare,
}


def rule_of(claim: str) -> str:
    """The rule of one claim's verdict as running text, every constant as its value.

    Raises:
        KeyError: there is no such claim, or the docstring names a constant that ``verdicts`` lacks.
    """
    said = inspect.getdoc(RULES[claim]).split("\n\nArgs:")[0]
    return _filled(said.removeprefix(f"{claim}: "))


def common_rules() -> list[str]:
    """What all rules have in common, a sentence or two an item."""
    items = re.split(r"\n- ", inspect.getdoc(verdicts).split("Common to all:")[1])
    return [_filled(item) for item in items if item.strip()]


def _filled(text: str) -> str:
    """One line, constants by value, without the marks of emphasis."""
    with_values = re.sub(r"``(\w+)``", lambda found: _value(found[1]), text)
    plain = " ".join(re.sub(r"\*([^*]+)\*", r"\1", with_values).split())
    return plain[0].upper() + plain[1:]


def _value(name: str) -> str:
    known = vars(verdicts)
    if not name.isupper():
        return name
    value = known[name]
    return " to ".join(f"{end:g}" for end in value) if isinstance(value, tuple) else f"{value:g}"
