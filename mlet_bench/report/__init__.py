"""The report of a results folder: tables, figures and pages. ``mlet_bench.report.page.write_report`` writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlet_bench.registry import Registry

if TYPE_CHECKING:
    from mlet_bench.display.document import Plot

# Those of claims stand with their claims.
FIGURES: Registry[Plot] = Registry(
    "figure",
    __name__,
    {
        "ledger": "forest",
        "quality_over_size": "quality",
        "quality_over_d": "quality",
        "quality_at_bytes": "budget",
        "reweighting": "reweighting",
        "curves": "curves",
        "longer": "curves",
    },
)
