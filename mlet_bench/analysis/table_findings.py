"""What runs say about the tables themselves and their cost: claims C3, C4 and C5.

The rules are those of ``verdicts``.
"""

import numpy as np
import pandas as pd

from mlet_bench.analysis import verdicts
from mlet_bench.analysis.comparison import Baseline, arm_cells, widest_cells
from mlet_bench.analysis.findings import Finding, Streams, few, listed, notes, percent, prefix, undone
from mlet_bench.analysis.statistics import DECISIVE_PAIRS, paired_bootstrap
from mlet_bench.spec import ARMS, RECIPES, cell_name

# A step's cost depends on the batch; the paper's number is at its own.
BATCH = RECIPES["authors"]["batch_size"]


def find_collapse(runs: pd.DataFrame) -> Finding:
    """C3: the largest change of a logit by collapsing, and the table bytes beside those of ``single`` at the same d."""
    factored = runs[runs["arm"].isin([arm.name for arm in ARMS.values() if arm.method == "mlet"])]
    done = factored[factored["status"] == "done"]
    # A collapse that moves a logit too far is refused, and its run counts as failed: that is the claim failing.
    refused = factored[factored["reason"].fillna("").str.contains("collapsed model differs")]
    size = runs[(runs["arm"] == "single") & (runs["status"] == "done")].groupby("dim")["inference_tables_bytes"].first()
    known = done.dropna(subset=["max_logit_difference"])
    if known.empty and refused.empty:
        return Finding(verdicts.NOT_RUN, note=undone(runs, factored["cell"].unique()) or "no collapse was checked")
    largest = float("inf") if len(refused) else float(known["max_logit_difference"].max())
    compared = done[done["dim"].isin(size.index)]
    equal = (compared["inference_tables_bytes"] == compared["dim"].map(size)).all() and (
        size / size.index
    ).nunique() <= 1
    complete = len(known) == len(factored) == len(compared)
    sizes = "table bytes equal single's and grow as d" if equal else "table bytes differ from single's"
    moved = "a collapse was refused" if len(refused) else f"no logit moved by more than {largest:.1e}"
    note = "" if complete else f"{len(factored) - len(known)} of {len(factored)} runs have no number"
    cells = tuple(factored["cell"].unique())
    return Finding(verdicts.judge_collapse(largest, bool(equal), complete), f"{moved}; {sizes}", cells, note)


def find_rank(runs: pd.DataFrame, spectrum: pd.DataFrame, base: Baseline, where: str, streams: Streams) -> Finding:
    """C4: effective rank of the trained tables (plain, means over tables), MLET at its largest k over the baseline.

    The change at the start stands beside it: a product of two random matrices has another rank than a random table, so
    a difference may be there before anything is trained.
    """
    pairs = {dim: (cell, base.cells[dim]) for dim, cell in widest_cells(runs, list(base.cells)).items()}
    changes, lower, shown, lacking = {}, {}, [], []
    for dim, (cell, other) in sorted(pairs.items()):
        table = _ranks(spectrum, "trained", cell, other)
        if table.empty:
            lacking.append(cell)
            continue
        ratio = _ratios(table)
        changes[dim] = paired_bootstrap(ratio, np.ones(len(ratio)), streams(f"{prefix('rank', base)}/{where}/{cell}"))
        by_field = table.groupby("field").mean()
        less = by_field[cell] < by_field[other]
        lower[dim] = float(less.mean())
        initial = _ranks(spectrum, "initial", cell, other)
        start = "" if initial.empty else f" ({_ratios(initial).mean() - 1:+.1%} at the start)"
        shown.append(f"d={dim} {percent(changes[dim])}, {less.sum()} of {len(less)} tables{start}")
    rests = tuple(cell for pair in pairs.values() for cell in pair)
    if not changes:
        return Finding(verdicts.NOT_RUN, cells=rests, note=f"no ranks of MLET and {base.name} at the same d")
    verdict = verdicts.UNDECIDED if lacking else verdicts.judge_rank(changes, lower)
    missing = f"no ranks beside {listed(lacking)}" if lacking else ""
    return Finding(
        verdict, "; ".join(shown), rests, notes(missing, few(min(change.count for change in changes.values())))
    )


def _ranks(spectrum: pd.DataFrame, stage: str, cell: str, other: str) -> pd.DataFrame:
    """Plain effective ranks of two cells, one row a seed and field that both have, columns ``cell`` and ``other``."""
    of_stage = (spectrum["stage"] == stage) & (spectrum["weighting"] == "uniform")
    kept = spectrum[of_stage & spectrum["cell"].isin((cell, other))].dropna(subset=["effective_rank"])
    table = kept.pivot_table(index=["seed", "field"], columns="cell", values="effective_rank")
    return table.reindex(columns=[cell, other]).dropna()


def _ratios(ranks: pd.DataFrame) -> np.ndarray:
    """Mean rank over fields of the first column's cell over that of the second's, one a seed: (S,)."""
    means = ranks.groupby("seed").mean()
    return (means.iloc[:, 0] / means.iloc[:, 1]).to_numpy()


def find_overhead(runs: pd.DataFrame, overhead: pd.DataFrame, streams: Streams) -> Finding:
    """C5: extra time of a training step, mean over data sets and (d, k) of the median paired ratio, less 1.

    The interval is a bootstrap over the (d, k): it says how far the mean depends on the widths that were timed. The
    timings of one (d, k) hardly differ.

    Args:
        runs: those of all data sets together, which say what should have been timed.
    """
    timed = overhead[overhead["batch_size"] == BATCH]
    on_gpu = timed[~timed["device"].str.startswith("CPU")]
    gpu = not on_gpu.empty
    timed = on_gpu if gpu else timed
    if timed.empty:
        return Finding(verdicts.NOT_RUN, note=f"no training step was timed at the paper's batch of {BATCH}")
    keys = ["dataset", "model", "dim", "inner_dim"]
    ratio = (
        (timed["mlet_ms"].astype(float) / timed["single_ms"].astype(float)).groupby([timed[k] for k in keys]).median()
    )
    wanted = {
        (dataset, model, dim, inner)
        for (dataset, model), part in runs.groupby(["dataset", "model"])
        for dim, inner in arm_cells(part, "mlet")
    }
    lacking = sorted(wanted - set(ratio.index))
    extra = paired_bootstrap(ratio.to_numpy(), np.ones(len(ratio)), streams("overhead"))
    verdict = verdicts.UNDECIDED if lacking else verdicts.judge_overhead(extra, gpu)
    low, high = verdicts.OVERHEAD
    device = listed(sorted(timed["device"].unique()))
    return Finding(
        verdict,
        f"{percent(extra)} a step, mean over {len(ratio)} (data set, d, k) on {device}, beside the paper's +25%",
        tuple(f"{dataset}/{model}/{cell_name('mlet', d, k)}" for dataset, model, d, k in ratio.index),
        notes(
            "" if gpu else "timed on a CPU, where a step's time is the MLPs': not comparable",
            f"{len(lacking)} (d, k) of the grid were not timed" if lacking else "",
            "" if len(ratio) >= DECISIVE_PAIRS else f"{len(ratio)} (d, k), {DECISIVE_PAIRS} are needed",
            "cheaper than the paper says"
            if extra.high < low
            else "dearer than the paper says"
            if extra.low > high
            else "",
        ),
    )
