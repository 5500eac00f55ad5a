"""The ledger in words: its section of the report, and ``claims.md``, each claim beside the rule of its verdict."""

from dataclasses import dataclass

import pandas as pd

from mlet_bench.claims.ledger import claims, claims_table
from mlet_bench.claims.verdicts import common_rules, rule_text
from mlet_bench.display.document import Column, Report, Section, Table, show, words
from mlet_bench.display.text import NOTHING, listed
from mlet_bench.report.forest import Axis, axes_of, ledger
from mlet_bench.report.origin import edge_of
from mlet_bench.tables.cells import records
from mlet_bench.tables.results import Results


@dataclass(frozen=True)
class Entry:
    """A claim as the first screen shows it: its verdicts by comparison, and its numbers as they are drawn.

    Attributes:
        verdicts: empty where all rows were generated: there is none.
        words: its number, or why there is none, where nothing is drawn.
    """

    claim: str
    sentence: str
    source: str
    verdicts: dict[str, str]
    axes: list[Axis]
    words: str


def entries(results: Results) -> list[Entry]:
    """The claims in the order of the ledger."""
    axes, decides = axes_of(results), _decides(results)
    found = []
    for name, part in results.table(claims_table).groupby("claim", sort=False):
        first = records(part)[0]
        verdicts = dict(zip(part["comparison"], part["verdict"])) if decides else {}
        of_it = [axis for axis in axes if axis.claim == name]
        words = "" if of_it else first["number"] or first["note"]
        found.append(Entry(str(name), first["sentence"], first["source"], verdicts, of_it, words))
    return found


def _decides(results: Results) -> bool:
    """Whether there are rows that the generator did not make; without, no verdict is worth a word."""
    return any(not setting.is_planted for setting in results.settings)


def _columns(results: Results, ending: str) -> list[Column]:
    """What is said of a claim in each comparison; ``ending`` parts what is listed."""
    verdict = [words("verdict", "verdict")] if _decides(results) else []
    said = (("number", "number"), ("could have shown", "power"))
    return [words("comparison", "comparison"), *verdict, *(_by_line(*column, ending) for column in said)]


def claims_section(results: Results) -> Section:
    """What the papers claim, and what these runs say of it."""
    text = [
        "Each claim is judged against single, as in the papers; against single-lr-tuned, a single table whose "
        "embedding learning rate was tuned; and with both tuned. A point is the mean over seeds, a line its 95% "
        "interval; the thin rule marks no effect, the band what the paper says."
    ]
    tuned = results.tuned
    found = {key: edge_of(part) for key, part in tuned.groupby(["dataset", "model", "cell"], sort=False)}
    several = tuned["model"].nunique() > 1
    for end in ("largest", "smallest"):
        if cells := [" ".join(map(str, key if several else key[::2])) for key, edge in found.items() if edge == end]:
            text.append(
                f"Could be stronger than shown: {listed(cells)} chose the {end} embedding learning rate of the list."
            )
    claim = Column("claim", lambda row: f"{row['claim']}: {row['sentence']}", numeric=False)
    columns = [claim, *_columns(results, ";\n"), _by_line("note", "note", ";\n")]
    table = results.table(claims_table)
    numbers = show(table, columns, csv="claims")
    rules = [[claim.name, rule_text(claim.rule)] for claim in claims()] + [["all", rule] for rule in common_rules()]
    folded = "The rule of each verdict, written before any full-scale result was there; with the cells: claims.md"
    tables = [("The numbers in words", numbers), ("", Table(["claim", "rule"], rules, folded=folded))]
    return Section("The ledger", text, [ledger.name], tables)


def claims_page(results: Results, title: str, warning: str) -> Report:
    """The page of the ledger; every verdict is printed beside the rule that gave it.

    Args:
        title, warning: those of the report.
    """
    table = results.table(claims_table)
    return Report(
        title=f"The claims. {title}",
        warning=warning,
        lead=["The rules of the verdicts were written before any full-scale result was there."],
        sections=[
            Section("All of them", figures=[ledger.name]),
            *(_claim(table[table["claim"] == claim.name], rule_text(claim.rule), results) for claim in claims()),
            Section("What the rules have in common", text=common_rules()),
        ],
        ledger=entries(results),
    )


def _claim(rows: pd.DataFrame, rule: str, results: Results) -> Section:
    """One claim: its rule, and each comparison."""
    first = records(rows)[0]
    columns = [*_columns(results, "; "), _by_line("cells", "cells", "; "), _by_line("note", "note", "; ")]
    text = [f"{first['sentence']} Source: {first['source']}.", f"Rule: {rule}"]
    return Section(first["claim"], text, tables=[("", show(rows, columns))])


def _by_line(heading: str, name: str, ending: str) -> Column:
    """One thing said a line, where lines can be."""
    return Column(heading, lambda row: row[name].replace("; ", ending) or NOTHING, numeric=False)
