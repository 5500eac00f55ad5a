"""Optimizers of table rows: only the rows of the batch are read and written, no dense gradient is ever made."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlet_bench.embeddings.base import FieldTables


def add_rows(weight: Tensor, index: Tensor, values: Tensor, alpha: float = 1.0) -> None:
    """weight[index] += alpha · values, repeats allowed.

    weight: (n, width); index: (M,) int64; values: (M, width), which may be overwritten unless alpha is 1.
    """
    if weight.device.type == "cpu":
        # With an index expanded over the columns torch sorts the rows and adds them in parallel; its index_add_ walks
        # them one by one, 3 to 5 times slower at M = 3,328.
        weight.scatter_add_(0, index.unsqueeze(1).expand_as(values), values if alpha == 1 else values.mul_(alpha))
    else:
        weight.index_add_(0, index, values, alpha=alpha)


class _RowOptimizer:
    """What both have in common.

    Args:
        weight: (S · R, width), R rows a model.
        lr: of all models, or of each.
        scale: (R,) factors of the rows' learning rates.

    Attributes:
        lr: where the models share it, else 1.
        rates: (S,) where they do not, else None.
    """

    def __init__(self, weight: Tensor, lr: float | Sequence[float], scale: Tensor | None = None):
        self.weight, self.scale = weight, scale
        of_each = list(lr) if isinstance(lr, Sequence) else [lr]
        shared = len(set(of_each)) == 1
        self.lr = of_each[0] if shared else 1.0
        self.rates = None if shared else torch.tensor(of_each, device=weight.device)

    def _scaled(self, change: Tensor, index: Tensor) -> Tensor:
        """change (M, width) times the scale of each row, in place; ``index`` (M,) counts on through the models."""
        if self.scale is None:
            return change
        return change.mul_(self.scale.index_select(0, index % len(self.scale)).unsqueeze(1))


class RowSGD(_RowOptimizer):
    """w -= lr · g for each gathered row; lr times the row's ``scale`` (R,) where there is one, of R rows a model.

    Rows that occur several times in a batch need no merging: SGD is linear in the gradient, so adding each
    occurrence's gradient in turn is exact.
    """

    state_per_value = 0

    @torch.no_grad()
    def update(self, index: Tensor, grad: Tensor) -> None:
        """index: (M,) rows of ``weight``, model by model, repeats allowed; grad: (M, width), may be overwritten."""
        change = self._scaled(grad, index)
        if self.rates is not None:
            change.view(len(self.rates), -1).mul_(self.rates.unsqueeze(1))
        add_rows(self.weight, index, change, -self.lr)

    def state(self) -> dict[str, Tensor]:
        """Nothing: plain SGD has no state."""
        return {}


class RowAdagrad(_RowOptimizer):
    """Element-wise Adagrad (Duchi et al. 2011) on the gathered rows, as torch.optim.Adagrad on sparse gradients.

    s += g², w -= lr · g / (sqrt(s) + eps), with g the sum over a row's occurrences in the batch; lr times the row's
    ``scale``, as of ``RowSGD``.
    """

    state_per_value = 1

    def __init__(self, weight: Tensor, lr: float | Sequence[float], scale: Tensor | None = None, eps: float = 1e-10):
        super().__init__(weight, lr, scale)
        self.eps = eps
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
        # Places beyond the last distinct row keep the row that stood there, and add 0 to it: were all of them one row,
        # a GPU would add their zeros one after the other.
        distinct = rows.scatter(0, place, rows)
        add_rows(self.sum, distinct, total.square())
        root = self.sum.index_select(0, distinct).sqrt_().add_(self.eps)
        change = self._scaled(total.div_(root), distinct)
        if self.rates is not None:
            model = distinct // (len(self.weight) // len(self.rates))
            change.mul_(self.rates.index_select(0, model).unsqueeze(1))
        add_rows(self.weight, distinct, change, -self.lr)

    def state(self) -> dict[str, Tensor]:
        """The accumulated squares, shaped as the tables; the tensor itself."""
        return {"sum": self.sum}


@torch.no_grad()
def frequency_scale(tables: FieldTables, ids: Tensor, power: float) -> Tensor:
    """Learning rates of rows by how often training reads them: count^power, (R,) float32 over all fields' stored rows.

    In each field the mean over what training reads is 1, so that a look-up's step is on average what it was; a row that
    is never read has 1.

    Args:
        ids: (N, F) the training split.
    """
    counts = torch.zeros(sum(tables.stored), dtype=torch.int64, device=ids.device)
    for part in ids.split(2**20):
        counts += torch.bincount(tables.slots(part).flatten(), minlength=len(counts))
    scale = counts.clamp(min=1).double() ** power
    for mine, read in zip(scale.split(tables.stored), counts.split(tables.stored), strict=True):
        mine /= (mine * read).sum() / read.sum()
    return scale.where(counts > 0, torch.ones_like(scale)).float()
