"""``claims.md``: the ledger on a page of its own, each claim with its cells, numbers and the rule of its verdict."""

import pandas as pd

from mlet_bench.analysis.rules import common_rules, rule_of
from mlet_bench.reporting.answer import overview
from mlet_bench.reporting.document import NOTHING, Report, Section, Table


def claims_report(table: pd.DataFrame, title: str, warning: str) -> Report:
    """The page of a ``claims_table``; every verdict is printed beside the rule that gave it.

    Args:
        title, warning: those of the report.
    """
    rows = table.to_dict("records")
    return Report(
        title=f"The claims. {title}",
        warning=warning,
        lead=["The rules of the verdicts were written before any full-scale result was there."],
        sections=[
            Section("All of them", tables=[("", overview(table))]),
            *(_claim(row) for row in rows),
            Section("What the rules have in common", text=common_rules()),
        ],
    )


def _claim(row: dict) -> Section:
    sides = [
        ["verdict", row["verdict"], row["rival_verdict"]],
        ["number", row["number"], row["rival_number"]],
        ["cells", row["cells"], row["rival"]],
    ]
    header = ["", "against single", "against the strongest rival"]
    if not row["rival_verdict"]:  # a claim about MLET alone
        header, sides = ["", "here"], [side[:2] for side in sides]
    text = [f"{row['sentence']} Source: {row['source']}."]
    text += [f"Note: {row['note']}."] if row["note"] else []
    text.append(f"Rule: {rule_of(row['claim'])}")
    return Section(
        row["claim"], text, [], [("", Table(header, [[cell or NOTHING for cell in side] for side in sides]))]
    )
