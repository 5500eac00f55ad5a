"""Ranks: values by hand, and against numpy's SVD."""

import math

import numpy as np
import pytest
import torch

from mlet_bench.errors import DivergedError
from mlet_bench.statistics.rank import effective_rank, singular_values, stable_rank


def test_ranks_by_hand():
    values = torch.tensor([3.0, 1.0], dtype=torch.float64)
    # shares 3/4 and 1/4: exp(-(3/4 ln 3/4 + 1/4 ln 1/4)) = 4 / 3^(3/4)
    assert effective_rank(values) == pytest.approx(4 / 3**0.75, rel=1e-12)
    assert stable_rank(values) == pytest.approx(10 / 9, rel=1e-12)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_table_that_diverged_in_one_row_is_refused(value):
    table = torch.ones(5, 2)
    table[3, 1] = value
    with pytest.raises(DivergedError, match="not finite"):
        singular_values(table)


@pytest.mark.parametrize("d", [1, 2, 7])
def test_orthogonal_and_rank_one_tables_are_the_extremes(d):
    orthogonal = singular_values(torch.eye(9)[:, :d] * 0.3)
    assert effective_rank(orthogonal) == pytest.approx(d, rel=1e-9)
    assert stable_rank(orthogonal) == pytest.approx(d, rel=1e-9)
    one = singular_values(torch.outer(torch.arange(1.0, 10.0), torch.arange(1.0, d + 1)))
    assert effective_rank(one) == pytest.approx(1, abs=1e-5)
    assert stable_rank(one) == pytest.approx(1, rel=1e-9)


def test_a_table_of_zeros_has_no_rank():
    values = singular_values(torch.zeros(5, 3))
    assert math.isnan(effective_rank(values)) and math.isnan(stable_rank(values))


def test_singular_values_agree_with_numpy():
    table = torch.from_numpy(np.random.default_rng(0).normal(size=(500, 12)).astype(np.float32))
    weights = torch.arange(500, dtype=torch.float64)
    expected = np.linalg.svd(table.double().numpy(), compute_uv=False)
    np.testing.assert_allclose(singular_values(table).numpy(), expected, rtol=1e-10)
    expected = np.linalg.svd(table.double().numpy() * np.sqrt(np.arange(500))[:, None], compute_uv=False)
    np.testing.assert_allclose(singular_values(table, weights).numpy(), expected, rtol=1e-10)


def test_weights_follow_their_rows_from_block_to_block():
    """Two blocks of 2^18 rows: only a row of the second has a weight, and the table is that row."""
    table, weights = torch.zeros(2**18 + 3, 2), torch.zeros(2**18 + 3, dtype=torch.float64)
    table[:3] = torch.tensor([9.0, 1.0])
    table[-1], weights[-1] = torch.tensor([3.0, 4.0]), 4.0
    assert singular_values(table, weights).tolist() == pytest.approx([10.0, 0.0], abs=1e-6)  # 2 · sqrt(3² + 4²)
