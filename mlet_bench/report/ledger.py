"""The ledger in words: its section of the report, and ``claims.md``, each claim beside the rule of its verdict."""

import pandas as pd

from mlet_bench.claims.ledger import claims, claims_table
from mlet_bench.claims.verdicts import common_rules, rule_text
from mlet_bench.display.document import Column, Report, Section, Table, show, words
from mlet_bench.display.text import NOTHING, listed
from mlet_bench.report.answer import overview
from mlet_bench.report.origin import edge_of
from mlet_bench.tables.cells import records
from mlet_bench.tables.results import Results


def claims_section(results: Results) -> Section:
    """What the papers claim, and what these runs say of it."""
    text = [
        "Each claim against single, as the papers compare, against a single layer with a tuned embedding learning "
        "rate, and with both tuned. Generated rows and parts of a data set decide nothing about quality."
    ]
    tuned = results.tuned
    found = {key: edge_of(part) for key, part in tuned.groupby(["dataset", "model", "cell"], sort=False)}
    several = tuned["model"].nunique() > 1
    for end in ("largest", "smallest"):
        if cells := [" ".join(map(str, key if several else key[::2])) for key, edge in found.items() if edge == end]:
            text.append(
                f"Could be stronger than shown: {listed(cells)} chose the {end} embedding learning rate of the list."
            )
    columns = [
        Column("claim", lambda row: f"{row['claim']}: {row['sentence']} ({row['source']})", numeric=False),
        *(words("comparison", "comparison"), words("verdict", "verdict"), _by_line("number", "number")),
        *(_by_line("could have shown", "power"), _by_line("note", "note")),
    ]
    folded = "The rule of each verdict, written before any full-scale result was there; with the cells: claims.md"
    rules = [[claim.name, rule_text(claim.rule)] for claim in claims()] + [["all", rule] for rule in common_rules()]
    shown = show(results.table(claims_table), columns)
    return Section("The claims", text, tables=[("", shown), ("", Table(["claim", "rule"], rules, folded=folded))])


def claims_page(results: Results, title: str, warning: str) -> Report:
    """The page of the ledger; every verdict is printed beside the rule that gave it.

    Args:
        title, warning: those of the report.
    """
    table = results.table(claims_table)
    rules = {claim.name: rule_text(claim.rule) for claim in claims()}
    return Report(
        title=f"The claims. {title}",
        warning=warning,
        lead=["The rules of the verdicts were written before any full-scale result was there."],
        sections=[
            Section("All of them", tables=[("", overview(table))]),
            *(_claim(table[table["claim"] == name], rule) for name, rule in rules.items()),
            Section("What the rules have in common", text=common_rules()),
        ],
    )


def _claim(rows: pd.DataFrame, rule: str) -> Section:
    """One claim: its rule, and each comparison."""
    first = records(rows)[0]
    columns = [words("comparison", "comparison"), words("verdict", "verdict"), _by_line("number", "number", "; ")]
    columns += [_by_line(*column, "; ") for column in (("could have shown", "power"), ("cells", "cells"))]
    columns.append(_by_line("note", "note", "; "))
    text = [f"{first['sentence']} Source: {first['source']}.", f"Rule: {rule}"]
    return Section(first["claim"], text, tables=[("", show(rows, columns))])


def _by_line(heading: str, name: str, ending: str = ";\n") -> Column:
    """One thing said a line, where lines can be."""
    return Column(heading, lambda row: row[name].replace("; ", ending) or NOTHING, numeric=False)
