"""One optimisation step, the whole of it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mlet_bench.errors import BenchError
from mlet_bench.spec import RunSpec
from mlet_bench.training.dense import DenseAdagrad, DenseSGD
from mlet_bench.training.lookup import make_lookup
from mlet_bench.training.loss import cross_entropy
from mlet_bench.training.pack import Pack
from mlet_bench.training.rows import RowAdagrad, RowSGD, frequency_scale

OPTIMIZERS = {"sgd": (RowSGD, DenseSGD), "adagrad": (RowAdagrad, DenseAdagrad)}


def optimizers(name: str) -> tuple[type, type]:
    """The optimizer of table rows and that of everything else.

    Raises:
        BenchError: there is none of that name.
    """
    if name not in OPTIMIZERS:
        raise BenchError(f"unknown optimizer {name!r}: the optimizers are {', '.join(OPTIMIZERS)}")
    return OPTIMIZERS[name]


class TrainStep:
    """Forward, loss, backward, dense update, and the row update in place, of every model of a pack.

    The loss is binary cross-entropy, mean or sum over the batch (``spec.loss``). The gradient is taken with respect to
    the gathered rows or to the embedding vectors (``mlet_bench.training.lookup``), so a step touches the rows of its
    batch and nothing else of a model's tables. On a GPU no shape and no branch depends on a value, so the whole can be
    captured in a CUDA graph.

    Args:
        spec: of any model of the pack, whose settings they share.
        train_ids: (N, F) the training split, for an arm whose rows have learning rates by frequency.
        rates: the learning rate of each model's embedding, where it is not that of ``spec``.

    Raises:
        BenchError: the optimizer does not exist.

    Example::

        step = TrainStep(build_pack([spec], schema, device), spec)
        loss = step(dense, ids, label)  # (1, B, D), (1, B, F), (1, B) → (1,), on the device
    """

    def __init__(
        self, pack: Pack, spec: RunSpec, train_ids: Tensor | None = None, rates: Sequence[float] | None = None
    ):
        rows, dense = optimizers(spec.optimizer)
        self.pack = pack
        self._mean = spec.loss == "mean"
        # An arm's step size is that of the embedding; a linear part has the model's.
        of_tables = {"embedding": rates or spec.embedding_lr}
        scales = {}
        if power := spec.settings.lr_frequency_power:
            if train_ids is None:
                raise BenchError(f"arm {spec.arm!r} scales learning rates by frequency: it needs the training split")
            scales["embedding"] = frequency_scale(pack.tables[0].first, train_ids, power)
        self.row_optimizers = [
            rows(tables.weight, of_tables.get(tables.name, spec.lr), scales.get(tables.name)) for tables in pack.tables
        ]
        self.dense_optimizer = dense(pack.trained, spec.lr)
        self.lookups = [
            make_lookup(*pair, spec.batch_size) for pair in zip(pack.tables, self.row_optimizers, strict=True)
        ]
        self._combined = [lookup.combined for lookup in self.lookups]
        own = [lookup.own for lookup in self.lookups if lookup.own is not None]
        self._by_autograd = [parameter for parameter in pack.trained if not any(parameter is one for one in own)]

    def __call__(self, dense: Tensor, ids: Tensor, label: Tensor) -> Tensor:
        """Train each model on its batch and return the mean losses (S,), detached and not yet synchronised."""
        gathered, places = zip(*(lookup.gather(ids) for lookup in self.lookups), strict=True)
        for part in gathered:
            part.requires_grad_()
        logits = self.pack.logits(dense, gathered, self._combined)  # (S, B)
        losses, slope = cross_entropy(logits, label, self._mean)
        # A model may leave something unused, logistic regression its vectors: its gradient is zero.
        grads = torch.autograd.grad(logits, [*gathered, *self._by_autograd], slope, materialize_grads=True)
        of_rows, rest = grads[: len(gathered)], iter(grads[len(gathered) :])
        own: dict[int, Any] = {
            id(lookup.own): lookup.update(place, grad)
            for lookup, place, grad in zip(self.lookups, places, of_rows, strict=True)
        }
        of_trained = [own[id(p)] if id(p) in own else next(rest) for p in self.pack.trained]
        self.dense_optimizer.update(
            [
                grad if still is None else grad.masked_fill(still, 0)
                for grad, still in zip(of_trained, self.pack.still, strict=True)
            ]
        )
        return losses

    def state_dict(self, number: int) -> dict:
        """State of all optimizers for one model of the pack."""
        return {
            "rows": [
                {name: self._part(whole, number) for name, whole in optimizer.state().items()}
                for optimizer in self.row_optimizers
            ],
            "dense": {
                name: [self._slice(stack, number) for stack in stacks]
                for name, stacks in self.dense_optimizer.state().items()
            },
        }

    @torch.no_grad()
    def load_state_dict(self, number: int, state: dict) -> None:
        """Take up a stored state for one model of the pack."""
        mine = self.state_dict(number)
        for ours, stored in zip(mine["rows"], state["rows"], strict=True):
            for name, value in stored.items():
                ours[name].copy_(value)
        for name, values in state["dense"].items():
            for target, value in zip(mine["dense"][name], values, strict=True):
                target.copy_(value)

    def _part(self, tables: Tensor, number: int) -> Tensor:
        """One model's rows: a view."""
        return tables.view(len(self.pack), -1, tables.shape[1])[number]

    def _slice(self, stack: Tensor, number: int) -> Tensor:
        return stack if len(self.pack) == 1 else stack[number]
