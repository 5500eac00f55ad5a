"""What a comparison with another project's code gives, and the list of all comparisons.

A comparison is a function without arguments in a file `compare_*.py` of this folder, marked `@comparison`. It returns
one `Agreement`, or a list of them, and raises `PeerAbsent` where the peer cannot be had. test_peer_agreement.py calls
each and asserts `agrees`; `agreement.py` calls all and writes AGREEMENT.md.

Example::

    @comparison
    def metrics() -> list[Agreement]:
        return [Agreement("FuxiCTR", version, "AUC on equal predictions", "100,000 rows", abs(ours - theirs), 1e-9)]
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


class PeerAbsent(Exception):
    """The peer is not here; the sentence says which variable or package to set or install."""


@dataclass(frozen=True)
class Agreement:
    """One line of AGREEMENT.md.

    `largest` is the largest absolute difference found; where things must be equal, how many are not.
    """

    peer: str
    version: str
    what: str
    shape: str
    largest: float
    tolerance: float

    @property
    def agrees(self) -> bool:
        """False for NaN, too."""
        return self.largest <= self.tolerance


Comparison = Callable[[], Agreement | list[Agreement]]
COMPARISONS: list[Comparison] = []


def comparison(function: Comparison) -> Comparison:
    """Enter a function into the list; it stays callable under its own name."""
    COMPARISONS.append(function)
    return function


def everything() -> list[Comparison]:
    """All comparisons of the folder, in the order of file names and of definition."""
    for path in sorted(FOLDER.glob("compare_*.py")):
        importlib.import_module(path.stem)
    return COMPARISONS


def run(function: Comparison) -> list[Agreement]:
    """The comparison's lines; raises PeerAbsent."""
    found = function()
    return found if isinstance(found, list) else [found]
