"""Budgets: what they come to in bytes, and the largest configuration of each method that fits."""

import pytest
import torch

from mlet_bench.budgets import budget_bytes
from mlet_bench.data import DATASETS
from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.budget import fitted, served_bytes
from mlet_bench.errors import BenchError, OverBudgetError

SIZES = (7, 40, 3, 300, 700)
SIZED = [name for name in METHODS if METHODS[name].size_option]
CRITEO = DATASETS["criteo-kaggle"].table_sizes


@pytest.mark.parametrize(
    ("budget", "found"),
    [
        ("1/16", 135_050_308),
        ("1/1", 4 * 33_762_577 * 16),
        ("270MB", 270_000_000),
        ("1.5GB", 1_500_000_000),
        ("3kB", 3000),
    ],
)
def test_budgets_in_bytes(budget, found):
    assert budget_bytes(budget, CRITEO, 16) == found


@pytest.mark.parametrize("budget", ["16", "1/0", "MB", "1/16MB", "-1/2", "270 MB", "270mb"])
def test_what_is_no_budget_is_refused(budget):
    with pytest.raises(BenchError, match="is neither a size such as 270MB nor a share"):
        budget_bytes(budget, SIZES, 16)


@pytest.mark.parametrize("budget", ["1/2", "20kB"])
@pytest.mark.parametrize("method", SIZED)
def test_the_largest_that_fits_is_found(method, budget):
    options = {"inner_dim": 32} if method.startswith("mlet") else {}
    most = budget_bytes(budget, SIZES, 16)
    chosen = fitted(method, SIZES, 16, options, budget)
    name = METHODS[method].size_option
    sizes = []
    for choice in METHODS[method].choices(SIZES, 16):
        with torch.device("meta"):
            sizes.append(served_bytes(METHODS[method](SIZES, 16, **options, **{name: choice})))
    with torch.device("meta"):
        found, largest = served_bytes(METHODS[method](SIZES, 16, **chosen)), max(s for s in sizes if s <= most)
    if method == "md":  # where a table reaches the full width its projection goes, so that the bytes dip
        assert 0.97 * largest <= found <= largest
    else:
        assert sizes == sorted(sizes) and found == largest  # a search by halves is right


def test_hashed_rows_by_hand():
    # 4 bytes · 16 · (7 + 40 + 3 + m + m) <= 20,000 at m = 131
    assert fitted("hash", SIZES, 16, {}, "20kB")["rows"] == 131


def test_what_cannot_be_that_small_says_so():
    with pytest.raises(
        OverBudgetError, match=r"^md at d=16 stores 135 MB at least, .* budget of 33\.8 MB \(1/64\): give"
    ):
        fitted("md", CRITEO, 16, {}, "1/64")


def test_a_method_without_a_size_has_no_budget():
    assert fitted("single", SIZES, 16, {}, "") == {}
    with pytest.raises(BenchError, match="method 'single' has no size to fit to 1/4"):
        fitted("single", SIZES, 16, {}, "1/4")
