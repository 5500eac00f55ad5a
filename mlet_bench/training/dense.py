"""Optimizers of everything but the tables: one multi-tensor call an operation, no copies, no host work per parameter.

They do what torch.optim's optimizers of the same names do, without momentum, decay or a count of steps; theirs spend
more host time per step than the updates take, and their step count keeps Adagrad out of a CUDA graph.
"""

from typing import Any

import torch
from torch import Tensor

_foreach: Any = torch  # its operators on lists are not declared


class DenseSGD:
    """w -= lr · g."""

    def __init__(self, parameters: list[Tensor], lr: float):
        self.parameters, self.lr = parameters, lr

    @torch.no_grad()
    def update(self, grads: list[Tensor]) -> None:
        """grads: shaped as the parameters."""
        _foreach._foreach_add_(self.parameters, grads, alpha=-self.lr)

    def state(self) -> dict[str, list[Tensor]]:
        """Nothing: plain SGD has no state."""
        return {}


class DenseAdagrad:
    """s += g², w -= lr · g / (sqrt(s) + eps) (Duchi et al. 2011), with torch.optim.Adagrad's defaults."""

    def __init__(self, parameters: list[Tensor], lr: float, eps: float = 1e-10):
        self.parameters, self.lr, self.eps = parameters, lr, eps
        self.sums = [torch.zeros_like(parameter, requires_grad=False) for parameter in parameters]
        # torch's operator wants a count of steps, which counts for nothing where the rate does not decay.
        self._step = torch.ones(())

    @torch.no_grad()
    def update(self, grads: list[Tensor]) -> None:
        """grads: shaped as the parameters."""
        if packed(self.parameters) and packed(grads):
            steps = [self._step] * len(self.parameters)
            rate = {"lr": self.lr, "lr_decay": 0.0, "weight_decay": 0.0, "eps": self.eps, "maximize": False}
            _foreach._fused_adagrad_(self.parameters, grads, self.sums, steps, **rate)
            return
        _foreach._foreach_addcmul_(self.sums, grads, grads)
        scale = _foreach._foreach_sqrt(self.sums)
        _foreach._foreach_add_(scale, self.eps)
        _foreach._foreach_addcdiv_(self.parameters, grads, scale, value=-self.lr)

    def state(self) -> dict[str, list[Tensor]]:
        """The accumulated squares, shaped as the parameters; the tensors themselves."""
        return {"sums": self.sums}


def packed(tensors: list[Tensor]) -> bool:
    """Whether torch's fused operator may take them: on a CPU it makes one pass over memory instead of four, and reads
    each tensor as if it were contiguous, which those of a pack are not.
    """
    return all(tensor.device.type == "cpu" and tensor.is_contiguous() for tensor in tensors)
