"""The baseline: one n×d table a field, trained directly."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.base import FieldTables


@METHODS.add
class SingleTables(FieldTables):
    """E (n×d) of each field.

    Args:
        inner_dim, variance_like_k: multiply the initial variance by k/16, MLET's at the start.

    Example::

        embedding = SingleTables(table_sizes=[1460, 583], embedding_dim=16)
        embedding.reset_parameters(seed=0)
        embedding(torch.tensor([[3, 5]])).shape  # (1, 2, 16)
    """

    name = "single"
    cpu_kernel = True

    def __init__(
        self,
        table_sizes: Sequence[int],
        embedding_dim: int,
        inner_dim: int | None = None,
        variance_like_k: bool = False,
    ):
        super().__init__(table_sizes, embedding_dim, stored=table_sizes, width=embedding_dim)
        self.variance_factor = (inner_dim or 0) / 16 if variance_like_k else 1.0

    def reset_parameters(self, seed: int) -> None:
        """E ~ U(-1/sqrt(n), 1/sqrt(n)), its variance times ``variance_factor``."""
        self.reset_rows(seed, self.variance_factor)

    def table(self, field: int) -> Tensor:
        return self.field_rows(field)

    @torch.no_grad()
    def deployed(self) -> "SingleTables":
        """A copy: a single layer is served as it is."""
        served = SingleTables(self.table_sizes, self.embedding_dim).to(self.weight.device)
        served.weight.copy_(self.weight)
        return served
