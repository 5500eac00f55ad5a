"""Quality by category frequency (claim C7): test rows grouped by how often their categories were trained on."""

import numpy as np
import pyarrow as pa

from mlet_bench.errors import BenchError
from mlet_bench.evaluation.metrics import auc, logloss
from mlet_bench.parquet import table_of_records
from mlet_bench.runs import BY_FREQUENCY
from mlet_bench.statistics.delong import BLOCKS, deviations

GROUPS = 5
RARE_ROWS = 10  # a category that fewer training rows have is rare: it has hardly moved from where it was drawn
WHOLE, RARE_FIELDS, TYPICAL = "whole", "rare fields", "typical"  # the groupings


def row_frequencies(ids: np.ndarray, counts: list[np.ndarray]) -> dict[str, np.ndarray]:
    """What rows are grouped by.

    The rarest category of a row would not do: in genuine samples 70% of the test rows hold one that training never saw.

    Args:
        ids: (N, F) int.
        counts: F arrays (n,) of training rows with each category.

    Returns:
        ``whole``, 0 for every row; ``rare fields``, in how many fields a row's category is in fewer than ``RARE_ROWS``
        training rows; ``typical``, the median over the fields of how many have its category: (N,) float64 each.
    """
    frequencies = np.stack([count[column] for count, column in zip(counts, ids.T, strict=True)], axis=1)  # (N, F)
    rare = (frequencies < RARE_ROWS).sum(axis=1).astype(np.float64)
    return {WHOLE: np.zeros(len(ids)), RARE_FIELDS: rare, TYPICAL: np.median(frequencies, axis=1)}


def quality_by_frequency(
    label: np.ndarray, probability: np.ndarray, frequencies: dict[str, np.ndarray], groups: int = GROUPS
) -> pa.Table:
    """AUC and LogLoss within groups of rows of similar frequency.

    Rows are cut at quantiles into up to ``groups`` groups, those of the rarest categories first; equal rows stay
    together, so groups may be fewer and of unequal size. They depend on the data alone: equal for all runs on a split.

    Args:
        label, probability: (N,).
        frequencies: (N,) by name of the grouping, as ``row_frequencies`` gives them.

    Returns:
        The columns of ``runs.BY_FREQUENCY``: ``low`` and ``high`` are the least and greatest value in the group;
        ``auc`` is NaN in a group of one class, and ``deviations`` are in one of fewer than two clicks or other rows.
    """
    records = []
    for grouping, frequency in frequencies.items():
        rarity = -frequency if grouping == RARE_FIELDS else frequency  # rarest first
        edges = np.unique(np.quantile(rarity, np.arange(1, groups) / groups))
        members = np.searchsorted(edges, rarity, side="left")  # at an edge: the group that ends there
        for group, number in enumerate(np.unique(members)):
            chosen = members == number
            y, p, of_group = label[chosen], probability[chosen], frequency[chosen]
            bounds = (float(of_group.min()), float(of_group.max()))
            quality = (_auc(y, p), logloss(y, p), _deviations(y, p))
            records.append((grouping, group, *bounds, len(y), int(y.sum()), *quality))
    return table_of_records(records, BY_FREQUENCY.columns)


def _auc(label: np.ndarray, probability: np.ndarray) -> float:
    try:
        return auc(label, probability)
    except BenchError:
        return float("nan")


def _deviations(label: np.ndarray, probability: np.ndarray) -> list[float]:
    try:
        return deviations(label, probability).tolist()
    except BenchError:
        return [float("nan")] * (2 * BLOCKS)
