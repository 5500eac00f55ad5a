"""The first screen: what MLET buys, what it costs and why, in sentences made from the ledger; and what was compared."""

import pandas as pd

from mlet_bench.arms import BASELINE
from mlet_bench.claims.claim import ClaimRow
from mlet_bench.claims.ledger import claims, claims_table
from mlet_bench.claims.verdicts import NOT_REPRODUCED, NOT_RUN, REPRODUCED, UNDECIDED, VACUOUS
from mlet_bench.display.document import Column, Section, Table, show, words
from mlet_bench.display.text import counted, listed
from mlet_bench.report.quality import quality_over_size
from mlet_bench.tables.cells import records
from mlet_bench.tables.results import Results

QUESTIONS = ("What it buys", "What it costs", "Why")
PHRASES = {
    REPRODUCED: "is reproduced",
    NOT_REPRODUCED: "is not reproduced",
    UNDECIDED: "is undecided",
    NOT_RUN: "has not been tested",
    VACUOUS: "is vacuous",
}


def answer(results: Results) -> list[str]:
    """A sentence a question that claims answer; a verdict in it is the ledger's, never another."""
    rows = [ClaimRow(**row) for row in records(results.table(claims_table))]
    clauses: dict[str, list[str]] = {question: [] for question in QUESTIONS}
    for claim in claims():
        if claim.question:
            of = [row for row in rows if row.claim == claim.name]
            told = f"{claim.brief} ({claim.name}) {_told(of, claim.brief_number)}"
            clauses.setdefault(claim.question, []).append(claim.answer(told, of, results))
    return [f"{question}: {'; '.join(of)}." for question, of in clauses.items() if of]


def _told(rows: list[ClaimRow], with_number: bool) -> str:
    """``is reproduced against single (...), and is undecided against single-lr-tuned (...)``."""
    verdict = rows[0].verdict
    if len(rows) == 1:
        return _phrase(rows[0], with_number)
    if all(row.verdict == verdict for row in rows) and (verdict == NOT_RUN or not with_number):
        return PHRASES[verdict] + ("" if verdict == NOT_RUN else " in every comparison")
    return listed(f"{_phrase(row, with_number, f' {row.comparison}')}" for row in rows)


def _phrase(row: ClaimRow, with_number: bool, against: str = "") -> str:
    """A verdict with its number; what was not tested has none here, though generated rows may show one below."""
    shown = f" ({row.number})" if row.number and with_number and row.verdict != NOT_RUN else ""
    return f"{PHRASES[row.verdict]}{against}{shown}"


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
    """The claims of a ledger, a line each, with the verdict of each comparison."""
    comparisons = list(dict.fromkeys(table["comparison"]))
    verdicts = table.pivot(index="claim", columns="comparison", values="verdict")
    rows = table.drop_duplicates("claim")[["claim", "sentence"]].join(verdicts, on="claim")
    columns = [Column("claim", lambda row: f"{row['claim']}: {row['sentence']}", numeric=False)]
    return show(rows, [*columns, *(words(name, name) for name in comparisons)])
