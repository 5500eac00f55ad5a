"""The storage that every embedding method shares: the tables of all fields, one below the other."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

DRAWN_ROWS = 2**20  # drawn at a time: the largest table needs no second copy of itself


class FieldTables(nn.Module):
    """F tables of equal width in one (sum n) × width matrix, so that a batch needs one gather, not F.

    Subclasses say how a stored row becomes an embedding vector (``project``) and what single-layer module they equal
    (``collapse``). The lookup is separate from the projection because the training step differentiates with respect
    to the gathered rows only: no dense gradient of a table ever exists.

    Args:
        table_sizes: n of each field.
        width: columns stored per row: d for a single layer, k for MLET.
        embedding_dim: d, columns of the vectors that ``forward`` gives.
    """

    def __init__(self, table_sizes: Sequence[int], width: int, embedding_dim: int):
        super().__init__()
        self.table_sizes = tuple(table_sizes)
        self.embedding_dim = embedding_dim
        self.weight = nn.Parameter(torch.empty(sum(self.table_sizes), width))  # (sum n, width)
        starts = torch.tensor((0, *self.table_sizes[:-1])).cumsum(0)
        self.register_buffer("starts", starts, persistent=False)  # (F,) first row of each field

    @torch.no_grad()
    def reset_rows(self, generator: torch.Generator, variance_factor: float = 1.0) -> None:
        """Draw each field's rows from U(-1/sqrt(n), 1/sqrt(n)) (facebookresearch/dlrm, and the authors' fork).

        Args:
            variance_factor: multiplies the variance of that law.
        """
        for rows in self.weight.split(self.table_sizes):
            bound = (variance_factor / len(rows)) ** 0.5
            for part in rows.split(DRAWN_ROWS):
                part.copy_(torch.empty(part.shape).uniform_(-bound, bound, generator=generator))

    def row_index(self, ids: Tensor) -> Tensor:
        """Row of ``weight`` for each id, field-major. ids: (B, F) int → (F·B,) int64."""
        return (ids + self.starts).T.flatten()

    def rows(self, index: Tensor) -> Tensor:
        """Gather stored rows. index: (F·B,) → (F, B, width)."""
        return self.weight.index_select(0, index).view(len(self.table_sizes), -1, self.weight.shape[1])

    def project(self, rows: Tensor) -> Tensor:
        """Embedding vectors of stored rows. rows: (F, B, width) → (B, F, d)."""
        raise NotImplementedError

    def forward(self, ids: Tensor) -> Tensor:
        """Embedding vectors. ids: (B, F) int, each below its field's n → (B, F, d)."""
        return self.project(self.rows(self.row_index(ids)))

    def field_rows(self, field: int) -> Tensor:
        """The stored rows of one field: (n, width), a view."""
        start = sum(self.table_sizes[:field])
        return self.weight[start : start + self.table_sizes[field]]

    def table(self, field: int) -> Tensor:
        """The n×d matrix that one field stands for."""
        raise NotImplementedError

    def collapse(self) -> "FieldTables":
        """The single-layer module that gives the same vectors."""
        raise NotImplementedError

    def num_parameters(self, training: bool) -> int:
        """Parameters stored while training, or at inference after ``collapse``."""
        if training:
            return sum(parameter.numel() for parameter in self.parameters())
        return sum(self.table_sizes) * self.embedding_dim
