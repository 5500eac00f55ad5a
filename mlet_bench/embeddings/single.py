"""The baseline: one n×d table a field, trained directly."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.base import FieldTables
from mlet_bench.embeddings.draw import W2, normal_, stream_of, uniform_

BLOCK_ROWS = 2**17  # multiplied at a time: the largest table needs no copy in float64


@METHODS.add
class SingleTables(FieldTables):
    """E (n×d) of each field.

    Args:
        inner_dim, variance_like_k: multiply the initial variance by k w2_std², MLET's over the baseline's.
        product_init: start as the product of MLET's matrices of that k, with the values that they have at that seed.

    Example::

        embedding = SingleTables(table_sizes=[1460, 583], embedding_dim=16)
        embedding.reset_parameters(seed=0)
        embedding(torch.tensor([[3, 5]])).shape  # (1, 2, 16)
    """

    name = "single"
    kernel = True
    initial_options = ("inner_dim", "variance_like_k", "product_init")

    def __init__(
        self,
        table_sizes: Sequence[int],
        embedding_dim: int,
        inner_dim: int | None = None,
        variance_like_k: bool = False,
        product_init: bool = False,
    ):
        super().__init__(table_sizes, embedding_dim, stored=table_sizes, width=embedding_dim)
        self._like_k = (inner_dim or 0) if variance_like_k else None
        self.product_width = (inner_dim or 0) if product_init else 0

    @property
    def variance_factor(self) -> float:
        """Initial variance over the baseline's."""
        return 1.0 if self._like_k is None else self._like_k * self.w2_std**2

    def reset_parameters(self, seed: int) -> None:
        """E ~ U(-1/sqrt(n), 1/sqrt(n)), its variance times ``variance_factor``; or E = W1 W2 as MLET draws them."""
        if self.product_width:
            self._reset_to_product(seed)
        else:
            self.reset_rows(seed, self.variance_factor)

    @torch.no_grad()
    def _reset_to_product(self, seed: int) -> None:
        """As ``MLETTables.deployed`` of the initial values, a block of rows at a time."""
        device = self.weight.device
        w2 = torch.empty(self.product_width, self.embedding_dim, device=device)
        for field, size in enumerate(self.table_sizes):
            normal_(w2, seed, stream_of(field, W2), self.w2_std)
            first = 0
            for rows in self.field_rows(field).split(BLOCK_ROWS):
                w1 = torch.empty(len(rows), self.product_width, device=device)
                uniform_(w1, seed, stream_of(field), size**-0.5, first)
                rows.copy_(w1.double() @ w2.double())
                first += len(rows)

    def table(self, field: int) -> Tensor:
        return self.field_rows(field)

    @torch.no_grad()
    def deployed(self) -> "SingleTables":
        """A copy: a single layer is served as it is."""
        served = SingleTables(self.table_sizes, self.embedding_dim).to(self.weight.device)
        served.weight.copy_(self.weight)
        return served
