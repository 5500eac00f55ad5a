"""Multi-layer embedding training (arXiv 2006.05623, section 3): each table is a product of two matrices."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.base import FieldTables
from mlet_bench.embeddings.draw import W2, normal_, stream_of
from mlet_bench.embeddings.single import SingleTables

PAPER_W2_STD = 0.25  # in the authors' code, whatever k and d
BLOCK_ROWS = 2**20  # multiplied at a time: the largest table needs no copy in float64


@METHODS.add
class MLETTables(FieldTables):
    """E = W1 W2 of each field: W1 (n×k) gets sparse row updates, W2 (k×d) dense ones; no bias, no activation.

    Every table is factorised, those with n < k too. k below d is a valid product as well (mixed dimensions).

    Args:
        inner_dim: k.
        train_w2: False keeps W2 at its initial value.
        unit_w2: draw W2 with std 1/sqrt(k) instead of 0.25, so that MLET starts with the baseline's step size.

    Example::

        embedding = MLETTables(table_sizes=[1460, 583], embedding_dim=16, inner_dim=64)
        embedding.reset_parameters(seed=0)
        small = embedding.deployed()  # SingleTables with the same vectors
    """

    name = "mlet"
    cpu_kernel = True

    def __init__(
        self,
        table_sizes: Sequence[int],
        embedding_dim: int,
        inner_dim: int,
        train_w2: bool = True,
        unit_w2: bool = False,
    ):
        super().__init__(table_sizes, embedding_dim, stored=table_sizes, width=inner_dim)
        self.w2_std = inner_dim**-0.5 if unit_w2 else PAPER_W2_STD
        self.w2 = nn.Parameter(torch.empty(len(self.table_sizes), inner_dim, embedding_dim), requires_grad=train_w2)

    def reset_parameters(self, seed: int) -> None:
        """W1 ~ U(-1/sqrt(n), 1/sqrt(n)); W2 ~ N(0, w2_std²)."""
        self.reset_rows(seed)
        for field, w2 in enumerate(self.w2):
            normal_(w2, seed, stream_of(field, W2), self.w2_std)

    def combine(self, rows: Tensor) -> Tensor:
        return torch.bmm(rows.squeeze(2), self.w2).transpose(0, 1)  # (F, B, k) @ (F, k, d) → (B, F, d)

    @torch.no_grad()
    def table(self, field: int) -> Tensor:
        return self.field_rows(field) @ self.w2[field]

    def factors(self, field: int) -> dict[str, Tensor]:
        return {"w1": self.field_rows(field), "w2": self.w2[field]}

    @torch.no_grad()
    def deployed(self) -> SingleTables:
        """W1 W2 of each field as a single layer.

        The product is taken in float64 and rounded once, a block of rows at a time: the n×d result is as close to
        the factorised model as float32 can store, and the largest table needs no float64 copy.
        """
        served = SingleTables(self.table_sizes, self.embedding_dim).to(self.weight.device)
        for field in range(len(self.table_sizes)):
            w2 = self.w2[field].double()
            blocks = zip(self.field_rows(field).split(BLOCK_ROWS), served.field_rows(field).split(BLOCK_ROWS))
            for source, target in blocks:
                target.copy_(source.double() @ w2)
        return served
