"""Single factorised tables: drop-in for torch's, and collapsed equals factorised."""

import pytest
import torch
from torch import nn

from mlet_bench import MLETEmbedding, MLETEmbeddingBag
from mlet_bench.errors import BenchError

N, D, K = 50, 4, 16


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def train(layer, call, steps=20):
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    target = torch.randn(call(layer).shape, generator=rng(9))
    for _ in range(steps):
        optimizer.zero_grad()
        (call(layer) - target).square().mean().backward()
        optimizer.step()


IDS = torch.tensor([[1, 2, 0], [3, 1, 49]])
FLAT, OFFSETS = torch.tensor([1, 2, 0, 3, 1, 49]), torch.tensor([0, 2, 2])
CALLS = {
    "2-D": lambda bag: bag(IDS),
    "offsets, one bag empty": lambda bag: bag(FLAT, OFFSETS),
}


@pytest.mark.parametrize("padding_idx", [None, 1, -1])
@pytest.mark.parametrize("sparse", [False, True])
def test_embedding_is_a_drop_in(sparse, padding_idx):
    layer = MLETEmbedding(N, D, K, padding_idx=padding_idx, sparse=sparse, generator=rng())
    before = layer(IDS).detach().clone()
    train(layer, lambda layer: layer(IDS))
    assert layer.w1.grad.is_sparse is sparse
    plain = layer.collapse()
    assert type(plain) is nn.Embedding and plain.weight.shape == (N, D) and plain.weight.requires_grad
    assert (plain.sparse, plain.padding_idx) == (sparse, layer.padding_idx)
    torch.testing.assert_close(plain(IDS), layer(IDS), rtol=0, atol=1e-6)
    assert not torch.allclose(before, layer(IDS))
    if padding_idx is not None:
        assert plain.weight[padding_idx].eq(0).all() and layer.w1[padding_idx].eq(0).all()


@pytest.mark.parametrize("sparse", [False, True])
def test_gradients_are_those_of_an_embedding_and_a_linear_layer(sparse):
    layer = MLETEmbedding(N, D, K, sparse=sparse, generator=rng())
    first, second = nn.Embedding(N, K, sparse=sparse), nn.Linear(K, D, bias=False)
    first.weight.data.copy_(layer.w1.data)
    second.weight.data.copy_(layer.w2.data.T)
    for vectors in (layer(input=IDS), second(first(IDS))):
        (vectors * torch.arange(6 * D).view(2, 3, D)).sum().backward()
    torch.testing.assert_close(layer.w1.grad.to_dense(), first.weight.grad.to_dense())
    torch.testing.assert_close(layer.w2.grad, second.weight.grad.T)


@pytest.mark.parametrize("padding_idx", [None, 1])
@pytest.mark.parametrize("mode", ["sum", "mean"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_bag_is_a_drop_in(call, mode, padding_idx):
    layer = MLETEmbeddingBag(N, D, K, mode=mode, padding_idx=padding_idx, generator=rng())
    train(layer, call)
    plain = layer.collapse()
    assert type(plain) is nn.EmbeddingBag
    assert (plain.mode, plain.padding_idx) == (mode, padding_idx)
    torch.testing.assert_close(plain.eval()(IDS), layer(IDS), rtol=0, atol=1e-6)
    torch.testing.assert_close(call(plain), call(layer), rtol=0, atol=1e-6)


def test_bag_takes_sample_weights_and_a_last_offset():
    layer = MLETEmbeddingBag(N, D, K, mode="sum", include_last_offset=True, generator=rng())
    weights = torch.rand(6, generator=rng(1), requires_grad=True)
    offsets = torch.tensor([0, 2, 6])
    plain = layer.collapse()
    torch.testing.assert_close(plain(FLAT, offsets, weights), layer(FLAT, offsets, weights), rtol=0, atol=1e-6)
    layer(FLAT, offsets, weights).sum().backward()
    assert weights.grad.abs().sum() > 0


def test_initial_law_and_seed():
    layer = MLETEmbedding(20_000, 8, 64, generator=rng())
    bound = 20_000**-0.5
    assert 0.999 * bound < layer.w1.abs().max() <= bound
    assert layer.w1.var().item() == pytest.approx(bound**2 / 3, rel=0.02)
    assert layer.w2.std().item() == pytest.approx(0.25, rel=0.1)
    again = MLETEmbedding(20_000, 8, 64, generator=rng())
    assert torch.equal(layer.w1, again.w1) and torch.equal(layer.w2, again.w2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_types_and_devices_are_kept(dtype):
    layer = MLETEmbedding(N, D, K, generator=rng()).to(dtype)
    plain = layer.collapse()
    assert plain.weight.dtype is dtype
    exact = layer.w1.double() @ layer.w2.double()
    torch.testing.assert_close(plain.weight.double(), exact, rtol=torch.finfo(dtype).eps, atol=1e-7)
    assert MLETEmbedding(N, D, K, device="meta").w1.device.type == "meta"


def test_autocast_rounds_the_vectors_and_not_the_collapsed_table():
    layer = MLETEmbedding(N, D, K, generator=rng())
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(IDS).dtype is torch.bfloat16
        inside = layer.collapse()
    assert torch.equal(inside.weight, layer.collapse().weight)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_layers_compile_as_one_graph(backend):
    layer, bag = MLETEmbedding(N, D, K, generator=rng()), MLETEmbeddingBag(N, D, K, generator=rng())
    for module, inputs in ((layer, (IDS,)), (bag, (IDS,)), (bag, (FLAT, OFFSETS))):
        results = []
        for call in (module, torch.compile(module, backend=backend, fullgraph=True)):
            module.zero_grad()
            call(*inputs).square().sum().backward()
            results.append([call(*inputs), module.w1.grad, module.w2.grad])
        torch.testing.assert_close(*results)


def test_an_empty_table_is_a_table():
    assert MLETEmbedding(0, D, K).collapse().weight.shape == (0, D)


def test_what_makes_no_product_is_refused():
    with pytest.raises(BenchError, match="k=0: it must be 1 or more"):
        MLETEmbedding(N, D, 0)
    with pytest.raises(BenchError, match="mode 'max' cannot be factorised"):
        MLETEmbeddingBag(N, D, K, mode="max")
