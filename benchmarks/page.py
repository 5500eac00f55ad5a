"""The table of docs/performance.md, from the tables of the last measured runs."""

from pathlib import Path

from mlet_bench.errors import BenchError
from mlet_bench.files import atomic

from .measure import as_markdown, read_measures

PAGE, TABLES = Path("docs/performance.md"), Path("results/benchmarks")
MARKS = "<!-- bench: begin -->\n", "<!-- bench: end -->"
# What there is to measure, and where: what no table has is listed as not measured.
WANTED = {
    ("step", "CPU"): "training step against facebookresearch/dlrm on a CPU",
    ("step", "GPU"): "training step against facebookresearch/dlrm on a GPU (target: 25 times)",
    ("pack", "GPU"): "a pack of 5 seeds against five runs on a GPU (target: 3 times)",
    ("overhead", "CPU"): "MLET's overhead on a CPU",
    ("overhead", "GPU"): "MLET's overhead on a GPU over the grid (target: 5% or less at B=128)",
    ("epoch", "GPU"): "one epoch of Criteo-Kaggle on a GPU beside its limits",
    ("preparation", "CPU"): "preparation of Criteo-Kaggle",
    ("evaluation", "CPU"): "exact AUC",
}


def update_page(page: Path, tables: Path) -> None:
    """Put the measured tables, and what is not measured, between the two marks of a page.

    Raises:
        BenchError: no table, or a page without the marks.
    """
    measures = read_measures(tables)
    kinds = {(one.benchmark, "CPU" if one.device.startswith("CPU") else "GPU") for one in measures}
    missing = [words for key, words in WANTED.items() if key not in kinds]
    section = as_markdown(measures) + "\n"
    if missing:
        section += "\nNot measured yet: " + "; ".join(missing) + ".\n"
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not (begin and end):
        raise BenchError(f"{page} has no lines {MARKS[0].strip()!r} and {MARKS[1]!r}: put them where the table goes")
    with atomic(page) as partial:
        partial.write_text(before + begin + section + end + after, encoding="utf-8")
