"""DLRM (Naumov et al., arXiv 1906.00091) as facebookresearch/dlrm trains it on Criteo-Kaggle."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mlet_bench.embeddings import FieldTables
from mlet_bench.models.interaction import Interaction
from mlet_bench.models.mlp import MLP


class DLRM(nn.Module):
    """Bottom MLP over the dense features, pairwise dot products with the embeddings, top MLP to one logit.

    Args:
        embedding: gives (B, F, d) vectors for (B, F) ids.
        num_dense: number of dense features.
        bottom, top: hidden widths; the bottom MLP ends in d (ReLU), the top MLP in one logit, whose sigmoid is the
            predicted click probability.
        generator: draws the MLPs' initial values.

    Example::

        model = DLRM(SingleTables([1460, 583], 16), 13, (256, 64), (512, 256), torch.Generator())
        logits = model(dense, ids)  # (B, 13), (B, 2) → (B,)
    """

    def __init__(
        self,
        embedding: FieldTables,
        num_dense: int,
        bottom: Sequence[int],
        top: Sequence[int],
        generator: torch.Generator,
    ):
        super().__init__()
        d, vectors = embedding.embedding_dim, len(embedding.table_sizes) + 1
        self.embedding = embedding
        self.bottom = MLP([num_dense, *bottom, d], generator, last_relu=True)
        self.top = MLP([d + vectors * (vectors - 1) // 2, *top, 1], generator, last_relu=False)
        self.interaction = Interaction(vectors)

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        """Logits. dense: (B, D) float, ids: (B, F) int → (B,)."""
        return self.head(dense, self.embedding(ids))

    def head(self, dense: Tensor, vectors: Tensor) -> Tensor:
        """Everything above the embeddings. dense: (B, D), vectors: (B, F, d) → logits (B,)."""
        return self.top(self.interaction(self.bottom(dense), vectors)).squeeze(1)
