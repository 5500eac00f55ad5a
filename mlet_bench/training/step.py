"""One optimisation step, the whole of it."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from mlet_bench.errors import BenchError
from mlet_bench.spec import RunSpec
from mlet_bench.training.dense import DenseAdagrad, DenseSGD
from mlet_bench.training.lookup import make_lookup
from mlet_bench.training.pack import Pack
from mlet_bench.training.rows import RowAdagrad, RowSGD

OPTIMIZERS = {"sgd": (RowSGD, DenseSGD), "adagrad": (RowAdagrad, DenseAdagrad)}


class TrainStep:
    """Forward, loss, backward, dense update, and the row update in place, of every model of a pack.

    The loss is binary cross-entropy, mean over the batch. The gradient is taken with respect to the gathered rows
    (S, F, B, width), or to the embedding vectors (``mlet_bench.training.lookup``), so a step touches F·B rows of a
    model's tables and nothing else of them. On a GPU no shape and no branch depends on a value, so the whole can be
    captured in a CUDA graph.

    Args:
        spec: of any model of the pack; they differ in their seed alone.

    Raises:
        BenchError: the optimizer does not exist.

    Example::

        step = TrainStep(build_pack([spec], schema, device), spec)
        loss = step(dense, ids, label)  # (1, B, D), (1, B, F), (1, B) → (1,), on the device
    """

    def __init__(self, pack: Pack, spec: RunSpec):
        if spec.optimizer not in OPTIMIZERS:
            raise BenchError(f"unknown optimizer {spec.optimizer!r}: the optimizers are {', '.join(OPTIMIZERS)}")
        rows, dense = OPTIMIZERS[spec.optimizer]
        self.pack = pack
        self.row_optimizer = rows(pack.weight, spec.embedding_lr)
        self.dense_optimizer = dense(pack.trained, spec.lr)
        self.lookup = make_lookup(pack, self.row_optimizer)

    def __call__(self, dense: Tensor, ids: Tensor, label: Tensor) -> Tensor:
        """Train each model on its batch and return the mean losses (S,), detached and not yet synchronised."""
        lookup = self.lookup
        gathered, place = lookup.gather(ids)
        logits = lookup.logits(dense, gathered.requires_grad_())  # (S, B)
        with torch.no_grad():
            # Cross-entropy is softplus(z) - y z, exact to rounding with a threshold of 40; with its gradient written
            # out that is fewer operations than by autograd.
            losses = torch.addcmul(softplus(logits, threshold=40), label, logits, value=-1).mean(1)  # (S,)
            slope = torch.sigmoid(logits).sub_(label).div_(label.shape[1])  # (S, B)
        grad, *grads = torch.autograd.grad(logits, [gathered, *lookup.trained], slope)
        grads = lookup.update(place, grad) + grads
        self.dense_optimizer.update(grads)
        return losses

    def state_dict(self, number: int) -> dict:
        """State of both optimizers for one model of the pack."""
        return {
            "rows": {name: self._part(whole, number) for name, whole in self.row_optimizer.state().items()},
            "dense": {
                name: [self._slice(stack, number) for stack in stacks]
                for name, stacks in self.dense_optimizer.state().items()
            },
        }

    @torch.no_grad()
    def load_state_dict(self, number: int, state: dict) -> None:
        """Take up a stored state for one model of the pack."""
        mine = self.state_dict(number)
        for name, value in state["rows"].items():
            mine["rows"][name].copy_(value)
        for name, values in state["dense"].items():
            for target, value in zip(mine["dense"][name], values, strict=True):
                target.copy_(value)

    def _part(self, tables: Tensor, number: int) -> Tensor:
        """One model's rows: a view."""
        return tables.view(len(self.pack), -1, tables.shape[1])[number]

    def _slice(self, stack: Tensor, number: int) -> Tensor:
        return stack if len(self.pack) == 1 else stack[number]
