"""Consecutive steps through an epoch: the data, the order and the place in it all lie on the device."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from mlet_bench.data.dataset import Rows
from mlet_bench.kernels import triton
from mlet_bench.training.step import TrainStep


class Steps:
    """Takes the batches of an epoch one after the other and trains on them; S runs, each in its own order.

    Args:
        rows: the training split, on the device of the pack.
        order_of: (S,) which order each run takes, where some share one; None: each its own.

    Attributes:
        order: (S or fewer, N) int32, the rows of an epoch in each order.

    Example::

        steps = Steps(step, rows, batch_size=128)
        steps.start([order], batch=0)
        steps.advance(1000)
        steps.take_losses()  # summed over the rows, of each run
    """

    def __init__(self, step: TrainStep, rows: Rows, batch_size: int, order_of: Sequence[int] | None = None):
        device, runs = rows.label.device, len(step.pack)
        self.step, self.rows, self.batch_size = step, rows, batch_size
        self._order_of = None if order_of is None else torch.tensor(order_of, device=device)
        orders = runs if order_of is None else max(order_of) + 1
        self.order = torch.empty(orders, len(rows), dtype=torch.int32, device=device)
        self._places = torch.arange(batch_size, device=device)  # (B,) of the next batch in the order
        self._losses = torch.zeros(runs, dtype=torch.float64, device=device)
        self._in_one_launch = triton.wanted(rows.dense)

    def start(self, orders: Iterable[Tensor], batch: int) -> None:
        """Begin an epoch, or continue it before its ``batch``-th batch. orders: each (N,) int."""
        for mine, order in zip(self.order, orders, strict=True):
            mine.copy_(order)
        self.seek(batch)

    def seek(self, batch: int) -> None:
        """Go to before the ``batch``-th batch of the epoch."""
        first = batch * self.batch_size
        torch.arange(first, first + self.batch_size, out=self._places)

    def advance(self, count: int) -> None:
        """Train on the next ``count`` full batches."""
        for _ in range(count):
            self._one()

    def advance_short(self) -> None:
        """Train on the last rows of the epoch, fewer than a batch."""
        self._train(*self._chosen(self.order[:, -(self.order.shape[1] % self.batch_size) :]))

    def take_losses(self) -> list[float]:
        """Each run's loss summed over the rows since the last call; waits for the device."""
        losses = self._losses.tolist()
        self._losses.zero_()
        return losses

    def _one(self) -> None:
        if self._in_one_launch:
            from mlet_bench.kernels.triton import batch

            rows = self.rows
            self._train(*batch.next_batch(self.order, self._order_of, self._places, rows.dense, rows.ids, rows.label))
            return
        self._train(*self._chosen(self.order.index_select(1, self._places)))
        self._places += self.batch_size

    def _chosen(self, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Dense features, ids and labels of each run's rows. chosen: (S or fewer, B) rows by order."""
        if self._order_of is not None:
            chosen = chosen.index_select(0, self._order_of)
        flat, shape = chosen.reshape(-1), (*chosen.shape, -1)
        dense, ids = (table.index_select(0, flat).view(shape) for table in (self.rows.dense, self.rows.ids))
        return dense, ids, self.rows.label.index_select(0, flat).view(chosen.shape)

    def _train(self, dense: Tensor, ids: Tensor, label: Tensor) -> None:
        """(S, B, D), (S, B, F), (S, B)."""
        self._losses.add_(self.step(dense, ids, label), alpha=label.shape[1])
