"""Optimizers of table rows: only the rows of the batch are read and written, no dense gradient is ever made."""

import torch
from torch import Tensor

from mlet_bench.errors import BenchError


class RowSGD:
    """w -= lr · g for each gathered row.

    Rows that occur several times in a batch need no merging: SGD is linear in the gradient, so adding each
    occurrence's gradient in turn is exact.
    """

    def __init__(self, weight: Tensor, lr: float):
        self.weight, self.lr = weight, lr

    @torch.no_grad()
    def update(self, index: Tensor, grad: Tensor) -> None:
        """index: (M,) rows of ``weight``, repeats allowed; grad: (M, width)."""
        self.weight.index_add_(0, index, grad, alpha=-self.lr)

    def state_dict(self) -> dict[str, Tensor]:
        """Nothing: plain SGD has no state."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up a stored state."""


class RowAdagrad:
    """Element-wise Adagrad (Duchi et al. 2011) on the gathered rows, as torch.optim.Adagrad on sparse gradients.

    s += g², w -= lr · g / (sqrt(s) + eps), with g the sum over a row's occurrences in the batch.
    """

    def __init__(self, weight: Tensor, lr: float, eps: float = 1e-10):
        self.weight, self.lr, self.eps = weight, lr, eps
        self.sum = torch.zeros_like(weight, requires_grad=False)

    @torch.no_grad()
    def update(self, index: Tensor, grad: Tensor) -> None:
        """index: (M,) rows of ``weight``, repeats allowed; grad: (M, width)."""
        unique, position = index.unique(return_inverse=True)
        total = grad.new_zeros(len(unique), grad.shape[1]).index_add_(0, position, grad)  # (U, width)
        accumulated = self.sum.index_select(0, unique).addcmul_(total, total)
        self.sum.index_copy_(0, unique, accumulated)
        self.weight.index_add_(0, unique, total / (accumulated.sqrt_() + self.eps), alpha=-self.lr)

    def state_dict(self) -> dict[str, Tensor]:
        """The accumulated squares, (sum n, width)."""
        return {"sum": self.sum}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up a stored state."""
        self.sum.copy_(state["sum"])


OPTIMIZERS = {"sgd": (RowSGD, torch.optim.SGD), "adagrad": (RowAdagrad, torch.optim.Adagrad)}


def build_optimizers(name: str, weight: Tensor, dense: list[Tensor], row_lr: float, lr: float):
    """The row optimizer of the tables and the torch optimizer of everything else.

    Raises:
        BenchError: the optimizer does not exist.
    """
    if name not in OPTIMIZERS:
        raise BenchError(f"unknown optimizer {name!r}: the optimizers are {', '.join(OPTIMIZERS)}")
    rows, others = OPTIMIZERS[name]
    return rows(weight, row_lr), others(dense, lr=lr, foreach=True)
