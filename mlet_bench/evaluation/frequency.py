"""Quality by category frequency (claim C7): test rows grouped by how often their categories were trained on."""

import numpy as np
import pyarrow as pa

from mlet_bench.errors import BenchError
from mlet_bench.evaluation.metrics import auc, logloss
from mlet_bench.parquet import table_of_records
from mlet_bench.runs import BY_FREQUENCY

GROUPS = 5


def row_frequencies(ids: np.ndarray, counts: list[np.ndarray]) -> dict[str, np.ndarray]:
    """How often a row's rarest and its typical category occur in training.

    Args:
        ids: (N, F) int.
        counts: F arrays (n,) of training rows with each category.

    Returns:
        ``rarest``, the minimum over the fields, and ``typical``, their median: (N,) float64 each.
    """
    frequencies = np.stack([count[column] for count, column in zip(counts, ids.T, strict=True)], axis=1)  # (N, F)
    return {"rarest": frequencies.min(axis=1).astype(np.float64), "typical": np.median(frequencies, axis=1)}


def quality_by_frequency(
    label: np.ndarray, probability: np.ndarray, frequencies: dict[str, np.ndarray], groups: int = GROUPS
) -> pa.Table:
    """AUC and LogLoss within groups of rows of similar frequency.

    Rows are cut at the quantiles of their frequency into up to ``groups`` groups, rarest first; equal frequencies stay
    together, so groups may be fewer and of unequal size. They depend on the data alone: equal for all runs on a split.

    Args:
        label, probability: (N,).
        frequencies: (N,) by name of the grouping, as ``row_frequencies`` gives them.

    Returns:
        The columns of ``runs.BY_FREQUENCY``: ``low`` and ``high`` are the least and greatest frequency in the group;
        ``auc`` is NaN in a group of one class.
    """
    records = []
    for grouping, frequency in frequencies.items():
        edges = np.unique(np.quantile(frequency, np.arange(1, groups) / groups))
        members = np.searchsorted(edges, frequency, side="left")  # at an edge: the group that ends there
        for group, number in enumerate(np.unique(members)):
            chosen = members == number
            y, p, of_group = label[chosen], probability[chosen], frequency[chosen]
            bounds = (float(of_group.min()), float(of_group.max()))
            records.append((grouping, group, *bounds, len(y), int(y.sum()), _auc(y, p), logloss(y, p)))
    return table_of_records(records, BY_FREQUENCY.columns)


def _auc(label: np.ndarray, probability: np.ndarray) -> float:
    try:
        return auc(label, probability)
    except BenchError:
        return float("nan")
