"""Single factorised tables: drop-in for torch's, and collapsed equals factorised."""

import copy
import io
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

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
    torch.testing.assert_close(layer.w2.grad.to_dense(), second.weight.grad.T)


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


@pytest.mark.parametrize("inner_dim", ["64", 64.0, True, None, 0, -3, torch.tensor(2.5)])
def test_an_inner_dim_that_is_no_whole_number_is_refused_with_a_sentence(inner_dim):
    with pytest.raises(BenchError, match=r"inner dim k=.*: it must be (a whole number, )?1 or more"):
        MLETEmbedding(N, D, inner_dim)


def test_a_whole_number_of_another_type_is_one():
    layer = MLETEmbedding(N, D, torch.tensor(6))  # as numpy's integers are
    assert type(layer.inner_dim) is int and layer.w2.shape == (6, D)


def test_a_padding_row_that_is_not_there_is_refused():
    for padding_idx, sentence in ((N, "must be below the number of rows, 50"), (-N - 1, "must be -50 or more")):
        with pytest.raises(BenchError, match=f"padding_idx={padding_idx}: it {sentence}"):
            MLETEmbeddingBag(N, D, K, padding_idx=padding_idx)


# A table that is read whole.


@pytest.mark.parametrize("padding_idx", [None, 1])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("kind", [MLETEmbedding, MLETEmbeddingBag])
def test_the_weight_is_the_product_with_its_gradients(kind, sparse, padding_idx):
    layer = kind(N, D, K, sparse=sparse, padding_idx=padding_idx, generator=rng())
    factor = torch.randn(N, D, generator=rng(1))
    expected = layer.w1 @ layer.w2
    grads = list(torch.autograd.grad((expected * factor).sum(), (layer.w1, layer.w2)))
    if padding_idx is not None:
        grads[0][padding_idx] = 0
    torch.testing.assert_close(layer.weight, expected, check_dtype=True)
    (layer.weight * factor).sum().backward()
    assert layer.w1.grad.is_sparse is layer.w2.grad.is_sparse is sparse
    torch.testing.assert_close([layer.w1.grad.to_dense(), layer.w2.grad.to_dense()], grads)
    assert layer.state_dict().keys() == dict(layer.named_parameters()).keys() == {"w1", "w2"}


def test_the_weight_stands_for_the_plain_one_wherever_it_is_read():
    layer = MLETEmbedding(N, D, K, generator=rng())
    plain = layer.collapse().weight.detach()
    hidden = torch.randn(3, D, generator=rng(1))
    close = {"rtol": 0, "atol": 1e-6}
    torch.testing.assert_close(F.linear(hidden, layer.weight), hidden @ plain.T, **close)
    torch.testing.assert_close(hidden @ layer.weight.T, hidden @ plain.T, **close)
    torch.testing.assert_close(torch.from_numpy(layer.weight.detach().cpu().numpy()), plain, **close)
    torch.testing.assert_close(torch.stack(list(layer.weight)), plain, **close)
    assert type(hidden @ layer.weight.T) is torch.Tensor
    larger = nn.Embedding(N + 5, D)  # as models are resized to a larger vocabulary
    larger.weight.data[:N] = layer.weight.data[:N]
    torch.testing.assert_close(larger.weight[:N].detach(), plain, **close)
    file = io.BytesIO()
    torch.save({"weight": layer.weight}, file)
    file.seek(0)
    torch.testing.assert_close(torch.load(file, weights_only=True)["weight"].detach(), plain, **close)
    assert type(copy.deepcopy(layer.weight.detach())) is torch.Tensor
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.weight.dtype is torch.float32


def test_the_weight_passes_through_torchs_compilers_and_transforms():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = MLETEmbedding(N, D, K, generator=rng())

        def forward(self, ids):
            return self.table(ids) @ self.table.weight.T

    model = Tied()
    expected = model(IDS)
    torch.testing.assert_close(torch.compile(model, backend="aot_eager", fullgraph=True)(IDS), expected)
    torch.testing.assert_close(torch.export.export(model, (IDS,)).module()(IDS), expected)
    torch.testing.assert_close(torch.fx.symbolic_trace(model)(IDS), expected)
    loss = lambda weights: torch.func.functional_call(model, weights, (IDS,)).square().sum()  # noqa: E731
    grads = torch.func.grad(loss)(dict(model.named_parameters()))
    expected.square().sum().backward()
    torch.testing.assert_close(grads["table.w1"], model.table.w1.grad)


WRITES = {
    "attribute": lambda table: setattr(table, "weight", nn.Parameter(torch.zeros(N, D))),
    "data": lambda table: setattr(table.weight, "data", torch.zeros(N, D)),
    "data.copy_": lambda table: table.weight.data.copy_(torch.zeros(N, D)),
    "data.uniform_": lambda table: table.weight.data.uniform_(-1, 1),
    "row": lambda table: table.weight.data.__setitem__(0, 1.0),
    "view": lambda table: table.weight.view(-1)[:3].zero_(),
    "chunk": lambda table: table.weight.chunk(2)[0].zero_(),
    "iterated": lambda table: next(iter(table.weight)).zero_(),
    "init": lambda table: nn.init.xavier_uniform_(table.weight),
    "+=": lambda table: table.weight.detach().__iadd__(1),
    "out=": lambda table: torch.add(torch.zeros(N, D), 1, out=table.weight.detach()),
    "inplace=": lambda table: F.relu(table.weight, inplace=True),
    "foreach": lambda table: torch._foreach_add_([table.weight.detach()], 1.0),
    "frozen": lambda table: table.weight.requires_grad_(False),
    "frozen by attribute": lambda table: setattr(table.weight, "requires_grad", False),
    "a parameter of it": lambda table: nn.Parameter(table.weight.data),  # as tables are tied
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("kind", [MLETEmbedding, MLETEmbeddingBag])
def test_writing_to_the_weight_is_refused(kind, write):
    layer = kind(N, D, K, generator=rng())
    with pytest.raises(BenchError, match="cannot be written to: change the table's w1 and w2"), torch.no_grad():
        write(layer)


def test_what_only_a_parameter_has_is_refused():
    layer = MLETEmbedding(N, D, K, generator=rng())
    with pytest.raises(BenchError, match=r"w1\.grad and w2\.grad"):
        _ = layer.weight.grad
    with pytest.raises(BenchError, match="register it on the table's w1 and w2"):
        layer.weight.register_hook(lambda gradient: gradient)
    kept = layer.weight
    kept.retain_grad()
    kept.sum().backward()
    assert kept.grad.eq(1).all()


def test_the_weight_may_be_the_source_of_a_write():
    layer, target = MLETEmbedding(N, D, K, generator=rng()), torch.zeros(N, D)
    target += layer.weight.detach()
    target.data.copy_(layer.weight)
    target[0] = layer.weight.detach()[0]
    assert torch.equal(target, layer.weight)


# Sparse gradients.


SPARSE_AND_DENSE = {
    "SGD": [torch.optim.SGD] * 2,
    "Adagrad": [torch.optim.Adagrad] * 2,
    # With torch's epsilon, which the two add at different places, they would differ.
    "Adam": [partial(torch.optim.SparseAdam, eps=1e-14), partial(torch.optim.Adam, eps=1e-14)],
}


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("kinds", SPARSE_AND_DENSE.values(), ids=SPARSE_AND_DENSE)
def test_optimizers_for_sparse_gradients_train_a_sparse_table_as_a_dense_one(kinds):
    results = []
    for sparse, make in zip((True, False), kinds):
        layer = MLETEmbedding(N, D, K, sparse=sparse, generator=rng())
        optimizer = make(layer.parameters(), lr=0.05)
        for _ in range(5):
            optimizer.zero_grad()
            (layer(torch.arange(N)) - 1).square().mean().backward()
            optimizer.step()
        results.append([layer.w1, layer.w2])
    torch.testing.assert_close(*results, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(results[0][1], MLETEmbedding(N, D, K, generator=rng()).w2)
