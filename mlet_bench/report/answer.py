"""The first screen: what MLET buys, what it costs and why, in sentences made from the ledger; and what was compared."""

import pandas as pd

from mlet_bench.arms import BASELINE
from mlet_bench.claims.claim import ClaimRow
from mlet_bench.claims.ledger import claims, claims_table
from mlet_bench.claims.verdicts import NOT_REPRODUCED, NOT_RUN, REPRODUCED, UNDECIDED
from mlet_bench.display.document import Column, Section, Table, show, words
from mlet_bench.display.text import NOTHING, counted, listed
from mlet_bench.report.quality import quality_over_size
from mlet_bench.tables.cells import records
from mlet_bench.tables.results import Results

QUESTIONS = ("What it buys", "What it costs", "Why")
PHRASES = {
    REPRODUCED: "is reproduced",
    NOT_REPRODUCED: "is not reproduced",
    UNDECIDED: "is undecided",
    NOT_RUN: "has not been tested",
}


def answer(results: Results) -> list[str]:
    """A sentence a question that claims answer; a verdict in it is the ledger's, never another."""
    rows = {row["claim"]: ClaimRow(**row) for row in records(results.table(claims_table))}
    clauses: dict[str, list[str]] = {question: [] for question in QUESTIONS}
    for claim in claims():
        if claim.question:
            row = rows[claim.name]
            told = f"{claim.brief} ({claim.name}) {_told(row, claim.brief_number)}"
            clauses.setdefault(claim.question, []).append(claim.answer(told, row, results))
    return [f"{question}: {'; '.join(of)}." for question, of in clauses.items() if of]


def _told(row: ClaimRow, with_number: bool) -> str:
    """``is reproduced against single (...), and is undecided against the strongest rival (...)``."""
    ours, theirs = row.verdict, row.rival_verdict
    if not theirs:
        return _phrase(ours, row.number, with_number)
    if ours == theirs and (ours == NOT_RUN or not with_number or not row.number):
        return PHRASES[ours] + ("" if ours == NOT_RUN else " against either baseline")
    return (
        f"{_phrase(ours, row.number, with_number, ' against single')}, and "
        f"{_phrase(theirs, row.rival_number, with_number, ' against the strongest rival')}"
    )


def _phrase(verdict: str, number: str, with_number: bool, against: str = "") -> str:
    """A verdict with its number; what was not tested has none here, though generated rows may show one below."""
    shown = f" ({number})" if number and with_number and verdict != NOT_RUN else ""
    return f"{PHRASES[verdict]}{against}{shown}"


def main_section(results: Results, arms: list[str]) -> Section:
    """What was compared, the figure that the answer is read from, and the verdicts beside it."""
    runs, config = results.runs, results.config
    done = runs[runs["status"] == "done"]
    cells = done[["dataset", "model", "cell"]].drop_duplicates()
    others = listed(name for name in arms if name != BASELINE)
    inner = f" and k = {listed(config['inner_dims'])}." if others else "."
    text = (
        "MLET trains each embedding table of n categories as W1 (n×k) times W2 (k×d), and deploys the product, an n×d "
        f"table. Here single, which trains that table itself, stands beside {others or 'no other arm'}, on "
        f"{listed(config['datasets'])}, at d = {listed(config['dims'])}{inner} "
        f"{len(done):,} of {counted(len(runs), 'run')} are done, in {counted(len(cells), 'cell')}"
        + (" with one seed each, so no interval can be given. " if len(config["seeds"]) == 1 else ". ")
        + "Every number is from the test split, scored once with the collapsed n×d model; differences pair equal seeds."
    )
    shown = overview(results.table(claims_table))
    return Section("Quality over deployed size, and the verdicts", [text], [quality_over_size.name], [("", shown)])


def overview(table: pd.DataFrame) -> Table:
    """The claims of a ledger with their two verdicts, a line each."""
    columns = [
        Column("claim", lambda row: f"{row['claim']}: {row['sentence']}", numeric=False),
        words("against single", "verdict"),
        Column("against the strongest rival", lambda row: row["rival_verdict"] or NOTHING, numeric=False),
    ]
    return show(table, columns)
