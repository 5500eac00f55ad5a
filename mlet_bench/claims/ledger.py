"""The ledger: every claim in each of its comparisons, with its numbers and verdict."""

import pandas as pd

from mlet_bench.claims import CLAIMS
from mlet_bench.claims.claim import Claim, ClaimRow
from mlet_bench.claims.comparisons import COMPARISONS
from mlet_bench.claims.verdicts import together
from mlet_bench.tables.results import Results

COLUMNS = list(ClaimRow.__dataclass_fields__)
ESTIMATES = [
    *("claim", "comparison", "dataset", "model", "label", "value", "low", "high", "seeds", "unit", "scale"),
    *("reference", "paper_low", "paper_high", "verdict", "planted", "cells"),
]


def claims() -> list[Claim]:
    """Every claim, in the order of the registry."""
    return [CLAIMS[name]() for name in CLAIMS]


def claims_table(results: Results) -> pd.DataFrame:
    """One row a claim and comparison, whatever has run; the columns are those of ``ClaimRow``.

    A planted data set, and a part of a genuine one, show numbers and decide no claim about quality.
    """
    rows = [vars(row) for row in results.table(_judged)["row"]]
    return pd.DataFrame(rows, columns=COLUMNS).astype("string")


def estimates_table(results: Results) -> pd.DataFrame:
    """One row a number of the ledger that is drawn; the columns are ``ESTIMATES``, most as in ``finding.Estimate``.

    ``verdict`` is that of the claim in this comparison; ``cells`` are names, with spaces between them; ``planted`` says
    that the generator made the rows.
    """
    rows = []
    for row, found in results.table(_judged).itertuples(index=False, name=None):
        for setting, finding in found:
            of = {"dataset": setting.dataset, "model": setting.model, "planted": setting.is_planted}
            of |= {"claim": row.claim, "comparison": row.comparison, "verdict": row.verdict}
            of |= {"cells": " ".join(finding.cells)}
            for estimate in finding.estimates:
                low, high = estimate.paper
                rows.append(vars(estimate) | of | {"paper_low": low, "paper_high": high})
    return pd.DataFrame(rows, columns=ESTIMATES).astype({"planted": bool})


def _judged(results: Results) -> pd.DataFrame:
    """A row of the ledger, and what was found, a claim and comparison: each comparison's claims judged together."""
    rows = {}
    for comparison in COMPARISONS:
        of = [claim for claim in claims() if comparison in claim.comparisons]
        found = [claim.found(results, comparison) for claim in of]
        kept = together([claim.judged(each) for claim, each in zip(of, found)])
        for claim, each, judged in zip(of, found, kept):
            rows[claim.name, comparison] = claim.row(each, comparison, judged.verdict), each
    ordered = [rows[claim.name, comparison] for claim in claims() for comparison in claim.comparisons]
    return pd.DataFrame(ordered, columns=["row", "found"])
