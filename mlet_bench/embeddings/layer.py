"""MLET for one table of anybody's PyTorch model."""

import torch
from torch import Tensor, nn

from mlet_bench.embeddings.mlet import PAPER_W2_STD


class MLETEmbedding(nn.Module):
    """In place of ``nn.Embedding(n, d)`` while training: the vectors are W1[ids] @ W2.

    Args:
        num_embeddings: n.
        embedding_dim: d.
        inner_dim: k; the paper's gain needs k well above d.
        sparse: give W1 sparse gradients, for ``torch.optim.SGD`` or ``SparseAdam``.

    Example::

        table = MLETEmbedding(num_embeddings=10_000, embedding_dim=16, inner_dim=64)
        ...  # train
        model.table = table.collapse()  # nn.Embedding(10_000, 16)
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, inner_dim: int, sparse: bool = False):
        super().__init__()
        self.w1 = nn.Embedding(num_embeddings, inner_dim, sparse=sparse)
        self.w2 = nn.Linear(inner_dim, embedding_dim, bias=False)  # stores W2ᵀ: (d, k)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """W1 ~ U(-1/sqrt(n), 1/sqrt(n)); W2 ~ N(0, 0.25²), as in the authors' code."""
        bound = self.w1.num_embeddings**-0.5
        nn.init.uniform_(self.w1.weight, -bound, bound)
        nn.init.normal_(self.w2.weight, 0.0, PAPER_W2_STD)

    def forward(self, ids: Tensor) -> Tensor:
        """ids: any shape of ints below n → the same shape with d appended."""
        return self.w2(self.w1(ids))

    @torch.no_grad()
    def collapse(self) -> nn.Embedding:
        """The n×d ``nn.Embedding`` that gives the same vectors."""
        table = (self.w1.weight.double() @ self.w2.weight.double().T).to(self.w1.weight.dtype)
        return nn.Embedding.from_pretrained(table, freeze=False, sparse=self.w1.sparse)
