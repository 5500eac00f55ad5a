"""What a claim is, and its row of the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pandas as pd

from mlet_bench.claims.baselines import Baseline, single, strongest_rival
from mlet_bench.claims.finding import Finding, Found, describe_cells, notes, numbers, remarks
from mlet_bench.claims.verdicts import NOT_RUN, on_a_part, overall, with_unfinished_rivals
from mlet_bench.display.document import Plot, Section
from mlet_bench.display.text import commas
from mlet_bench.tables.results import Results, Setting

PAPER_A, PAPER_B = "arXiv 2006.05623", "arXiv 2309.15881"
MODELS_A = ("dlrm",)  # paper A has one model: its claims are about nothing else


@dataclass(frozen=True)
class ClaimRow:
    """A claim in the ledger.

    Attributes:
        verdict: against ``single``, as the papers compare: one of ``VERDICTS``.
        number: with its interval, one data set after the other.
        rival_verdict, rival_number: against the strongest rival; empty where no rival is involved.
        rival: the strongest rival's cells.
        cells: what the verdict against ``single`` rests on, ``avazu/dlrm: mlet d=4 k=64, single d=4,8``.
        note: what is missing, and what limits the verdict.
    """

    claim: str
    sentence: str
    source: str
    verdict: str
    number: str
    rival_verdict: str
    rival_number: str
    rival: str
    cells: str
    note: str


class Claim:
    """A claim of a paper: a subclass a file, in ``mlet_bench.claims.CLAIMS``.

    Attributes:
        name: ``C1``.
        sentence, source: what is claimed, and where.
        models: those that it is about; empty for every model.
        rule: the function that turns numbers into a verdict; its docstring is printed as the rule.
        has_rival: whether it stands against the strongest rival as well; it compares with ``single`` then.
        stronger_is_harder: whether a stronger rival could only be harder to beat.
        part_decides: whether a part of a data set's rows can decide it.
        tables: tables that it makes, by the names of their files.
        plot: its figure.
        question: under which question of the report's first screen it stands; empty for none.
        brief: the claim as a clause, for that answer.
        brief_number: whether its number is short enough to stand there.
    """

    name: ClassVar[str]
    sentence: ClassVar[str]
    source: ClassVar[str]
    rule: ClassVar[Any]
    models: ClassVar[tuple[str, ...]] = ()
    has_rival: ClassVar[bool] = True
    stronger_is_harder: ClassVar[bool] = True
    part_decides: ClassVar[bool] = False
    tables: ClassVar[dict[str, Callable[[Results], pd.DataFrame]]] = {}
    plot: ClassVar[Plot | None] = None
    question: ClassVar[str] = ""
    brief: ClassVar[str] = ""
    brief_number: ClassVar[bool] = False

    def find(self, setting: Setting, base: Baseline) -> Finding:
        """What one data set and model say, against one baseline."""
        raise NotImplementedError

    def section(self, results: Results) -> Section | None:
        """The claim's own section of the report; None where it has none, or there is nothing to show."""
        return None

    def row(self, results: Results) -> ClaimRow:
        """The claim's row of the ledger."""
        settings = self.settings(results)
        return self.combined(self.against_single(settings), self.against_rival(settings) if self.has_rival else None)

    def answer(self, told: str, row: ClaimRow, results: Results) -> str:
        """The claim's clause of the first screen, from what is ``told`` of every claim."""
        return told

    def settings(self, results: Results) -> list[Setting]:
        """The data sets and models that the claim is about."""
        return [setting for setting in results.settings if not self.models or setting.model in self.models]

    def against_single(self, settings: Sequence[Setting]) -> Found:
        """What each says against the paper's baseline."""
        return [(setting, self.find(setting, single(setting.runs))) for setting in settings]

    def against_rival(self, settings: Sequence[Setting]) -> Found:
        """What each says against the strongest rival; a cell that could be stronger and is missing limits it."""
        found = []
        for setting in settings:
            base = strongest_rival(setting.runs)
            if not base.cells:
                found.append((setting, Finding(NOT_RUN, note="no rival has run")))
                continue
            finding = self.find(setting, base)
            if base.unfinished:
                note = notes(finding.note, f"could be stronger, missing or failed: {commas(base.unfinished)}")
                verdict = with_unfinished_rivals(finding.verdict, self.stronger_is_harder)
                finding = replace(finding, verdict=verdict, note=note)
            found.append((setting, replace(finding, rival=base)))
        return found

    def combined(self, ours: Found, theirs: Found | None) -> ClaimRow:
        """One row of what several data sets and models say; ``theirs`` is None where no rival is involved."""
        said = {(setting, finding.note) for setting, finding in ours}
        more = [item for item in theirs or [] if (item[0], item[1].note) not in said]
        return ClaimRow(
            self.name,
            self.sentence,
            self.source,
            verdict=self.verdict(ours),
            number=numbers(ours),
            rival_verdict="" if theirs is None else self.verdict(theirs),
            rival_number=numbers(theirs or []),
            rival=describe_cells(
                (setting, list(found.rival.cells.values())) for setting, found in theirs or [] if found.rival
            ),
            cells=describe_cells((setting, found.cells) for setting, found in ours),
            note=notes(
                "" if ours else f"no run of {commas(self.models)}",
                self.limits(ours),
                remarks(ours),
                remarks(more, "against the strongest rival, "),
            ),
        )

    def verdict(self, found: Found) -> str:
        """The verdict of all genuine data sets together; *not run* without one."""
        genuine = [(setting, finding.verdict) for setting, finding in found if not setting.is_planted]
        return overall([on_a_part(verdict) if self.is_limited(setting) else verdict for setting, verdict in genuine])

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
