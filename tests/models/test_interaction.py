"""The interaction by hand, and its backward pass against finite differences and autograd."""

import torch

from mlet_bench.models.interaction import Interaction


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)


def plain(bottom, vectors):
    """The definition, through autograd alone."""
    stacked = torch.cat([bottom.unsqueeze(1), vectors], dim=1)
    pairs = [(stacked[:, i] * stacked[:, j]).sum(1) for i in range(stacked.shape[1]) for j in range(i)]
    return torch.cat([bottom, torch.stack(pairs, 1)], dim=1)


def test_by_hand():
    bottom = torch.tensor([[1.0, 2.0]])
    vectors = torch.tensor([[[3.0, -1.0], [0.5, 4.0]]])
    # Z[1,0] = 3 - 2 = 1, Z[2,0] = 0.5 + 8 = 8.5, Z[2,1] = 1.5 - 4 = -2.5
    assert Interaction(3)(bottom, vectors).tolist() == [[1.0, 2.0, 1.0, 8.5, -2.5]]


def test_gradient_by_finite_differences():
    assert torch.autograd.gradcheck(Interaction(4), (random(2, 3), random(2, 3, 3)))


def test_values_and_gradients_are_autograds():
    results = []
    for function in (Interaction(6), plain):
        bottom, vectors = random(7, 4), random(7, 5, 4)
        value = function(bottom, vectors)
        (value * torch.arange(value.numel()).view_as(value)).sum().backward()
        results.append((value, bottom.grad, vectors.grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_batched_over_models():
    layer, bottom, vectors = Interaction(4), random(5, 2, 3), random(5, 2, 3, 3)
    batched = torch.vmap(layer)(bottom, vectors)
    torch.testing.assert_close(batched, torch.stack([layer(*one) for one in zip(bottom, vectors, strict=True)]))
