"""The layer on oneDNN is torch's linear layer: same values, same gradients, same names."""

import pytest
import torch
from torch import nn

from mlet_bench.models import linear
from mlet_bench.models.linear import Linear


def pair(inputs, outputs, dtype=torch.float32):
    torch.manual_seed(0)
    mine, theirs = Linear(inputs, outputs).to(dtype), nn.Linear(inputs, outputs).to(dtype)
    theirs.load_state_dict(mine.state_dict())
    return mine, theirs


@pytest.mark.parametrize("rows", [1, 3, 128])
@pytest.mark.parametrize(("inputs", "outputs"), [(200, 100), (367, 512), (13, 8)])
def test_values_and_gradients_are_torchs(rows, inputs, outputs):
    mine, theirs = pair(inputs, outputs)
    x = torch.randn(rows, inputs)
    inputs_of = [x.clone().requires_grad_() for _ in range(2)]
    results = [layer(value) for layer, value in zip((mine, theirs), inputs_of, strict=True)]
    weights = torch.randn(rows, outputs)
    for result in results:
        (result * weights).sum().backward()
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(inputs_of[0].grad, inputs_of[1].grad, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(mine.weight.grad, theirs.weight.grad, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(mine.bias.grad, theirs.bias.grad, rtol=1e-5, atol=1e-4)


@pytest.mark.skipif(not linear.HAS_ONEDNN, reason="this build of torch has no oneDNN operator")
def test_large_float32_layers_take_onednn_and_others_do_not(monkeypatch):
    calls = []
    product = linear._product
    monkeypatch.setattr(linear, "_product", lambda *inputs: calls.append(inputs) or product(*inputs))
    large, small, double = pair(200, 100)[0], pair(13, 8)[0], pair(200, 100, torch.float64)[0]
    small(torch.randn(2, 13)), double(torch.randn(2, 200, dtype=torch.float64))
    assert not calls
    large(torch.randn(2, 200))
    assert len(calls) == 1
    large.plain = True
    large(torch.randn(2, 200))
    assert len(calls) == 1


def test_without_the_operator_torchs_own_product_is_taken(monkeypatch):
    mine, theirs = pair(200, 100)
    monkeypatch.setattr(linear, "HAS_ONEDNN", False)
    x = torch.randn(5, 200)
    assert torch.equal(mine(x), theirs(x))
