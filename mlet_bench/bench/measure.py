"""What a benchmark found: one row a comparison, with its ratio and the target that was set for it."""

from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

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


def write_measures(measures: list[Measure], path: Path) -> None:
    """Store measures as CSV, whole or not at all."""
    with atomic(path) as partial:
        frame(measures).to_csv(partial, index=False, float_format="%.5g")


def read_measures(folder: Path) -> pd.DataFrame:
    """Every CSV of a folder, one below the other.

    Raises:
        BenchError: there is none.
    """
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise BenchError(f"{folder} has no measured table: write one with 'mlet-bench bench NAME --out {folder}/x.csv'")
    return pd.concat([pd.read_csv(file, keep_default_na=False) for file in files], ignore_index=True)


def frame(measures: list[Measure]) -> pd.DataFrame:
    """One row a measure, a column an attribute."""
    return pd.DataFrame([asdict(measure) for measure in measures], columns=list(Measure.__dataclass_fields__))


def as_markdown(measures: pd.DataFrame) -> str:
    """A table for reading."""
    lines = ["| what | ours | against | theirs | ratio | target | on |", "|---|---|---|---|---|---|---|"]
    for row in measures.itertuples():
        ratio = f"{row.ratio:+.1%}" if row.benchmark == "overhead" else f"{row.ratio:.2f}"
        lines.append(
            f"| {row.benchmark}: {row.case} | {row.ours:.4g} {row.unit} | {row.against} | {row.theirs:.4g} {row.unit} "
            f"| {ratio} | {row.target} | {row.device}, {row.software} |"
        )
    return "\n".join(lines)
