"""How a step reads its rows and writes them back: by the plain path, or with kernels."""

import torch
from torch import Tensor

from mlet_bench import kernels
from mlet_bench.kernels import triton
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
    are multiplied once.
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
        one = tables.count == 1 and _named(tables, optimizer)
        return one and kernels.supported(tables.weight, tables.first.embedding_dim)

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


class TritonLookup:
    """Of the models of a pack on a GPU, as ``KernelLookup``: Triton's kernels, one launch in each direction."""

    combined = True

    def __init__(self, tables: PackedTables, optimizer: RowSGD | RowAdagrad):
        from mlet_bench.kernels.triton import lookup, update

        self._look_up, self._kernels, self._optimizer = lookup.lookup, update, optimizer
        weight, w2 = tables.weight, tables.parameters.get("w2")
        self.own = w2 if w2 is not None and w2.requires_grad else None
        self._weight = weight
        self._w2 = None if w2 is None else w2.detach().view(tables.count, *w2.shape[-3:])  # (S, F, k, d)
        self._starts = torch.tensor((0, *tables.first.stored)).cumsum(0).to(weight.device)
        self._own_rows = tables.first.own_rows
        one_for_all = torch.full((tables.count,), optimizer.lr, device=weight.device)
        self._rates = one_for_all if optimizer.rates is None else optimizer.rates

    @staticmethod
    def fits(tables: PackedTables, optimizer: RowSGD | RowAdagrad, batch_size: int) -> bool:
        """Whether the kernels can do this."""
        small = tables.first.embedding_dim <= triton.MOST_DIM
        small &= isinstance(optimizer, RowSGD) or batch_size <= triton.MOST_BATCH
        return small and _named(tables, optimizer) and triton.wanted(tables.weight)

    def gather(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The embedding vectors (S, B, F, d), and the rows of each model's ids, (S, B, F). ids: (S, B, F)."""
        rows = self._own_rows(ids.flatten(0, 1)).view(ids.shape).int().contiguous()
        return self._look_up(self._weight, self._w2, rows, self._starts), rows

    def update(self, rows: Tensor, grad: Tensor) -> Tensor | None:
        """Update the rows in place; the gradient of W2, where it is trained. grad: (S, B, F, d)."""
        of_batch, trains = (self._w2, rows, self._starts, grad, self._rates), self.own is not None
        if isinstance(optimizer := self._optimizer, RowSGD):
            of_w2 = self._kernels.lookup_sgd(self._weight, *of_batch, trains)
        else:
            of_w2 = self._kernels.lookup_adagrad(self._weight, optimizer.sum, *of_batch, optimizer.eps, trains)
        return None if of_w2 is None or self.own is None else of_w2.view_as(self.own)


def _named(tables: PackedTables, optimizer: RowSGD | RowAdagrad) -> bool:
    """Whether kernels may take the place of the plain path: of an embedding whose class names ``kernel`` itself, as a
    subclass may define something else.
    """
    return vars(type(tables.first)).get("kernel", False) and optimizer.scale is None


Lookup = RowLookup | KernelLookup | TritonLookup


def make_lookup(tables: PackedTables, optimizer: RowSGD | RowAdagrad, batch_size: int) -> Lookup:
    """The fastest lookup for the method, the device, the optimizer, the number of models and the rows of a batch."""
    if TritonLookup.fits(tables, optimizer, batch_size):
        return TritonLookup(tables, optimizer)
    return (KernelLookup if KernelLookup.fits(tables, optimizer) else RowLookup)(tables, optimizer)
