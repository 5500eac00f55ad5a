"""What is found of a claim on one data set and model, and what several of them say together."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from mlet_bench.claims.verdicts import Judged
from mlet_bench.display.text import commas
from mlet_bench.statistics.intervals import DECISIVE_PAIRS, Interval
from mlet_bench.statistics.reduction import Reduction
from mlet_bench.tables.cells import open_cells
from mlet_bench.tables.results import Setting

NONE = (math.nan, math.nan)


@dataclass(frozen=True)
class Estimate:
    """A number with its interval, as it is drawn: a row of the ledger's forest plot.

    Attributes:
        label: what the number is, short.
        value, low, high: NaN ends where the seeds are too few for an interval; 0 or infinite where they are not known.
        seeds: how many are paired.
        unit: ``AUC``, ``x`` or ``%``.
        scale: ``linear`` or ``log``.
        reference: the value that means "no effect".
        paper: the paper's value or range, as low and high; NaN where it has none.
    """

    label: str
    value: float
    low: float
    high: float
    seeds: int
    unit: str = "AUC"
    scale: str = "linear"
    reference: float = 0.0
    paper: tuple[float, float] = NONE


@dataclass(frozen=True)
class Finding:
    """What the runs of one data set and model say of a claim.

    Attributes:
        judged: the verdict before the limits that the data set sets (generated rows, a part of the rows).
        number: the number with its interval, in words; empty if there is none.
        power: what difference could have been shown, in words.
        cells: what it rests on.
        note: why there is no verdict, or what else a reader must know.
        estimates: the numbers that are drawn.
        factor: of C6, the reduction factor that it is made from.
    """

    judged: Judged
    number: str = ""
    power: str = ""
    cells: tuple[str, ...] = ()
    note: str = ""
    estimates: tuple[Estimate, ...] = ()
    factor: Reduction | None = None


Found = list[tuple[Setting, Finding]]


def numbers(found: Found) -> str:
    """``avazu: 2.31x [...]; criteo-kaggle: ...``; those of generated rows are marked."""
    return "; ".join(f"{_label(setting, found)}: {finding.number}" for setting, finding in found if finding.number)


def powers(found: Found) -> str:
    """The same of what could have been shown."""
    return "; ".join(f"{_label(setting, found)}: {finding.power}" for setting, finding in found if finding.power)


def remarks(found: Found) -> str:
    """The notes of all; one that several share stands once."""
    by_note: dict[str, list[str]] = {}
    for setting, finding in found:
        if finding.note:
            by_note.setdefault(finding.note, []).append(_label(setting, found))
    return notes(*(f"{commas(labels)}: {note}" for note, labels in by_note.items()))


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


def undone(runs: pd.DataFrame, cells: Iterable[str]) -> str:
    """Which of the cells have a run that is missing or failed; empty if none."""
    found = open_cells(runs, list(dict.fromkeys(cells)))
    return f"missing or failed: {commas(found)}" if found else ""


def power(interval: Interval, unit: str = "AUC") -> str:
    """The difference that these seeds show in four of five repetitions; empty without an interval."""
    if not interval.known:
        return ""
    return f"{interval.detectable:.1%}" if unit == "%" else f"{interval.detectable:.5f} {unit}"


def drawn(label: str, interval: Interval) -> Estimate:
    """An AUC difference as it is drawn."""
    return Estimate(label, *interval.numbers, seeds=interval.count)


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
