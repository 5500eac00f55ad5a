"""Multi-layer embedding training (arXiv 2006.05623, section 3): each table is a product of two matrices."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.base import FieldTables
from mlet_bench.embeddings.draw import W2, normal_, stream_of
from mlet_bench.embeddings.single import BLOCK_ROWS, SingleTables


@METHODS.add
class MLETTables(FieldTables):
    """E = W1 W2 of each field: W1 (n×k) gets sparse row updates, W2 (k×d) dense ones; no bias, no activation.

    Every table is factorised, those with n < k too. k below d is a valid product as well (mixed dimensions).

    Args:
        inner_dim: k.
        train_w2: False keeps W2 at its initial value.
        stored, num_slots: of a subclass whose ids share rows, as of ``FieldTables``. Each slot has a W2 of its own:
            ``w2`` is (F · S, k, d), the slots of a field one after the other.

    Example::

        embedding = MLETTables(table_sizes=[1460, 583], embedding_dim=16, inner_dim=64)
        embedding.reset_parameters(seed=0)
        small = embedding.deployed()  # SingleTables with the same vectors
    """

    name = "mlet"
    kernel = True
    initial_options = ("train_w2",)

    def __init__(
        self,
        table_sizes: Sequence[int],
        embedding_dim: int,
        inner_dim: int,
        train_w2: bool = True,
        stored: Sequence[int] | None = None,
        num_slots: int = 1,
    ):
        super().__init__(table_sizes, embedding_dim, stored or table_sizes, inner_dim, num_slots)
        shape = (len(self.table_sizes) * num_slots, inner_dim, embedding_dim)
        self.w2 = nn.Parameter(torch.empty(shape), requires_grad=train_w2)

    def reset_parameters(self, seed: int) -> None:
        """W1 ~ U(-1/sqrt(n), 1/sqrt(n)); W2 ~ N(0, w2_std²)."""
        self.reset_rows(seed)
        for place, w2 in enumerate(self.w2):
            field, slot = divmod(place, self.num_slots)
            normal_(w2, seed, stream_of(field, W2 + slot), self.w2_std)

    def combine(self, rows: Tensor) -> Tensor:
        return torch.bmm(rows.squeeze(2), self.w2).transpose(0, 1)  # (F, B, k) @ (F, k, d) → (B, F, d)

    def products(self, rows: Tensor) -> Tensor:
        """Each slot's row times its W2. rows: (F, B, S, k) → (F, B, S, d)."""
        flat = rows.transpose(1, 2).flatten(0, 1)  # (F·S, B, k)
        return torch.bmm(flat, self.w2).unflatten(0, (rows.shape[0], -1)).transpose(1, 2)

    @torch.no_grad()
    def table(self, field: int) -> Tensor:
        return self.field_rows(field) @ self.w2[field]

    def factors(self, field: int) -> dict[str, Tensor]:
        return {"w1": self.field_rows(field), "w2": self.w2[field]}

    def single_layer(self) -> FieldTables:
        """The method that is served, its values not yet set."""
        return SingleTables(self.table_sizes, self.embedding_dim)

    @torch.no_grad()
    def deployed(self) -> FieldTables:
        """W1 W2 of each field as a single layer.

        The product is taken in float64 and rounded once, a block of rows at a time: the n×d result is as close to
        the factorised model as float32 can store, and the largest table needs no float64 copy.
        """
        served = self.single_layer().to(self.weight.device)
        for field in range(len(self.table_sizes)):
            for slot, (left, right) in enumerate(zip(self.slot_rows(field), served.slot_rows(field), strict=True)):
                w2 = self.w2[field * self.num_slots + slot].double()
                for source, target in zip(left.split(BLOCK_ROWS), right.split(BLOCK_ROWS), strict=True):
                    target.copy_(source.double() @ w2)
        return served
