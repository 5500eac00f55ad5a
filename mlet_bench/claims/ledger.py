"""The ledger: every claim with its numbers and verdicts."""

import pandas as pd

from mlet_bench.claims import CLAIMS
from mlet_bench.claims.claim import Claim, ClaimRow
from mlet_bench.tables.results import Results

COLUMNS = list(ClaimRow.__dataclass_fields__)


def claims() -> list[Claim]:
    """Every claim, in the order of the registry."""
    return [CLAIMS[name]() for name in CLAIMS]


def claims_table(results: Results) -> pd.DataFrame:
    """One row a claim, whatever has run; the columns are those of ``ClaimRow``.

    A planted data set, and a part of a genuine one, show numbers and decide no claim about quality.
    """
    rows = [vars(claim.row(results)) for claim in claims()]
    return pd.DataFrame(rows, columns=COLUMNS).astype("string")
