"""MLET over hashed rows: W1 has the rows of ``hash``, and what is served are its rows."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.hash import HashedRows, HashTables, capped, remainders
from mlet_bench.embeddings.mlet import MLETTables


@METHODS.add
class MLETHashTables(HashedRows, MLETTables):
    """W1 (min(n, rows)×k) times W2 (k×d) of each field, the row that of id mod rows.

    Args:
        rows: the cap of each field.
    """

    name = "mlet-hash"
    kernel = True

    def __init__(self, table_sizes: Sequence[int], embedding_dim: int, inner_dim: int, *, rows: int):
        MLETTables.__init__(self, table_sizes, embedding_dim, inner_dim, stored=capped(table_sizes, rows))
        self.cap(rows)

    @torch.no_grad()
    def table(self, field: int) -> Tensor:
        return (self.field_rows(field) @ self.w2[field])[remainders(self, field)]

    def single_layer(self) -> HashTables:
        return HashTables(self.table_sizes, self.embedding_dim, rows=self.rows)
