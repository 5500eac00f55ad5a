"""The claim ledger of a results folder: its table, and its section of the report."""

import numpy as np
import pandas as pd

from mlet_bench.analysis.claims import claim_ledger
from mlet_bench.analysis.rules import common_rules, rule_of
from mlet_bench.data import avazu, criteo
from mlet_bench.reporting.collect import Results
from mlet_bench.reporting.document import NOTHING, Section, Table, listed
from mlet_bench.spec import derive_seed

FULL_ROWS = {fmt.name: fmt.full_rows for fmt in (criteo.FORMAT, avazu.FORMAT)}
COLUMNS = ["claim", "sentence", "source", "verdict", "number"]
COLUMNS += ["rival_verdict", "rival_number", "rival", "cells", "note"]


def claims_table(results: Results) -> pd.DataFrame:
    """One row a claim, C1 to C7; the rules of the verdicts are in analysis/verdicts.py.

    A planted data set, and a part of a genuine one, show numbers and decide no claim about quality.
    """
    names = results.config["datasets"]
    planted = {name: results.planted(name) is not None for name in names}
    rows = claim_ledger(
        results.runs,
        results.spectrum,
        results.overhead,
        results.rare,
        planted,
        lambda name: np.random.default_rng(derive_seed(0, name)),
        partial_datasets(results),
    )
    records = [{**vars(row), "cells": row.cells_text, "rival": row.rival_text} for row in rows]
    return pd.DataFrame(records, columns=COLUMNS).astype("string")


def partial_datasets(results: Results) -> list[str]:
    """Genuine data sets of which only a part of the rows was used."""
    schemas = results.schemas.items()
    return [n for n, s in schemas if results.planted(n) is None and s.source["rows"] != FULL_ROWS[n]]


def edge_of(candidates: pd.DataFrame) -> str:
    """At which end of the list a tuned cell chose, where one beyond might be better still: largest, smallest, or ""."""
    factors, chosen = candidates["factor"], candidates.loc[candidates["chosen"].astype(bool), "factor"]
    if len(candidates) < 2 or chosen.empty:
        return ""
    return {factors.max(): "largest", factors.min(): "smallest"}.get(chosen.iloc[0], "")


def claims_section(table: pd.DataFrame, tuned: pd.DataFrame) -> Section:
    """What the papers claim, and what these runs say of it. ``tuned`` has what each tuned cell tried and chose."""
    rows = [
        [
            f"{row['claim']}: {row['sentence']} ({row['source']})",
            row["verdict"],
            _by_line(row["number"]),
            row["rival_verdict"] or NOTHING,
            _by_line(row["rival_number"]),
            _by_line(row["note"]),
        ]
        for row in table.to_dict("records")
    ]
    text = [
        "Each claim against single, as the papers compare, and against the strongest single-layer rival, which costs "
        "nothing. Generated rows and parts of a data set decide nothing about quality."
    ]
    ends = {key: edge_of(part) for key, part in tuned.groupby(["dataset", "cell"], sort=False)}
    for end in ("largest", "smallest"):
        if cells := [" ".join(key) for key, found in ends.items() if found == end]:
            text.append(
                f"Could be stronger than shown: {listed(cells)} chose the {end} embedding learning rate of the list."
            )
    if set(tuned["arm"]) == {"single-lr-tuned"}:
        text.append(
            "The rival's embedding learning rate was chosen on validation, mlet's is the recipe's: where the rival "
            "wins, the arm mlet-lr-tuned tells whether mlet would with a choice of its own."
        )
    header = ["claim", "against single", "number", "against the strongest rival", "number", "note"]
    common = [["all", rule] for rule in common_rules()]
    rules = [[claim, rule_of(claim)] for claim in table["claim"]]
    folded = "The rule of each verdict, written before any full-scale result was there; with the cells: claims.md"
    return Section(
        "The claims",
        text,
        [],
        [("", Table(header, rows)), ("", Table(["claim", "rule"], rules + common, folded=folded))],
    )


def _by_line(text: str) -> str:
    """One thing said a line, where lines can be."""
    return text.replace("; ", ";\n") or NOTHING
