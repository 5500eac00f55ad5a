"""How a step reads its rows and writes them back: in plain torch, or with the CPU's kernels."""

import torch
from torch import Tensor

from mlet_bench import kernels
from mlet_bench.training.pack import Pack
from mlet_bench.training.rows import RowAdagrad, RowSGD


class RowLookup:
    """Gathers rows; autograd takes the gradient with respect to them, through W2 where there is one.

    Attributes:
        trained: the pack's parameters whose gradient autograd takes, besides that of what ``gather`` gives.
    """

    def __init__(self, pack: Pack, optimizer: RowSGD | RowAdagrad):
        self.pack, self.optimizer, self.trained = pack, optimizer, pack.trained

    def gather(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """What the step is differentiated by, (S, F, B, width), and what ``update`` needs besides. ids: (S, B, F)."""
        index = self.pack.row_index(ids)  # (S·F·B,)
        return self.pack.rows(index), index

    def logits(self, dense: Tensor, rows: Tensor) -> Tensor:
        """Logits of each model on its own batch. dense: (S, B, D), rows: of ``gather`` → (S, B)."""
        return self.pack.logits(dense, rows)

    def update(self, index: Tensor, grad: Tensor) -> list[Tensor]:
        """Update the rows in place; the gradients of ``pack.trained`` that come before those of ``trained``: none."""
        self.optimizer.update(index, grad.reshape(-1, grad.shape[-1]))
        return []


class VectorLookup:
    """Of one model with SGD on a CPU: rows and product in one kernel, and so their gradients and the rows' update.

    The step is differentiated by the embedding vectors, d values a field instead of k, and ids that a batch repeats
    are multiplied once.
    """

    def __init__(self, pack: Pack, optimizer: RowSGD):
        self.model, self.optimizer = pack.models[0], optimizer
        embedding = self.model.embedding
        w2 = getattr(embedding, "w2", None)
        self._w2, self._train_w2 = None if w2 is None else w2.detach(), w2 is not None and w2.requires_grad
        self._starts = torch.tensor((0, *embedding.table_sizes)).cumsum(0)
        self.trained = [parameter for parameter in pack.trained if parameter is not w2]

    @staticmethod
    def fits(pack: Pack, optimizer: RowSGD | RowAdagrad) -> bool:
        """Whether the kernels can do this."""
        embedding = pack.models[0].embedding
        return len(pack) == 1 and type(optimizer) is RowSGD and kernels.supported(pack.weight, embedding.embedding_dim)

    def gather(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The embedding vectors (B, F, d), and the ids of one model, (B, F). ids: (1, B, F)."""
        ids = ids.squeeze(0).int().contiguous()
        return kernels.lookup(self.optimizer.weight, self._w2, ids, self._starts), ids

    def logits(self, dense: Tensor, vectors: Tensor) -> Tensor:
        """dense: (1, B, D), vectors: of ``gather`` → (1, B)."""
        # squeeze, not [0]: the gradient of an element is a tensor of zeros with the element copied in.
        return self.model.head(dense.squeeze(0), vectors).unsqueeze(0)

    def update(self, ids: Tensor, grad: Tensor) -> list[Tensor]:
        """Update the rows in place; the gradient of W2, where it is trained. grad: (B, F, d)."""
        weight, lr = self.optimizer.weight, self.optimizer.lr
        grad_w2 = kernels.lookup_sgd(weight, self._w2, ids, self._starts, grad, lr, self._train_w2)
        return [] if grad_w2 is None else [grad_w2]


def make_lookup(pack: Pack, optimizer: RowSGD | RowAdagrad) -> RowLookup | VectorLookup:
    """The fastest lookup for the pack's device, optimizer and number of models."""
    return (VectorLookup if VectorLookup.fits(pack, optimizer) else RowLookup)(pack, optimizer)
