"""What is found of a claim on one data set and model, and what several of them say together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from mlet_bench.claims.baselines import Baseline
from mlet_bench.display.text import commas
from mlet_bench.statistics.intervals import DECISIVE_PAIRS
from mlet_bench.statistics.reduction import Reduction
from mlet_bench.tables.cells import open_cells
from mlet_bench.tables.results import Setting


@dataclass(frozen=True)
class Finding:
    """What the runs of one data set and model say of a claim.

    Attributes:
        verdict: before the limits that the data set sets (generated rows, a part of the rows).
        number: the number with its interval, in words; empty if there is none.
        cells: what it rests on.
        note: why there is no verdict, or what else a reader must know.
        factor: of C1, the factor of the chosen cell; C6 is made from it.
        rival: the strongest rival, where it stands against that.
    """

    verdict: str
    number: str = ""
    cells: tuple[str, ...] = ()
    note: str = ""
    factor: Reduction | None = None
    rival: Baseline | None = None


Found = list[tuple[Setting, Finding]]


def numbers(found: Found) -> str:
    """``avazu: 2.31x [...]; criteo-kaggle: ...``; those of generated rows are marked."""
    return "; ".join(f"{_label(setting, found)}: {finding.number}" for setting, finding in found if finding.number)


def remarks(found: Found, before: str = "") -> str:
    """The notes of all; one that several share stands once."""
    by_note: dict[str, list[str]] = {}
    for setting, finding in found:
        if finding.note:
            by_note.setdefault(finding.note, []).append(_label(setting, found))
    return notes(*(f"{before}{commas(labels)}: {note}" for note, labels in by_note.items()))


def describe_cells(cells: Iterable[tuple[Setting, Sequence[str]]]) -> str:
    """``avazu/dlrm: mlet d=4,8 k=16,64, single d=4,8`` of cells by data set and model."""
    texts = []
    for setting, names in cells:
        known = setting.runs.drop_duplicates("cell").set_index("cell")
        rows = known.loc[[name for name in dict.fromkeys(names) if name in known.index]]
        arms = [
            f"{arm} {_widths('d', part['dim'])}{_widths(' k', part['inner_dim'])}"
            for arm, part in rows.groupby("arm", sort=False)
        ]
        texts += [f"{setting.where}: {commas(arms)}"] if arms else []
    return "; ".join(texts)


def undone(runs: pd.DataFrame, cells: Sequence[str]) -> str:
    """Which of the cells have a run that is missing or failed; empty if none."""
    found = open_cells(runs, list(dict.fromkeys(cells)))
    return f"missing or failed: {commas(found)}" if found else ""


def few(count: int) -> str:
    """That the seeds are too few to decide; empty if they are not."""
    if count >= DECISIVE_PAIRS:
        return ""
    return f"{count} paired seed{'s' if count > 1 else ''}, {DECISIVE_PAIRS} are needed"


def notes(*parts: str) -> str:
    """Those that say something, each once, in one line."""
    return "; ".join(dict.fromkeys(filter(None, parts)))


def _widths(name: str, widths: pd.Series) -> str:
    found = sorted(int(width) for width in widths.dropna().unique())
    return f"{name}={','.join(map(str, found))}" if found else ""


def _label(setting: Setting, found: Found) -> str:
    several = len({other.model for other, _ in found}) > 1
    name = setting.where if several else setting.dataset
    return f"{name} (generated rows)" if setting.is_planted else name
