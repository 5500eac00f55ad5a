"""How MLET reweights a gradient: the factors σᵢ(W1)² + σⱼ(W2)² of a table, summed up by quantiles.

An SGD step of rate η moves E = W1 W2 by -η (G W2ᵀW2 + W1W1ᵀ G): the component of G = dL/dE along W1's i-th left and
W2's j-th right singular vector is scaled by σᵢ(W1)² + σⱼ(W2)². A single layer scales all by 1.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

COLUMNS = ("field", "stage", "low", "median", "high", "w1", "w2")
QUANTILES = (0.1, 0.5, 0.9)


def reweighting(factors: pd.DataFrame, sizes: Mapping[str, int]) -> pd.DataFrame:
    """Quantiles of the factors of each field and stage, over all pairs (i, j).

    Args:
        factors: ``factors.parquet`` of a run: field, stage, factor (``w1``, ``w2``), index, singular_value.
        sizes: n of each field; of W1's k singular values only the first n have a left singular vector.

    Returns:
        The columns of ``COLUMNS``: ``low``, ``median``, ``high`` are the 10%, 50% and 90% quantiles of the sums; ``w1``
        and ``w2`` the medians of their two parts, the cross-category term and the preconditioned step. Empty for a
        single layer.
    """
    values = factors.sort_values("index").groupby(["field", "stage", "factor"], sort=False)["singular_value"]
    squares = {key: part.to_numpy() ** 2 for key, part in values}
    records = []
    for field, stage in dict.fromkeys(zip(factors["field"], factors["stage"])):
        w1 = squares[field, stage, "w1"][: sizes[field]]  # (min(n, k),)
        w2 = squares[field, stage, "w2"]  # (min(k, d),)
        quantiles = np.quantile(np.add.outer(w1, w2), QUANTILES)
        records.append((field, stage, *quantiles.tolist(), float(np.median(w1)), float(np.median(w2))))
    return pd.DataFrame(records, columns=COLUMNS)
