"""Optimizers of table rows: only the rows of the batch are read and written, no dense gradient is ever made."""

import torch
from torch import Tensor


def add_rows(weight: Tensor, index: Tensor, values: Tensor) -> None:
    """weight[index] += values, repeats allowed. weight: (n, width), index: (M,) int64, values: (M, width)."""
    if weight.device.type == "cpu":
        # With an index expanded over the columns torch sorts the rows and adds them in parallel; its index_add_ walks
        # them one by one, 3 to 5 times slower at M = 3,328.
        weight.scatter_add_(0, index.unsqueeze(1).expand_as(values), values)
    else:
        weight.index_add_(0, index, values)


class RowSGD:
    """w -= lr · g for each gathered row.

    Rows that occur several times in a batch need no merging: SGD is linear in the gradient, so adding each
    occurrence's gradient in turn is exact.
    """

    state_per_value = 0

    def __init__(self, weight: Tensor, lr: float):
        self.weight, self.lr = weight, lr

    @torch.no_grad()
    def update(self, index: Tensor, grad: Tensor) -> None:
        """index: (M,) rows of ``weight``, repeats allowed; grad: (M, width), which may be overwritten."""
        add_rows(self.weight, index, grad.mul_(-self.lr))

    def state(self) -> dict[str, Tensor]:
        """Nothing: plain SGD has no state."""
        return {}


class RowAdagrad:
    """Element-wise Adagrad (Duchi et al. 2011) on the gathered rows, as torch.optim.Adagrad on sparse gradients.

    s += g², w -= lr · g / (sqrt(s) + eps), with g the sum over a row's occurrences in the batch.
    """

    state_per_value = 1

    def __init__(self, weight: Tensor, lr: float, eps: float = 1e-10):
        self.weight, self.lr, self.eps = weight, lr, eps
        self.sum = torch.zeros_like(weight, requires_grad=False)

    @torch.no_grad()
    def update(self, index: Tensor, grad: Tensor) -> None:
        """index: (M,) rows of ``weight``, repeats allowed; grad: (M, width).

        Every shape follows from M alone, never from the number of distinct rows, so that the host need not wait for
        the device and a CUDA graph can hold it.
        """
        rows, perm = index.sort()
        first = torch.ones_like(rows, dtype=torch.bool)
        torch.ne(rows[1:], rows[:-1], out=first[1:])
        place = first.cumsum(0) - 1  # (M,) 0, 0, 1, ...: which distinct row
        total = torch.zeros_like(grad)  # (M, width), zeros beyond the last distinct row
        add_rows(total, place, grad.index_select(0, perm))
        # Places beyond the last distinct row get the smallest one's index, and add 0 to it.
        distinct = rows[0].expand_as(rows).scatter(0, place, rows)
        add_rows(self.sum, distinct, total.square())
        scale = self.sum.index_select(0, distinct).sqrt_().add_(self.eps)
        add_rows(self.weight, distinct, total.div_(scale).mul_(-self.lr))

    def state(self) -> dict[str, Tensor]:
        """The accumulated squares, shaped as the tables; the tensor itself."""
        return {"sum": self.sum}
