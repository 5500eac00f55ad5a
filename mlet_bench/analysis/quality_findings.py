"""What the runs of one data set and model say about quality: claims C1, C2 and C7.

Where a cell is missing or failed the note says which, and nothing is filled in. The rules are those of ``verdicts``.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mlet_bench.analysis import verdicts
from mlet_bench.analysis.comparison import Baseline, arm_cells, open_cells, paired, widest_cells
from mlet_bench.analysis.findings import Finding, Streams, few, listed, notes, prefix, signed, undone
from mlet_bench.analysis.reduction import Reduction, reduction_factor
from mlet_bench.analysis.statistics import paired_bootstrap


def find_reduction(runs: pd.DataFrame, base: Baseline, where: str, streams: Streams) -> Finding:
    """C1: the reduction factor at equal AUC of the MLET cell that validation chooses, and at equal LogLoss beside it.

    Args:
        runs: the runs of one data set and model.
        where: names them in the streams.
    """
    dims = sorted(base.cells)
    if len(dims) < 2:
        return Finding(verdicts.NOT_RUN, note=f"two widths or more of {base.name} are needed, found {len(dims)}")
    widths, line = np.array(dims, float), [base.cells[dim] for dim in dims]
    factors, on_validation, lacking = {}, {}, []
    for (dim, inner), cell in arm_cells(runs, "mlet").items():
        test, val = paired(runs, [*line, cell], "test_auc"), paired(runs, [*line, cell], "val_auc")
        if open_cells(runs, [cell]) or val.empty:
            lacking.append(cell)
        if test.empty or val.empty:
            continue
        stream = streams(f"{prefix('reduction', base)}/{where}/{cell}/auc")
        factors[cell] = _factor(widths, test, dim, stream), dim, inner
        middle = val.mean().to_numpy()
        on_validation[cell] = reduction_factor(widths, middle[:-1, None], dim, middle[-1:], stream)
    if not factors:
        return Finding(verdicts.NOT_RUN, note=undone(runs, line) or "no MLET cell shares a seed with all widths")
    chosen = max(factors, key=lambda cell: _known(on_validation[cell]))
    factor, dim, inner = factors[chosen]
    logloss = paired(runs, [*line, chosen], "test_logloss")
    loss = _factor(widths, logloss, dim, streams(f"{prefix('reduction', base)}/{where}/{chosen}/logloss"), False)
    able = [found for found, d, _ in factors.values() if widths[-1] >= verdicts.REDUCTION * d]
    return Finding(
        verdicts.judge_reduction(factor, able, not lacking),
        f"{factor.text} at equal AUC, {loss.text} at equal LogLoss (d={dim}, k={inner})",
        (chosen, *line),
        notes(undone(runs, [*line, *lacking]), few(factor.pairs)),
        factor,
    )


def find_gain(runs: pd.DataFrame, base: Baseline, where: str, streams: Streams) -> Finding:
    """C2: the gain in AUC at the largest k, and its growth with each doubling of k, means over d."""
    cells = {key: cell for key, cell in arm_cells(runs, "mlet").items() if key[0] in base.cells}
    grown = {dim: [inner for d, inner in cells if d == dim] for dim, _ in cells}
    ratio = verdicts.MUCH_LARGER
    dims = [dim for dim, inners in grown.items() if len(inners) > 1 and max(inners) >= ratio * dim]
    if not dims:
        return Finding(verdicts.NOT_RUN, note=f"no d has {base.name}, two k, and a k of {ratio}d or more")
    rests = [*(cells[dim, inner] for dim in dims for inner in grown[dim]), *(base.cells[dim] for dim in dims)]
    auc = paired(runs, rests, "test_auc")
    if auc.empty:
        return Finding(verdicts.NOT_RUN, cells=tuple(rests), note=undone(runs, rests))
    top = auc[[cells[dim, max(grown[dim])] for dim in dims]].mean(axis=1)
    floor = auc[[base.cells[dim] for dim in dims]].mean(axis=1)
    slopes = np.mean([_slopes(auc[[cells[dim, k] for k in grown[dim]]], grown[dim]) for dim in dims], axis=0)
    gain = paired_bootstrap(top.to_numpy(), floor.to_numpy(), streams(f"{prefix('gain', base)}/{where}"))
    growth = paired_bootstrap(slopes, np.zeros(len(slopes)), streams(f"growth/{where}"))
    return Finding(
        verdicts.judge_gain(gain, growth),
        f"{signed(gain)} AUC at the largest k, {signed(growth)} a doubling of k (d={listed(dims)})",
        tuple(rests),
        notes(undone(runs, rests), few(gain.count)),
    )


def find_rare(runs: pd.DataFrame, rare: pd.DataFrame, base: Baseline, where: str, streams: Streams) -> Finding:
    """C7: the gain in AUC by how often a row's rarest category was trained on, MLET at its largest k, mean over d."""
    pairs = {dim: (cell, base.cells[dim]) for dim, cell in widest_cells(runs, list(base.cells)).items()}
    rests = [cell for pair in pairs.values() for cell in pair]
    part = rare[(rare["grouping"] == "rarest") & rare["cell"].isin(rests)]
    groups = sorted(part["group"].unique())
    if not pairs or len(groups) < 2:
        note = "one group of rows is not enough" if len(groups) == 1 else f"no scores by frequency beside {base.name}"
        return Finding(verdicts.NOT_RUN, cells=tuple(rests), note=note)
    table = part.pivot_table(index="seed", columns=["group", "cell"], values="auc")
    wanted = pd.MultiIndex.from_product([groups, list(dict.fromkeys(rests))])
    table = table.reindex(columns=wanted).dropna()  # a group of one class has no AUC
    if table.empty:
        note = undone(runs, rests) or "a group of rows has one class only"
        return Finding(verdicts.NOT_RUN, cells=tuple(rests), note=note)
    ours, theirs = [cell for cell, _ in pairs.values()], [cell for _, cell in pairs.values()]
    treated = np.stack([table[group][ours].mean(axis=1) for group in groups])  # (groups, S)
    control = np.stack([table[group][theirs].mean(axis=1) for group in groups])
    gains = treated - control
    stream = streams(f"{prefix('rare', base)}/{where}")
    rarest = paired_bootstrap(treated[0], control[0], stream)
    excess = paired_bootstrap(gains[0], gains[-1], stream)
    shown = listed(f"{value:+.5f}" for value in gains.mean(axis=1))
    return Finding(
        verdicts.judge_rare(excess, rarest, gains.mean(axis=1).tolist()),
        f"{signed(excess)} AUC, gain of the rarest minus gain of the most frequent rows; gains, rarest first: {shown}",
        tuple(rests),
        notes(undone(runs, rests), few(excess.count)),
    )


def _factor(
    widths: np.ndarray, table: pd.DataFrame, dim: int, stream: np.random.Generator, higher_is_better: bool = True
) -> Reduction:
    """Of a table of ``paired`` whose last column is the arm and the others the baseline's widths."""
    values = table.to_numpy().T  # (W + 1, S)
    return reduction_factor(widths, values[:-1], dim, values[-1], stream, higher_is_better)


def _known(factor: Reduction) -> float:
    """The factor, or the bound where there is only that."""
    return min(max(factor.factor, factor.least), factor.most)


def _slopes(auc: pd.DataFrame, inners: Sequence[int]) -> np.ndarray:
    """Least-squares AUC per doubling of k, one a seed: (S, K) → (S,)."""
    doublings = np.log2(inners) - np.log2(inners).mean()
    return auc.to_numpy() @ doublings / (doublings @ doublings)
