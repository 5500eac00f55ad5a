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


def at_edge(candidates: pd.DataFrame) -> bool:
    """Whether a tuned cell chose the largest of several learning rates: one beyond the list might be better still."""
    chosen = candidates.loc[candidates["chosen"].astype(bool), "factor"]
    return len(candidates) > 1 and bool((chosen == candidates["factor"].max()).any())


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
    edge = [key for key, part in tuned.groupby(["dataset", "cell"], sort=False) if at_edge(part)]
    if edge:
        text.append(
            f"The rival could be stronger than shown: {listed([' '.join(key) for key in edge])} chose the largest "
            "embedding learning rate of the list."
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
