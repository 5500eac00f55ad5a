"""The report's first screen: what MLET buys, what it costs and why, in three sentences made from the ledger."""

import pandas as pd

from mlet_bench.analysis import verdicts
from mlet_bench.reporting.document import NOTHING, Section, Table, counted, listed

PHRASES = {
    verdicts.REPRODUCED: "is reproduced",
    verdicts.NOT_REPRODUCED: "is not reproduced",
    verdicts.UNDECIDED: "is undecided",
    verdicts.NOT_RUN: "has not been tested",
}


def answer(claims: pd.DataFrame, cells: pd.DataFrame) -> list[str]:
    """Three sentences; a verdict in them is the ledger's, never another.

    Args:
        claims: a ``claims_table``.
        cells: a ``cells_table``, for the bytes of the tables.
    """
    row = {claim["claim"]: claim for claim in claims.to_dict("records")}
    # The numbers of C2, C4 and C7 are long, and stand below.
    brief = {claim: _both(row[claim] | {"number": "", "rival_number": ""}) for claim in ("C2", "C4", "C7")}
    return [
        f"What it buys: {bought(row['C1']['verdict'], row['C1']['rival_verdict'])}: that tables can be cut 4-8x at "
        f"equal quality (C1) {_both(row['C1'])}.",
        f"What it costs: that training takes 25% more time (C5) {_told(row['C5']['verdict'], row['C5']['number'])}"
        f"{_memory(cells)}; that the deployed n×d model predicts what was trained, at single's size (C3), "
        f"{PHRASES[row['C3']['verdict']]}.",
        f"Why: that the gain is substantial for large k and grows with it (C2) {brief['C2']}; that trained tables have "
        f"a lower effective rank (C4) {brief['C4']}; that rare categories gain most (C7) {brief['C7']}.",
    ]


def bought(ours: str, theirs: str) -> str:
    """What the two verdicts on C1 come to; it says no more than they do."""
    match ours, theirs:
        case verdicts.NOT_REPRODUCED, _:
            return "not tables 4x smaller"
        case verdicts.REPRODUCED, verdicts.REPRODUCED:
            return "tables 4x smaller, also beside a single layer set up better"
        case verdicts.REPRODUCED, verdicts.NOT_REPRODUCED:
            return "tables 4x smaller than the paper's baseline, but not than a single layer set up better"
        case verdicts.REPRODUCED, _:
            return "tables 4x smaller than the paper's baseline; beside a single layer set up better that is open"
        case _, verdicts.NOT_REPRODUCED:
            return "not tables 4x smaller than a single layer set up better; beside the paper's baseline that is open"
    return "not known from these runs"


def main_section(
    runs: pd.DataFrame, config: dict, arms: list[str], claims: pd.DataFrame, figures: list[str]
) -> Section:
    """What was compared, the figure that the answer is read from, and the verdicts beside it."""
    done = int((runs["status"] == "done").sum())
    cells = runs.loc[runs["status"] == "done", ["dataset", "model", "cell"]].drop_duplicates()
    others = listed([name for name in arms if name != "single"])
    inner = f" and k = {listed([str(k) for k in config['inner_dims']])}." if others else "."
    text = (
        "MLET trains each embedding table of n categories as W1 (n×k) times W2 (k×d), and deploys the product, an n×d "
        f"table. Here single, which trains that table itself, stands beside {others or 'no other arm'}, on "
        f"{listed(list(config['datasets']))}, at d = {listed([str(d) for d in config['dims']])}{inner} "
        f"{done:,} of {counted(len(runs), 'run')} are done, in {counted(len(cells), 'cell')}"
        + (" with one seed each, so no interval can be given. " if len(config["seeds"]) == 1 else ". ")
        + "Every number is from the test split, scored once with the collapsed n×d model; differences pair equal seeds."
    )
    caption = (
        "Test AUC (higher is better) and LogLoss (lower is better) over the bytes of the deployed tables: means over "
        "seeds, bands from the lowest to the highest seed; arms of one width stand a little aside. In the page, a "
        "point under the pointer says what it is."
    )
    shown = [("quality_over_size", caption)] if "quality_over_size" in figures else []
    return Section("Quality over deployed size, and the verdicts", [text], shown, [("", overview(claims))])


def overview(claims: pd.DataFrame) -> Table:
    """The claims of a ``claims_table`` with their two verdicts, a line each."""
    rows = [
        [f"{row['claim']}: {row['sentence']}", row["verdict"], row["rival_verdict"] or NOTHING]
        for row in claims.to_dict("records")
    ]
    return Table(["claim", "against single", "against the strongest rival"], rows)


def _both(row: dict) -> str:
    """``is reproduced against single (...), and is undecided against the strongest rival (...)``."""
    if row["verdict"] == row["rival_verdict"] == verdicts.NOT_RUN:
        return PHRASES[verdicts.NOT_RUN]
    if row["verdict"] == row["rival_verdict"] and not row["number"]:
        return f"{PHRASES[row['verdict']]} against either baseline"
    ours = _told(row["verdict"], row["number"], " against single")
    return f"{ours}, and {_told(row['rival_verdict'], row['rival_number'], ' against the strongest rival')}"


def _told(verdict: str, number: str, against: str = "") -> str:
    """A verdict with its number; what was not tested has none here, though generated rows may show one below."""
    shown = f" ({number})" if number and verdict != verdicts.NOT_RUN else ""
    return f"{PHRASES[verdict]}{against}{shown}"


def _memory(cells: pd.DataFrame) -> str:
    """``; while training, MLET's tables take 4.1 to 16x the deployed bytes``."""
    done = cells[(cells["arm"] == "mlet") & (cells["done"] > 0)]
    if done.empty:
        return ""
    ratio = (done["training_tables_bytes"] / done["inference_tables_bytes"]).astype(float)
    low, high = f"{ratio.min():.3g}", f"{ratio.max():.3g}"
    return f"; while training, its tables take {low if low == high else f'{low} to {high}'} times the deployed bytes"
