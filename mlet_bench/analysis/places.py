"""What several data sets and models say together: one verdict, one line of numbers, one of remarks."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from mlet_bench.analysis import verdicts
from mlet_bench.analysis.findings import Finding, listed, notes


@dataclass(frozen=True, eq=False)
class Place:
    """One data set and model.

    Attributes:
        runs: its runs, done or not.
        planted: the generator made its rows.
        part: only a part of its rows was used.
    """

    dataset: str
    model: str
    runs: pd.DataFrame
    planted: bool
    part: bool

    @property
    def where(self) -> str:
        """As in the folders of the runs."""
        return f"{self.dataset}/{self.model}"

    def of(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of a frame that are this place's."""
        return frame[(frame["dataset"] == self.dataset) & (frame["model"] == self.model)]


Found = list[tuple[Place, Finding]]


def verdict_of(side: Found) -> str:
    """The verdict of all genuine places together; *not run* without one."""
    genuine = [(place, found.verdict) for place, found in side if not place.planted]
    return verdicts.overall([verdicts.on_a_part(verdict) if place.part else verdict for place, verdict in genuine])


def numbers(side: Found) -> str:
    """``avazu: 2.31x [...]; criteo-kaggle: ...``; those of generated rows are marked."""
    return "; ".join(f"{_label(place, side)}: {found.number}" for place, found in side if found.number)


def remarks(side: Found, before: str = "") -> str:
    """The notes of all places; one that several share stands once."""
    by_note: dict[str, list[str]] = {}
    for place, found in side:
        if found.note:
            by_note.setdefault(found.note, []).append(_label(place, side))
    return notes(*(f"{before}{listed(labels)}: {note}" for note, labels in by_note.items()))


def limits(side: Found) -> str:
    """Why what was found may decide nothing."""
    planted = sorted({place.dataset for place, _ in side if place.planted})
    part = sorted({place.dataset for place, _ in side if place.part and not place.planted})
    return notes(
        f"rows made by the generator decide nothing: {listed(planted)}" if planted else "",
        f"a part of the rows decides nothing: {listed(part)}" if part else "",
    )


def describe_cells(cells: Iterable[str]) -> str:
    """``avazu/dlrm: mlet d=4,8 k=16,64, single d=4,8`` of ``dataset/model/cell`` names."""
    arms: dict[str, dict[str, tuple[set[int], set[int]]]] = {}
    for name in cells:
        where, _, cell = name.rpartition("/")
        arm, dim, inner = re.fullmatch(r"(.+)-d(\d+)(?:-k(\d+))?(?:-e\d+)?", cell).groups()
        dims, inners = arms.setdefault(where, {}).setdefault(arm, (set(), set()))
        dims.add(int(dim))
        inners |= {int(inner)} if inner else set()
    texts = {
        where: [f"{arm} {_widths('d', dims)}{_widths(' k', inners)}" for arm, (dims, inners) in found.items()]
        for where, found in arms.items()
    }
    return "; ".join(f"{where}: {listed(found)}" for where, found in texts.items())


def _widths(name: str, widths: set[int]) -> str:
    return f"{name}={','.join(map(str, sorted(widths)))}" if widths else ""


def _label(place: Place, side: Found) -> str:
    several = len({other.model for other, _ in side}) > 1
    name = place.where if several else place.dataset
    return f"{name} (generated rows)" if place.planted else name
