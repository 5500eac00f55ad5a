"""The sections behind the claims: reduction factors, seeds beside test rows, longer trainings, rare categories."""

import pandas as pd

from mlet_bench.analysis.statistics import DECISIVE_PAIRS
from mlet_bench.reporting.document import NOTHING, Section, Table, group_words, or_nothing, signed


def _by_dataset(table: pd.DataFrame) -> list[dict]:
    """The rows of a table, data set by data set, otherwise in their order."""
    return [row for name in table["dataset"].unique() for row in table[table["dataset"] == name].to_dict("records")]


def reduction_section(table: pd.DataFrame, figures: list[str]) -> Section | None:
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
    caption = (
        "How many times wider a single layer has to be; bars are 95% intervals over seeds. An open arrow is a bound: "
        "single reaches the quality at no width measured (up), or at every one (down)."
    )
    shown = [("reduction", caption)] if "reduction" in figures else []
    header = ["data", "arm", "d", "k", "seeds", "at equal AUC", "at equal LogLoss"]
    return Section("Reduction factor at equal quality", text, shown, [("", Table(header, rows, frozenset({2, 3, 4})))])


def rare_section(table: pd.DataFrame, figures: list[str]) -> Section | None:
    """Where in the data a gain comes from."""
    if table.empty:
        return None
    made = [
        (f"{dataset}, {model.upper()}: by a row's {grouping} category", _gains(part))
        for (dataset, model, grouping), part in table.groupby(["dataset", "model", "grouping"], sort=False)
    ]
    text = [
        "Test rows grouped by how often their rarest, and their typical (median) category was seen in training; the "
        "AUC within each group, minus that of single at the same d, paired by seed with 95% intervals. 0 is a category "
        "that training never saw: its row of the table is as it was drawn, but for what MLET's W2 moves."
    ]
    caption = (
        "Gain in AUC by a row's rarest category: how many training rows have it, rarest first. Bars are 95% intervals "
        "over seeds."
    )
    return Section("Rare categories", text, [("rare", caption)] if "rare" in figures else [], made)


def _gains(table: pd.DataFrame) -> Table:
    """One row a cell, one column a group of test rows, rarest first."""
    groups = table.drop_duplicates("group").sort_values("group").to_dict("records")
    rows = []
    for (arm, dim, inner), part in table.groupby(["arm", "dim", "inner_dim"], sort=False, dropna=False):
        found = {
            row["group"]: signed(row["gain"], row["gain_low"], row["gain_high"]) for row in part.to_dict("records")
        }
        gains = [found.get(group["group"], NOTHING) for group in groups]
        rows.append([arm, str(dim), or_nothing(inner), str(part["pairs"].min()), *gains])
    header = ["arm", "d", "k", "seeds", *(f"{group_words(group)} ({group['rows']:,} rows)" for group in groups)]
    return Table(header, rows, frozenset(range(1, len(header))))


def longer_section(table: pd.DataFrame, figures: list[str]) -> Section | None:
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
    caption = "Validation AUC of the longer trainings over the training rows seen, means over seeds."
    shown = [("longer", caption)] if "longer" in figures else []
    return Section("Does it last?", text, shown, [("", Table(header, rows, frozenset(range(2, 8))))])


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
