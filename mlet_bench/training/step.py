"""One optimisation step, the whole of it."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from mlet_bench.spec import RunSpec
from mlet_bench.training.rows import build_optimizers


class TrainStep:
    """Forward, loss, backward, dense update, and the row update in place.

    The loss is binary cross-entropy, mean over the batch. The gradient is taken with respect to the gathered rows
    (F, B, width), so a step touches F·B rows of the tables and nothing else of them.

    Example::

        step = TrainStep(model, spec)
        loss = step(dense, ids, label)  # (B, D), (B, F), (B,) → scalar, on the device
    """

    def __init__(self, model: nn.Module, spec: RunSpec):
        self.model = model
        tables = model.embedding.weight
        dense = [p for p in model.parameters() if p is not tables and p.requires_grad]
        optimizers = build_optimizers(spec.optimizer, tables, dense, spec.embedding_lr, spec.lr)
        self.row_optimizer, self.dense_optimizer = optimizers

    def __call__(self, dense: Tensor, ids: Tensor, label: Tensor) -> Tensor:
        """Train on one batch and return its mean loss, detached and not yet synchronised."""
        embedding = self.model.embedding
        index = embedding.row_index(ids)  # (F·B,)
        with torch.no_grad():
            rows = embedding.rows(index)  # (F, B, width)
        rows.requires_grad_()
        loss = binary_cross_entropy_with_logits(self.model.head(dense, embedding.project(rows)), label)
        loss.backward()
        self.dense_optimizer.step()
        self.dense_optimizer.zero_grad()
        self.row_optimizer.update(index, rows.grad.flatten(0, 1))
        return loss.detach()

    def state_dict(self) -> dict:
        """State of both optimizers."""
        return {"dense": self.dense_optimizer.state_dict(), "rows": self.row_optimizer.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        """Take up a stored state."""
        self.dense_optimizer.load_state_dict(state["dense"])
        self.row_optimizer.load_state_dict(state["rows"])
