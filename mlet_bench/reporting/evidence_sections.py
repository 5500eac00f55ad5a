"""The sections behind the claims: reduction factors, seeds beside test rows, longer trainings, rare categories."""

import pandas as pd

from mlet_bench.analysis.statistics import DECISIVE_PAIRS
from mlet_bench.reporting.document import NOTHING, Section, Table, or_nothing, signed


def _by_dataset(table: pd.DataFrame) -> list[dict]:
    """The rows of a table, data set by data set, otherwise in their order."""
    return [row for name in table["dataset"].unique() for row in table[table["dataset"] == name].to_dict("records")]


def reduction_section(table: pd.DataFrame) -> Section | None:
    """How much wider a single layer must be to match each cell."""
    if table.empty:
        return None
    by_cell: dict[tuple, dict[str, str]] = {}
    for row in _by_dataset(table):
        key = (row["dataset"], row["arm"], str(row["dim"]), or_nothing(row["inner_dim"]), str(row["pairs"]))
        by_cell.setdefault(key, {})[row["metric"]] = row["text"]
    rows = [[*key, texts.get("auc", NOTHING), texts.get("logloss", NOTHING)] for key, texts in by_cell.items()]
    text = [
        "The width at which single reaches the cell's quality, over the cell's own d, with a 95% interval over paired "
        "seeds. Table bytes grow as d, so the factor in bytes is the same. Beyond the widths that were measured there "
        "are bounds (>=, <=), no extrapolation; few seeds give wide intervals, one gives none."
    ]
    header = ["data", "arm", "d", "k", "seeds", "at equal AUC", "at equal LogLoss"]
    return Section("Reduction factor at equal quality", text, [], [("", Table(header, rows, frozenset({2, 3, 4})))])


def rare_section(table: pd.DataFrame) -> Section | None:
    """Where in the data a gain comes from."""
    if table.empty:
        return None
    made = []
    for grouping, title in (("rarest", "By a row's rarest category"), ("typical", "By a row's typical category")):
        part = table[table["grouping"] == grouping]
        rows = [
            [
                *(row["dataset"], row["arm"], str(row["dim"]), or_nothing(row["inner_dim"])),
                *(f"{row['low']:,g} to {row['high']:,g}", f"{row['rows']:,}", str(row["pairs"])),
                signed(row["gain"], row["gain_low"], row["gain_high"]),
            ]
            for row in _by_dataset(part)
        ]
        header = ["data", "arm", "d", "k", "seen in training", "test rows", "seeds", "gain in AUC over single"]
        made.append((title, Table(header, rows, frozenset(range(2, 8)))))
    text = [
        "Test rows grouped by how often their rarest, and their typical (median) category was seen in training; the "
        "AUC within each group, minus that of single at the same d, paired by seed with 95% intervals."
    ]
    return Section("Rare categories", text, [], made)


def longer_section(table: pd.DataFrame) -> Section | None:
    """Whether a difference lasts when training goes on."""
    if table.empty:
        return None
    rows = [
        [
            *(row["dataset"], row["arm"], str(row["dim"]), or_nothing(row["inner_dim"]), str(row["epoch"])),
            *(str(row["seeds"]), f"{row['val_auc']:.5f}"),
            NOTHING if pd.isna(row["gain"]) else signed(row["gain"], row["gain_low"], row["gain_high"]),
        ]
        for row in _by_dataset(table)
    ]
    text = ["Validation AUC at the end of each epoch of the longer trainings, and its paired gain over single."]
    header = ["data", "arm", "d", "k", "epochs", "seeds", "validation AUC", "gain over single"]
    return Section("Does it last?", text, [], [("", Table(header, rows, frozenset(range(2, 8))))])


def sampling_section(table: pd.DataFrame) -> Section | None:
    """Two sources of doubt beside each other."""
    if table.empty:
        return None
    rows = [
        [
            *(row["dataset"], row["arm"], str(row["dim"]), or_nothing(row["inner_dim"]), str(row["pairs"])),
            f"{row['difference']:+.5f}",
            NOTHING if pd.isna(row["low"]) else f"[{row['low']:+.5f}, {row['high']:+.5f}]",
            NOTHING if pd.isna(row["rows_low"]) else f"[{row['rows_low']:+.5f}, {row['rows_high']:+.5f}]",
            or_nothing(row["rows"]) if pd.isna(row["rows"]) else f"{row['rows']:,}",
        ]
        for row in _by_dataset(table)
    ]
    text = [
        "The mean difference in AUC from single at the same d and seed, with two 95% intervals. Over seeds: what "
        "training again would change (paired bootstrap). Over test rows: what other test rows would change, the "
        "trained models held fixed (DeLong). Neither contains the other; a gain is firm where both "
        f"exclude 0 and the seeds are {DECISIVE_PAIRS} or more."
    ]
    header = ["data", "arm", "d", "k", "seeds", "Δ AUC", "over seeds", "over test rows", "test rows"]
    return Section("How sure: seeds and test rows", text, [], [("", Table(header, rows, frozenset(range(2, 9))))])
