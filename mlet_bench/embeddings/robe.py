"""ROBE (Desai et al., arXiv 2108.02191): all tables share one array, and an id reads d consecutive numbers of it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.base import FieldTables
from mlet_bench.embeddings.draw import stream_of, uniform_

# Those of the authors' code (apd10/universal_memory_allocation) at its default seed, so that its vectors are ours.
PRIME, MULTIPLIER, SHIFT = 2_038_074_743, 871_205_356, 634_329_019
STEPS = 4096  # lengths of the array that a budget chooses among


@METHODS.add
class ROBETables(FieldTables):
    """E[id] = the d numbers from h(id) on, h(id) = ((id + offset) a + b) mod p mod (size - d + 1): one chunk an id.

    ``offset`` is the number of categories of the fields before, so that all fields hash into the one array differently.
    No sign is drawn. What is stored, and what a slot reads, are single numbers.

    Args:
        size: numbers in the array, d or more.
    """

    name = "robe"
    offsets: Tensor
    columns: Tensor
    size_option = "size"

    def __init__(self, table_sizes: Sequence[int], embedding_dim: int, inner_dim: int | None = None, *, size: int):
        super().__init__(table_sizes, embedding_dim, stored=[size], width=1, num_slots=embedding_dim)
        self.size = size
        offsets = torch.tensor((0, *table_sizes[:-1]), device="cpu").cumsum(0)  # (F,)
        self.register_buffer("offsets", offsets, persistent=False)
        self.register_buffer("columns", torch.arange(embedding_dim, device="cpu"), persistent=False)

    @classmethod
    def choices(cls, table_sizes: Sequence[int], embedding_dim: int) -> Sequence[int]:
        full = sum(table_sizes) * embedding_dim
        return range(embedding_dim, full + 1, max(1, (full - embedding_dim) // STEPS))

    def reset_parameters(self, seed: int) -> None:
        """U(-1/sqrt(n), 1/sqrt(n)), n the categories of the largest field."""
        uniform_(self.weight.view(-1), seed, stream_of(0), max(self.table_sizes) ** -0.5)

    def slots(self, ids: Tensor) -> Tensor:
        hashed = ((ids.long() + self.offsets) * MULTIPLIER + SHIFT) % PRIME % (self.size - self.embedding_dim + 1)
        return hashed.T.unsqueeze(2) + self.columns  # (F, B, d)

    def combine(self, rows: Tensor) -> Tensor:
        return rows.squeeze(3).transpose(0, 1)  # (F, B, d, 1) → (B, F, d)

    def options(self) -> dict[str, int]:
        return {"size": self.size}
