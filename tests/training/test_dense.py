"""The optimizers of everything but the tables are torch's, whichever way their tensors lie in memory."""

import pytest
import torch

from mlet_bench.training.dense import DenseAdagrad, DenseSGD, packed


def tensors(transposed):
    """Two of some shape; those of a pack lie in memory column by column."""
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(*shape, dtype=torch.float64, generator=generator) for shape in ((3, 4, 5), (3, 5))]
    return [one.mT.contiguous().mT if transposed and one.ndim == 3 else one for one in made]


@pytest.mark.parametrize("of_gradients", [False, True])
@pytest.mark.parametrize("of_parameters", [False, True])
@pytest.mark.parametrize("name", ["SGD", "Adagrad"])
def test_steps_are_torchs(name, of_parameters, of_gradients):
    ours, theirs = tensors(of_parameters), [one.clone().requires_grad_() for one in tensors(of_parameters)]
    step = {"SGD": DenseSGD, "Adagrad": DenseAdagrad}[name](ours, 0.1)
    optimizer = getattr(torch.optim, name)(theirs, lr=0.1)
    assert packed(ours) is not of_parameters
    for number in range(3):
        grads = [one + number for one in tensors(of_gradients)]
        step.update(grads)
        for one, grad in zip(theirs, grads, strict=True):
            one.grad = grad.clone()
        optimizer.step()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other.detach(), rtol=1e-12, atol=1e-12)
