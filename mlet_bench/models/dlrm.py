"""DLRM (Naumov et al., arXiv 1906.00091) as facebookresearch/dlrm trains it on Criteo-Kaggle."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from mlet_bench.embeddings import FieldTables
from mlet_bench.models.linear import Linear


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
        self.bottom = mlp([num_dense, *bottom, d], generator, last_relu=True)
        self.top = mlp([d + vectors * (vectors - 1) // 2, *top, 1], generator, last_relu=False)
        i, j = torch.tril_indices(vectors, vectors, offset=-1)  # j < i, row by row
        self.register_buffer("pairs", i * vectors + j, persistent=False)  # (pairs,) positions in a flattened matrix

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        """Logits. dense: (B, D) float, ids: (B, F) int → (B,)."""
        return self.head(dense, self.embedding(ids))

    def head(self, dense: Tensor, vectors: Tensor) -> Tensor:
        """Everything above the embeddings. dense: (B, D), vectors: (B, F, d) → logits (B,)."""
        return self.top(self.interact(self.bottom(dense), vectors)).squeeze(1)

    def interact(self, bottom: Tensor, vectors: Tensor) -> Tensor:
        """[bottom, Z[i, j] for i, for j < i], Z the dot products of [bottom, field 1, ..., field F].

        bottom: (B, d), vectors: (B, F, d) → (B, d + (F+1)F/2).
        """
        stacked = torch.cat([bottom.unsqueeze(1), vectors], dim=1)  # (B, F+1, d)
        products = torch.bmm(stacked, stacked.transpose(1, 2))  # (B, F+1, F+1)
        return torch.cat([bottom, products.flatten(1).index_select(1, self.pairs)], dim=1)


def mlp(widths: Sequence[int], generator: torch.Generator, last_relu: bool) -> nn.Sequential:
    """Linear layers with ReLU between them; W ~ N(0, 2/(in+out)), b ~ N(0, 1/out) (facebookresearch/dlrm)."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layer = nn.utils.skip_init(Linear, fan_in, fan_out)
        with torch.no_grad():
            layer.weight.normal_(0.0, (2 / (fan_in + fan_out)) ** 0.5, generator=generator)
            layer.bias.normal_(0.0, (1 / fan_out) ** 0.5, generator=generator)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*(layers if last_relu else layers[:-1]))
