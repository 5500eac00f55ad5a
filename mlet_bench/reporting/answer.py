"""The report's first screen: what MLET buys, what it costs and why, in three sentences made from the ledger."""

import pandas as pd

from mlet_bench.analysis import verdicts
from mlet_bench.reporting.document import Section, counted, listed

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
    numberless = {"number": "", "rival_number": ""}  # those of C2 are long, and stand below
    by_itself = {claim: PHRASES[row[claim]["verdict"]] for claim in row}
    return [
        f"What it buys: that tables can be cut 4-8x at equal quality (C1) {_both(row['C1'])}.",
        f"What it costs: that training takes 25% more time (C5) {_told(row['C5']['verdict'], row['C5']['number'])}"
        f"{_memory(cells)}; that the deployed n×d model predicts what was trained, at single's size (C3), "
        f"{by_itself['C3']}.",
        "Why: that the gain is substantial for large k and grows with it (C2) "
        f"{_both(row['C2'] | numberless)}; that trained tables have a lower effective rank (C4) {by_itself['C4']}, and "
        f"that rare categories gain most (C7) {by_itself['C7']}.",
    ]


def main_section(runs: pd.DataFrame, config: dict, arms: list[str], figures: list[str]) -> Section:
    """What was compared, and the figure that the answer is read from."""
    done = int((runs["status"] == "done").sum())
    cells = runs.loc[runs["status"] == "done", ["dataset", "model", "cell"]].drop_duplicates()
    others = listed([name for name in arms if name != "single"])
    inner = f" and k = {listed([str(k) for k in config['inner_dims']])}." if others else "."
    text = (
        f"Embedding tables trained as one n×d table (single) beside {others or 'no other arm'}, on "
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
    return Section("Quality over deployed size", [text], shown)


def _both(row: dict) -> str:
    """``is reproduced against single (...), and is undecided against the strongest rival (...)``."""
    ours = _told(row["verdict"], row["number"], " against single")
    if row["verdict"] == row["rival_verdict"] == verdicts.NOT_RUN:
        return PHRASES[verdicts.NOT_RUN]
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
