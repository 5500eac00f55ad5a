"""Multi-layer embedding training (arXiv 2006.05623, section 3): each table is a product of two matrices."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mlet_bench.embeddings.single import SingleTables
from mlet_bench.embeddings.tables import FieldTables

PAPER_W2_STD = 0.25  # in the authors' code, whatever k and d


class MLETTables(FieldTables):
    """E = W1 W2 of each field: W1 (n×k) gets sparse row updates, W2 (k×d) dense ones; no bias, no activation.

    Every table is factorised, those with n < k too. k below d is a valid product as well (mixed dimensions).

    Example::

        embedding = MLETTables(table_sizes=[1460, 583], embedding_dim=16, inner_dim=64)
        embedding.reset_parameters(torch.Generator().manual_seed(0))
        small = embedding.collapse()  # SingleTables with the same vectors
    """

    def __init__(self, table_sizes: Sequence[int], embedding_dim: int, inner_dim: int, train_w2: bool = True):
        super().__init__(table_sizes, width=inner_dim, embedding_dim=embedding_dim)
        self.inner_dim = inner_dim
        self.w2 = nn.Parameter(torch.empty(len(self.table_sizes), inner_dim, embedding_dim), requires_grad=train_w2)

    def reset_parameters(self, generator: torch.Generator, w2_std: float = PAPER_W2_STD) -> None:
        """W1 ~ U(-1/sqrt(n), 1/sqrt(n)); W2 ~ N(0, w2_std²)."""
        self.reset_rows(generator)
        with torch.no_grad():
            self.w2.copy_(torch.empty(self.w2.shape).normal_(0.0, w2_std, generator=generator))

    def project(self, rows: Tensor) -> Tensor:
        return torch.bmm(rows, self.w2).transpose(0, 1)  # (F, B, k) @ (F, k, d) → (B, F, d)

    def table(self, field: int) -> Tensor:
        return self.field_rows(field) @ self.w2[field]

    @torch.no_grad()
    def collapse(self) -> SingleTables:
        """W1 W2 of each field as a single layer.

        The product is taken in float64 and rounded once, a block of rows at a time: the n×d result is as close to
        the factorised model as float32 can store, and the largest table needs no float64 copy.
        """
        collapsed = SingleTables(self.table_sizes, self.embedding_dim).to(self.weight.device)
        for field in range(len(self.table_sizes)):
            w2 = self.w2[field].double()
            for source, target in zip(self.field_rows(field).split(2**20), collapsed.field_rows(field).split(2**20)):
                target.copy_(source.double() @ w2)
        return collapsed
