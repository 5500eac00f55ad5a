"""Embedding methods: shapes, initial laws, bytes, and deployed equals trained."""

import pytest
import torch
from toys import SIZES

from mlet_bench.arms import ARMS
from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.budget import fitted
from mlet_bench.embeddings.mlet import MLETTables
from mlet_bench.embeddings.single import SingleTables

D, K = 4, 8
IDS = torch.tensor([[0, 39, 2, 299], [6, 0, 0, 0], [6, 0, 1, 17]])


def build(arm: str, sizes=SIZES, dim: int = D, inner_dim: int = K, seed: int = 0):
    found = ARMS[arm]
    width = {"inner_dim": inner_dim} if found.inner_dim else {}
    embedding = METHODS[found.method](sizes, dim, **fitted(found.method, sizes, dim, {**width, **found.options}, ""))
    embedding.reset_parameters(seed)
    return embedding


@pytest.mark.parametrize("arm", ARMS)
def test_vectors_are_the_rows_of_each_fields_table(arm):
    embedding = build(arm)
    vectors = embedding(IDS)
    assert vectors.shape == (3, 4, D)
    for row in range(3):
        for field in range(4):
            expected = embedding.table(field)[IDS[row, field]]
            torch.testing.assert_close(vectors[row, field], expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("arm", ARMS)
def test_the_deployed_module_gives_the_same_vectors_and_deploys_as_itself(arm):
    embedding = build(arm)
    served = embedding.deployed()
    if ARMS[arm].method in ("single", "mlet"):
        assert isinstance(served, SingleTables) and served.weight.shape == (sum(SIZES), D)
    torch.testing.assert_close(served(IDS), embedding(IDS), rtol=0, atol=1e-6)
    assert torch.equal(served.deployed().weight, served.weight)
    assert served.weight.data_ptr() != embedding.weight.data_ptr()


def test_bytes_are_counted_by_hand():
    single, mlet = build("single"), build("mlet")
    assert single.training_bytes() == 4 * 350 * 4
    assert mlet.training_bytes() == 4 * (350 * 8 + 4 * 8 * 4)
    assert single.deployed().training_bytes() == mlet.deployed().training_bytes() == 4 * 350 * 4


def test_product_of_a_table_worked_out_by_hand():
    embedding = MLETTables([2, 1], embedding_dim=1, inner_dim=2)
    with torch.no_grad():
        embedding.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, -1.0], [5.0, 5.0]]))
        embedding.w2.copy_(torch.tensor([[[2.0], [10.0]], [[1.0], [-1.0]]]))
    assert embedding(torch.tensor([[1, 0], [0, 0]])).tolist() == [[[-4.0], [0.0]], [[22.0], [0.0]]]


def law(arm: str, inner_dim: int):
    """Rows and W2 of one large table under an arm's initial law."""
    n = 40_000
    embedding = build(arm, sizes=(n,), dim=16, inner_dim=inner_dim)
    return n, embedding.weight.detach(), getattr(embedding, "w2", None)


@pytest.mark.parametrize("arm", ["single", "mlet"])
def test_rows_are_uniform_within_one_over_root_n(arm):
    n, rows, _ = law(arm, 32)
    bound = n**-0.5
    assert rows.abs().max() <= bound
    assert rows.abs().max() > 0.999 * bound
    assert rows.mean().abs() < 0.02 * bound
    assert rows.var().item() == pytest.approx(bound**2 / 3, rel=0.02)


def test_single_init_has_k_over_16_times_the_variance():
    n, rows, _ = law("single-init", 64)
    assert rows.var().item() == pytest.approx((64 / 16) / n / 3, rel=0.02)


@pytest.mark.parametrize(("arm", "std"), [("mlet", 0.25), ("mlet-frozen", 0.25)])
def test_w2_is_normal_with_the_arms_deviation(arm, std):
    _, _, w2 = law(arm, 128)
    assert w2.std().item() == pytest.approx(std, rel=0.05)
    assert w2.abs().max() > 2.5 * std  # a uniform law of that deviation ends at 1.73


def test_only_the_frozen_arm_freezes_w2():
    frozen = {arm: not build(arm).w2.requires_grad for arm in ARMS if ARMS[arm].method == "mlet"}
    assert {arm for arm, is_frozen in frozen.items() if is_frozen} == {"mlet-frozen"}


def test_a_single_table_that_starts_as_the_product_is_mlets_collapsed_start():
    sizes = [7, 1000, 3]
    mlet, single = MLETTables(sizes, 4, 16), SingleTables(sizes, 4, 16, product_init=True)
    mlet.reset_parameters(5)
    single.reset_parameters(5)
    assert torch.equal(single.weight, mlet.deployed().weight)
