"""The fast MLP is the plain one: same values, same gradients, same names; its initial law."""

import pytest
import torch
from torch import nn
from torch.func import functional_call

from mlet_bench.embeddings.draw import Draws
from mlet_bench.models import mlp
from mlet_bench.models.mlp import MLP


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_initial_law():
    layer = MLP([400, 300], Draws(0), last_relu=True)[0]
    assert layer.weight.var().item() == pytest.approx(2 / 700, rel=0.02)
    assert MLP([1, 20_000], Draws(0), last_relu=True)[0].bias.var().item() == pytest.approx(1 / 20_000, rel=0.05)


def test_names_are_those_of_a_sequential():
    layers = [nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)]
    nn.Sequential(*layers).load_state_dict(MLP([3, 5, 2], Draws(0), last_relu=False).state_dict(), strict=True)


@pytest.mark.parametrize("rows", [1, 3, 128])
@pytest.mark.parametrize("last_relu", [True, False])
@pytest.mark.parametrize("widths", [(200, 100), (367, 512, 256, 1), (13, 256, 64, 16)])
def test_values_and_gradients_are_the_plain_ones(rows, last_relu, widths):
    x, results = torch.randn(rows, widths[0], generator=rng(1)), []
    weights = torch.randn(rows, widths[-1], generator=rng(2))
    for plain in (True, False):
        model, given = MLP(widths, Draws(0), last_relu), x.clone().requires_grad_()
        model.plain = plain
        value = model(given)
        (value * weights).sum().backward()
        results.append([value.detach(), given.grad, *(parameter.grad for parameter in model.parameters())])
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("last_relu", [True, False])
@pytest.mark.parametrize("shared", [True, False], ids=["one input", "an input each"])
def test_of_a_pack_each_has_its_own_values_and_gradients(shared, last_relu):
    models = [MLP((20, 12, 3), Draws(seed), last_relu) for seed in range(3)]
    stacks = {
        name: torch.stack([model.get_parameter(name).detach() for model in models]).requires_grad_()
        for name in models[0].state_dict()
    }
    x, weights = torch.randn(3, 5, 20, generator=rng(1)).requires_grad_(), torch.randn(3, 5, 3, generator=rng(2))
    together = torch.vmap(
        lambda parameters, x: functional_call(models[0], parameters, (x,)), in_dims=(0, None if shared else 0)
    )
    value = together(stacks, x[0] if shared else x)
    grads = torch.autograd.grad((value * weights).sum(), [x, *stacks.values()])
    of_x = torch.zeros_like(x)
    for number, model in enumerate(models):
        model.plain, given = True, x[0 if shared else number]
        alone = model(given)
        torch.testing.assert_close(value[number], alone)
        expected = torch.autograd.grad((alone * weights[number]).sum(), [x, *model.parameters()])
        of_x += expected[0]
        for grad, known in zip(grads[1:], expected[1:], strict=True):
            torch.testing.assert_close(grad[number], known)
    torch.testing.assert_close(grads[0], of_x)


def test_no_gradient_is_taken_where_none_is_asked():
    model = MLP((200, 100, 1), Draws(0), False)
    model(torch.randn(4, 200)).sum().backward()  # the input is data
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_only_float32_that_is_not_plain_takes_the_fast_path(monkeypatch):
    calls = []
    product = mlp.product
    monkeypatch.setattr(mlp, "product", lambda *inputs: calls.append(inputs) or product(*inputs))
    model = MLP((200, 100), Draws(0), False)
    model(torch.randn(2, 200))
    assert len(calls) == 1
    model.double()(torch.randn(2, 200, dtype=torch.float64))
    model.float().plain = True
    model(torch.randn(2, 200))
    assert len(calls) == 1


def test_without_the_operator_torchs_own_products_are_taken(monkeypatch):
    monkeypatch.setattr(mlp, "HAS_ONEDNN", False)
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", None, raising=False)
    model, x = MLP((200, 100), Draws(0), False), torch.randn(5, 200)
    assert torch.equal(model(x), nn.functional.linear(x, model[0].weight, model[0].bias))


def test_the_gpus_operator_is_the_product_with_a_relu():
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(*shape, generator=generator) for shape in ((8, 5), (7, 5), (7,)))
    assert torch.allclose(mlp._with_relu(bias, x, weight.t()), (x @ weight.t() + bias).relu())
