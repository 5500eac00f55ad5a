"""What a claim is, and its row of the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd

from mlet_bench.claims.comparisons import COMPARISONS, Comparison
from mlet_bench.claims.finding import Finding, Found, describe_cells, notes, numbers, powers, remarks
from mlet_bench.claims.verdicts import Judged, on_a_part, overall
from mlet_bench.display.document import Plot, Section
from mlet_bench.display.text import commas
from mlet_bench.tables.results import Results, Setting

PAPER_A, PAPER_B = "arXiv 2006.05623", "arXiv 2309.15881"
MODELS_A = ("dlrm",)  # paper A has one model: its claims are about nothing else


@dataclass(frozen=True)
class ClaimRow:
    """A claim in the ledger, in one comparison.

    Attributes:
        comparison: MLET's arm and what it is measured against, ``against single``.
        verdict: one of ``VERDICTS``.
        number: with its interval, one data set after the other.
        power: the difference that could have been shown, in the same order.
        cells: what the verdict rests on, ``avazu/dlrm: mlet d=4 k=64, single d=4,8``.
        note: what is missing, and what limits the verdict.
    """

    claim: str
    sentence: str
    source: str
    comparison: str
    verdict: str
    number: str
    power: str
    cells: str
    note: str


class Claim:
    """A claim of a paper: a subclass a file, in ``mlet_bench.claims.CLAIMS``.

    Attributes:
        name: ``C1``.
        sentence, source: what is claimed, and where.
        models: those that it is about; empty for every model.
        rule: the function that turns numbers into a verdict; its docstring is printed as the rule.
        comparisons: those that it is judged in.
        part_decides: whether a part of a data set's rows can decide it.
        tables: tables that it makes, by the names of their files.
        plot: its figure.
    """

    name: ClassVar[str]
    sentence: ClassVar[str]
    source: ClassVar[str]
    rule: ClassVar[Any]
    models: ClassVar[tuple[str, ...]] = ()
    comparisons: ClassVar[tuple[Comparison, ...]] = COMPARISONS
    part_decides: ClassVar[bool] = False
    tables: ClassVar[dict[str, Callable[[Results], pd.DataFrame]]] = {}
    plot: ClassVar[Plot | None] = None

    def find(self, setting: Setting, comparison: Comparison) -> Finding:
        """What one data set and model say, in one comparison."""
        raise NotImplementedError

    def section(self, results: Results) -> Section | None:
        """The claim's own section of the report; None where it has none, or there is nothing to show."""
        return None

    def found(self, results: Results, comparison: Comparison) -> Found:
        """What each data set and model says."""
        return [(setting, self.find(setting, comparison)) for setting in self.settings(results)]

    def number(self, found: Found) -> str:
        """The numbers of all in words."""
        return numbers(found)

    def settings(self, results: Results) -> list[Setting]:
        """The data sets and models that the claim is about; of a reader's own model it is asked as well."""
        asked = (setting for setting in results.settings)
        return [each for each in asked if not self.models or each.model in self.models or each.is_own]

    def row(self, found: Found, comparison: Comparison, verdict: str) -> ClaimRow:
        """The claim's row of the ledger, with the verdict that it has beside the others."""
        alone = self.judged(found).verdict
        return ClaimRow(
            self.name,
            self.sentence,
            self.source,
            comparison=comparison.name,
            verdict=verdict,
            number=self.number(found),
            power=powers(found),
            cells=describe_cells((setting, finding.cells) for setting, finding in found),
            note=notes(
                "" if found else f"no run of {commas(self.models)}",
                self.limits(found),
                remarks(found),
                "" if alone == verdict else f"{alone} by itself, not beside the other claims (Holm)",
            ),
        )

    def judged(self, found: Found) -> Judged:
        """The verdict of all genuine data sets together; *not run* without one."""
        genuine = [(setting, finding.judged) for setting, finding in found if not setting.is_planted]
        return overall([on_a_part(one) if self.is_limited(setting) else one for setting, one in genuine])

    def limits(self, found: Found) -> str:
        """Why what was found may decide nothing."""
        planted = sorted({setting.dataset for setting, _ in found if setting.is_planted})
        part = sorted({setting.dataset for setting, _ in found if self.is_limited(setting) and not setting.is_planted})
        return notes(
            f"rows made by the generator decide nothing: {commas(planted)}" if planted else "",
            f"a part of the rows decides nothing: {commas(part)}" if part else "",
        )

    def is_limited(self, setting: Setting) -> bool:
        """Whether only a part of the rows was used, and the claim is about all of them."""
        return setting.is_part and not self.part_decides
