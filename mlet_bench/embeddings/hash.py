"""Hashing: a field with more categories than its cap shares rows between ids of equal remainder."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.base import FieldTables


class HashedRows(FieldTables):
    """Row id mod rows of each field with more than ``rows`` categories; the others have rows of their own.

    Ids are given by first appearance, so the frequent categories come early and the first ``rows`` of them never meet:
    kinder than a random hash, and what a remainder gives with the ids of facebookresearch/dlrm's preparation.
    """

    size_option = "rows"
    rows: int
    caps: Tensor

    def cap(self, rows: int) -> None:
        """Note the cap of each field, once the rows are stored."""
        self.rows = rows
        # int32, as ids are; plain numbers even where the tables have no values.
        self.register_buffer("caps", torch.tensor(self.stored, dtype=torch.int32, device="cpu"), persistent=False)

    @classmethod
    def choices(cls, table_sizes: Sequence[int], embedding_dim: int) -> Sequence[int]:
        return range(1, max(table_sizes) + 1)

    def own_rows(self, ids: Tensor) -> Tensor:
        return ids % self.caps

    def options(self) -> dict[str, int]:
        return {"rows": self.rows}


@METHODS.add
class HashTables(HashedRows):
    """E (min(n, rows)×d) of each field.

    Args:
        rows: the cap of each field.
    """

    name = "hash"
    kernel = True

    def __init__(self, table_sizes: Sequence[int], embedding_dim: int, inner_dim: int | None = None, *, rows: int):
        super().__init__(table_sizes, embedding_dim, capped(table_sizes, rows), embedding_dim)
        self.cap(rows)

    @torch.no_grad()
    def table(self, field: int) -> Tensor:
        return self.field_rows(field)[remainders(self, field)]


def capped(table_sizes: Sequence[int], rows: int) -> list[int]:
    """Rows that each field stores."""
    return [min(n, rows) for n in table_sizes]


def remainders(tables: FieldTables, field: int) -> Tensor:
    """The row of each id of a field: (n,)."""
    return torch.arange(tables.table_sizes[field], device=tables.weight.device) % tables.stored[field]
