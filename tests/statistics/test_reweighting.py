"""The factors by which gradients are scaled, by hand, and against the step itself."""

import numpy as np
import pandas as pd
import pytest
import torch

from mlet_bench.statistics.rank import singular_values
from mlet_bench.statistics.reweighting import reweighting


def factors(w1, w2, field="C1", stage="trained"):
    rows = [(field, stage, "w1", index, value) for index, value in enumerate(w1)]
    rows += [(field, stage, "w2", index, value) for index, value in enumerate(w2)]
    return pd.DataFrame(rows, columns=["field", "stage", "factor", "index", "singular_value"])


def test_by_hand():
    """Squares 4, 1 and 9, 1: the sums are 13, 5, 10, 2. The 10% quantile lies .3 of the way from 2 to 5."""
    (row,) = reweighting(factors([2, 1], [3, 1]), {"C1": 50}).to_dict("records")
    assert (row["low"], row["median"], row["high"]) == pytest.approx((2.9, 7.5, 12.1))
    assert (row["w1"], row["w2"]) == (2.5, 5.0)


def test_a_table_of_few_rows_has_no_more_directions_than_rows():
    """n = 1 of k = 3: W1 has one left singular vector, the other two values are zeros of rounding."""
    (row,) = reweighting(factors([2, 1e-9, 0], [1]), {"C1": 1}).to_dict("records")
    assert row["low"] == row["median"] == row["high"] == 5.0


def test_each_field_and_stage_has_its_row_and_a_single_layer_none():
    both = pd.concat([factors([1], [1], field, stage) for field in ("a", "b") for stage in ("initial", "trained")])
    table = reweighting(both, {"a": 9, "b": 9})
    assert table[["field", "stage"]].to_numpy().tolist() == [
        ["a", "initial"], ["a", "trained"], ["b", "initial"], ["b", "trained"],
    ]  # fmt: skip
    assert reweighting(factors([], []), {}).empty


def test_a_step_scales_each_component_of_the_gradient_so():
    """The first-order step of the product, in the singular bases, is the gradient times the factors."""
    generator = torch.Generator().manual_seed(0)
    n, k, d = 7, 5, 3
    w1, w2, gradient = (
        torch.randn(*shape, dtype=torch.float64, generator=generator) for shape in ((n, k), (k, d), (n, d))
    )
    step = gradient @ w2.T @ w2 + w1 @ w1.T @ gradient
    left, right = torch.linalg.svd(w1, full_matrices=False)[0], torch.linalg.svd(w2, full_matrices=False)[2].T
    scales = np.add.outer((singular_values(w1) ** 2).numpy(), (singular_values(w2)[:d] ** 2).numpy())
    np.testing.assert_allclose(left.T @ step @ right, scales * (left.T @ gradient @ right).numpy(), rtol=1e-6)
