"""How a step reads its rows and writes them back: by the plain path, or with the CPU's kernels."""

import torch
from torch import Tensor

from mlet_bench import kernels
from mlet_bench.training.pack import PackedTables
from mlet_bench.training.rows import RowAdagrad, RowSGD


class RowLookup:
    """The plain path of any method: gathers rows; autograd takes the gradient with respect to them.

    Attributes:
        combined: whether ``gather`` gives vectors; False: rows, which the method combines.
        own: a parameter other than the rows whose gradient ``update`` gives, or None.
    """

    combined, own = False, None

    def __init__(self, tables: PackedTables, optimizer: RowSGD | RowAdagrad):
        self.tables, self.optimizer = tables, optimizer

    def gather(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """What the step is differentiated by, (S, F, B, slots, width), and what ``update`` needs. ids: (S, B, F)."""
        slots = self.tables.slots(ids)
        index, weight = slots.flatten(), self.tables.weight
        return weight.index_select(0, index).view(*slots.shape, weight.shape[1]), index

    def update(self, index: Tensor, grad: Tensor) -> Tensor | None:
        """Update the rows in place; the gradient of ``own``: none."""
        self.optimizer.update(index, grad.reshape(-1, grad.shape[-1]))
        return None


class KernelLookup:
    """Of one model on a CPU: rows and product in one kernel, and so their gradients and the rows' update.

    The step is differentiated by the embedding vectors, d values a field instead of k, and ids that a batch repeats
    are multiplied once. Only a class that names ``cpu_kernel`` itself takes this path: a subclass may define something
    else.
    """

    combined = True

    def __init__(self, tables: PackedTables, optimizer: RowSGD | RowAdagrad):
        self.optimizer = optimizer
        w2 = getattr(tables.first, "w2", None)
        self.own = w2 if w2 is not None and w2.requires_grad else None
        self._w2 = None if w2 is None else w2.detach()
        self._starts, self._own_rows = torch.tensor((0, *tables.first.stored)).cumsum(0), tables.first.own_rows

    @staticmethod
    def fits(tables: PackedTables, optimizer: RowSGD | RowAdagrad) -> bool:
        """Whether the kernels can do this."""
        named = vars(type(tables.first)).get("cpu_kernel", False)
        plain = named and tables.count == 1 and optimizer.scale is None
        return plain and kernels.supported(tables.weight, tables.first.embedding_dim)

    def gather(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The embedding vectors (1, B, F, d), and the rows of one model's ids, (B, F). ids: (1, B, F)."""
        rows = self._own_rows(ids.squeeze(0)).int().contiguous()
        return kernels.lookup(self.optimizer.weight, self._w2, rows, self._starts).unsqueeze(0), rows

    def update(self, rows: Tensor, grad: Tensor) -> Tensor | None:
        """Update the rows in place; the gradient of W2, where it is trained. grad: (1, B, F, d)."""
        optimizer, trains = self.optimizer, self.own is not None
        of_batch = self._w2, rows, self._starts, grad.squeeze(0)
        if isinstance(optimizer, RowSGD):
            return kernels.lookup_sgd(optimizer.weight, *of_batch, optimizer.lr, trains)
        return kernels.lookup_adagrad(optimizer.weight, optimizer.sum, *of_batch, optimizer.lr, optimizer.eps, trains)


def make_lookup(tables: PackedTables, optimizer: RowSGD | RowAdagrad) -> RowLookup | KernelLookup:
    """The fastest lookup for the method, the device, the optimizer and the number of models."""
    if KernelLookup.fits(tables, optimizer):
        return KernelLookup(tables, optimizer)
    return RowLookup(tables, optimizer)
