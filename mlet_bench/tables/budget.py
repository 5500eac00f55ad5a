"""What is served, at equal bytes: a row a cell and format, and for each budget the arms in their order."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from mlet_bench.budgets import budget_bytes
from mlet_bench.config import budget_block
from mlet_bench.runs import LOOKUPS
from mlet_bench.statistics.intervals import Interval, mean_interval, paired_interval, read_auc_difference
from mlet_bench.tables.cells import records, whole_widths
from mlet_bench.tables.results import CELL, Results, Setting

SERVED = [*CELL, "budget", "format"]
SPEEDS = [f"rows_per_second_{batch}" for batch in LOOKUPS]
COSTS = ["seconds", "peak_memory_bytes", *SPEEDS]


def served_table(results: Results) -> pd.DataFrame:
    """One row a cell and format that some run is served in: bytes, and over its seeds mean and range of the metrics.

    ``low`` and ``high`` are t intervals over seeds. What training took is that of the cell, whatever the format.
    """
    rows = []
    for key, group in _with_costs(results).groupby(SERVED, sort=False, dropna=False):
        row: dict[str, Any] = dict(zip(SERVED, key)) | {"done": len(group)}
        row["tables_bytes"] = float(group["tables_bytes"].mean())
        for metric in ("auc", "logloss"):
            values = group[f"test_{metric}"].to_numpy(float)
            row |= _of_interval(mean_interval(values), metric)
            row |= {f"{metric}_min": values.min(), f"{metric}_max": values.max()}
        row["val_auc"] = float(group["val_auc"].mean())
        rows.append(row | {name: float(group[name].mean()) for name in COSTS})
    columns = [*SERVED, "done", "tables_bytes", "val_auc"]
    columns += [f"{metric}{end}" for metric in ("auc", "logloss") for end in ("", "_low", "_high", "_min", "_max")]
    return whole_widths(pd.DataFrame(rows, columns=[*columns, *COSTS]))


def budget_table(results: Results) -> pd.DataFrame:
    """One row a data set, model, budget and arm: the cell and format of the arm that do best within the budget.

    Which they are, and the order of the arms (``rank``), is chosen by mean validation AUC over the first half of the
    seeds; ``auc`` and ``behind``, the paired difference to the first arm, are means over the other half on test, so
    that what is chosen is judged on runs that did not choose it. A single seed does both. ``first_is`` reads ``behind``
    (``read_auc_difference``). An arm with nothing that fits
    has no rank, and ``reason`` says why.
    """
    served, rows = _with_costs(results), []
    for setting in results.settings:
        for name, most in budgets_of(setting):
            rows += _ranked(setting, setting.of(served), name, most)
    columns = ["dataset", "model", "budget", "budget_bytes", "rank", "arm", "cell", "format", "tables_bytes", "val_auc"]
    columns += ["seeds", "auc", "auc_low", "auc_high", "behind", "behind_low", "behind_high", "first_is"]
    columns += [*COSTS, "reason"]
    return pd.DataFrame(rows, columns=columns).astype({"rank": "Int64", "seeds": "Int64"})


def budgets_of(setting: Setting) -> Iterator[tuple[str, int]]:
    """The budgets of a configuration with their bytes on one data set, the largest first."""
    config, schema = setting.results.config, setting.results.schemas.get(setting.dataset)
    if not config.get("budgets", {}).get("enabled") or schema is None:
        return
    block = budget_block(config)
    if setting.model not in block.get("models", (setting.model,)):
        return
    sized = {name: budget_bytes(name, schema.table_sizes, block["dims"][0]) for name in block["sizes"]}
    yield from sorted(sized.items(), key=lambda of: -of[1])


def _with_costs(results: Results) -> pd.DataFrame:
    """What is served, with what its run's training took; refused formats left out."""
    served = results.formats[results.formats["refused"] == ""]
    every = [frame for frame in (results.runs, results.budget_runs) if len(frame)] or [results.runs]
    run = ["dataset", "model", "cell", "seed"]
    costs = pd.concat(every)[[*run, *(name for name in COSTS if name not in SPEEDS)]]
    return served.merge(costs, on=run, how="left")


def _ranked(setting: Setting, served: pd.DataFrame, budget: str, most: int) -> list[dict[str, Any]]:
    """The arms within one budget, the best first; then those that have nothing so small."""
    seeds = setting.results.config["seeds"]
    choosing, judging = set(seeds[: len(seeds) // 2] or seeds), set(seeds[len(seeds) // 2 :])
    fits = served[served["tables_bytes"] <= most]
    by_seed = fits[fits["seed"].isin(choosing)].groupby(["arm", "cell", "format"], sort=False)["val_auc"]
    chosen = by_seed.mean()[by_seed.count() == len(choosing)].sort_values(ascending=False, kind="stable")
    best = chosen.reset_index().drop_duplicates("arm").reset_index(drop=True)
    rows, first = [], None
    for rank, row in enumerate(records(best), 1):
        own = fits[(fits["cell"] == row["cell"]) & (fits["format"] == row["format"])]
        scores = own[own["seed"].isin(judging)].set_index("seed")["test_auc"].astype(float).sort_index()
        first = scores if first is None else first
        both = scores.index.intersection(first.index)
        row |= _of_interval(mean_interval(scores.to_numpy()) if len(scores) else None, "auc")
        behind = paired_interval(first[both].to_numpy(), scores[both].to_numpy()) if len(both) else None
        row |= _of_interval(behind, "behind")
        row["first_is"] = read_auc_difference(behind) if behind is not None and rank > 1 else ""
        row |= {name: float(own[name].mean()) for name in ("tables_bytes", *COSTS)}
        rows.append(row | {"rank": rank, "seeds": len(scores), "reason": ""})
    rows += [{"arm": arm, "reason": why} for arm, why in _absent(setting, served, budget, set(best["arm"]))]
    return [
        {"dataset": setting.dataset, "model": setting.model, "budget": budget, "budget_bytes": most} | row
        for row in rows
    ]


def _absent(setting: Setting, served: pd.DataFrame, budget: str, there: set[str]) -> Iterator[tuple[str, str]]:
    """The arms that have nothing within a budget, each with the reason."""
    asked = setting.of(setting.results.budget_runs)
    known = pd.concat([frame for frame in (setting.runs, asked) if len(frame)])
    for arm in dict.fromkeys(known["arm"]):
        if arm in there:
            continue
        own = asked[(asked["arm"] == arm) & (asked["budget"] == budget)]
        said = own.loc[own["kind"] == "over-budget", "reason"]
        least = served.loc[served["arm"] == arm, "tables_bytes"].min()
        if len(said):
            yield arm, said.iloc[0]
        else:
            yield arm, "no finished run" if np.isnan(least) else f"its smallest has {least / 1e6:,.3g} MB"


def _of_interval(interval: Interval | None, name: str) -> dict[str, float]:
    found = interval.numbers if interval is not None else (np.nan,) * 3
    return dict(zip((name, f"{name}_low", f"{name}_high"), found))
