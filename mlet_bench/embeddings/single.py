"""The baseline: one n×d table a field, trained directly."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlet_bench.embeddings.tables import FieldTables


class SingleTables(FieldTables):
    """E (n×d) of each field.

    Example::

        embedding = SingleTables(table_sizes=[1460, 583], embedding_dim=16)
        embedding.reset_parameters(torch.Generator().manual_seed(0))
        embedding(torch.tensor([[3, 5]])).shape  # (1, 2, 16)
    """

    def __init__(self, table_sizes: Sequence[int], embedding_dim: int):
        super().__init__(table_sizes, width=embedding_dim, embedding_dim=embedding_dim)

    def reset_parameters(self, generator: torch.Generator, variance_factor: float = 1.0) -> None:
        """E ~ U(-1/sqrt(n), 1/sqrt(n)), its variance times ``variance_factor``."""
        self.reset_rows(generator, variance_factor)

    def project(self, rows: Tensor) -> Tensor:
        return rows.transpose(0, 1)  # (F, B, d) → (B, F, d), a view

    def table(self, field: int) -> Tensor:
        return self.field_rows(field)

    @torch.no_grad()
    def collapse(self) -> "SingleTables":
        """A copy: a single layer is collapsed already."""
        collapsed = SingleTables(self.table_sizes, self.embedding_dim)
        collapsed.weight.copy_(self.weight)
        return collapsed
