"""What a benchmark found: one row a comparison, with its ratio and the target that was set for it."""

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mlet_bench.errors import BenchError
from mlet_bench.files import atomic


@dataclass(frozen=True)
class Measure:
    """One comparison.

    Attributes:
        benchmark, case: what was measured, and at which sizes.
        ours: our figure, in ``unit``.
        against: what it is compared with: a peer's name and version, or a limit.
        theirs: its figure, in ``unit``.
        ratio: how often ours is better; for an overhead, the extra time (0.1 is 10%).
        target: the ratio aimed at, as words; "" where none was set.
        device, software: what it ran on.
    """

    benchmark: str
    case: str
    ours: float
    unit: str
    against: str
    theirs: float
    ratio: float
    target: str
    device: str
    software: str


FIGURES = ("ours", "theirs", "ratio")


def write_measures(measures: list[Measure], path: Path) -> None:
    """Store measures as CSV, whole or not at all."""
    with atomic(path) as partial, partial.open("w", newline="") as file:
        table = csv.DictWriter(file, [column.name for column in fields(Measure)], lineterminator="\n")
        table.writeheader()
        for measure in measures:
            table.writerow(asdict(measure) | {name: f"{getattr(measure, name):.5g}" for name in FIGURES})


def read_measures(folder: Path) -> list[Measure]:
    """The measures of every CSV of a folder.

    Raises:
        BenchError: there is none.
    """
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise BenchError(f"{folder} has no tables: write one with 'python -m benchmarks NAME --out {folder}/x.csv'")
    found = []
    for path in files:
        with path.open(newline="") as file:
            found += map(_measure, csv.DictReader(file))
    return found


def _measure(row: dict[str, Any]) -> Measure:
    figures: dict[str, Any] = {name: float(row[name]) for name in FIGURES}
    return Measure(**row | figures)


def as_markdown(measures: list[Measure]) -> str:
    """A table for reading."""
    lines = ["| what | ours | against | theirs | ratio | target | on |", "|---|---|---|---|---|---|---|"]
    for one in measures:
        ratio = f"{one.ratio:+.1%}" if one.benchmark == "overhead" else f"{one.ratio:.2f}"
        lines.append(
            f"| {one.benchmark}: {one.case} | {one.ours:.4g} {one.unit} | {one.against} | {one.theirs:.4g} {one.unit} "
            f"| {ratio} | {one.target} | {one.device}, {one.software} |"
        )
    return "\n".join(lines)
