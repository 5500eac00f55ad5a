"""The contract of an embedding method, and the storage that all methods share."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mlet_bench.arms import PAPER_W2_STD
from mlet_bench.embeddings.draw import stream_of, uniform_

BLOCK_IDS = 2**16  # looked up at a time by ``table``
BLOCK_VALUES = 2**26  # gathered at a time by ``forward``, whatever the batch


class FieldTables(nn.Module):
    """F categorical fields whose stored rows stand in one matrix, so that a batch needs one gather, not F.

    A method says which stored rows an id reads (``slots``) and how those become its vector (``combine``). The plain
    path over these two *is* the method's definition: training, packs, scoring and deploying call them and know no class
    by name. The gather between them stands apart because a training step differentiates with respect to the gathered
    rows: no dense gradient of a table ever exists. Parameters other than ``weight`` are trained like a model's.

    Args:
        table_sizes: n of each field.
        embedding_dim: d, columns of the vectors that ``forward`` gives.
        stored: how many rows each field stores, n for a table of its own; or one number, of rows that all share.
        width: columns of a stored row: d for a single layer, k for MLET, 1 where fields have widths of their own.
        num_slots: S, how many stored rows an id reads.

    Attributes:
        name: in ``METHODS``.
        kernel: a method whose vectors are its ``own_rows``, times ``w2`` (F, k, d) where it has one, names this True to
            be trained by the device's kernels; not inherited, as a subclass may define something else.
        size_option: the option that decides how many bytes are stored, for a method that can be fitted to a budget.
        initial_options: options that decide initial values, or which of the parameters are trained, and nothing else:
            runs that differ in these alone are trained in one pack. Not inherited.
        weight: (sum of stored, width).
        w2_std: standard deviation of W2's initial values, for methods that have a W2; a run sets it before values are
            drawn.

    Example::

        @METHODS.add
        class HashedTables(FieldTables):            # one row for all ids of equal remainder
            name = "hashed"

            def __init__(self, table_sizes, embedding_dim, inner_dim=None, rows=1000):
                self.rows = rows
                super().__init__(table_sizes, embedding_dim, [min(n, rows) for n in table_sizes], embedding_dim)

            def own_rows(self, ids):
                return ids % self.rows
    """

    name: ClassVar[str]
    starts: Tensor
    kernel: ClassVar[bool] = False
    size_option: ClassVar[str] = ""
    initial_options: ClassVar[tuple[str, ...]] = ()
    w2_std: float = PAPER_W2_STD

    def __init__(
        self, table_sizes: Sequence[int], embedding_dim: int, stored: Sequence[int], width: int, num_slots: int = 1
    ):
        super().__init__()
        self.table_sizes, self.stored = tuple(table_sizes), tuple(stored)
        self.embedding_dim, self.width, self.num_slots = embedding_dim, width, num_slots
        self.weight = nn.Parameter(torch.empty(sum(self.stored), width))
        # (F,) the first stored row of each field, a plain number even where the tables have no values (meta device).
        starts = torch.tensor((0, *self.stored[:-1]), device="cpu").cumsum(0)
        self.register_buffer("starts", starts, persistent=False)

    def slots(self, ids: Tensor) -> Tensor:
        """The stored rows that each id reads. ids: (B, F) int, each below its field's n → (F, B, S) int64.

        It depends on ids and shapes alone, never on a value that is trained or drawn, and each slot is below the number
        of stored rows. Here: S = 1, the one row of ``own_rows``.
        """
        return (self.own_rows(ids) + self.starts).T.unsqueeze(2)

    def own_rows(self, ids: Tensor) -> Tensor:
        """Of a method that reads one row for an id, which of its field's: (B, F) int → (B, F) int. Here: the id's."""
        return ids

    def gather(self, slots: Tensor) -> Tensor:
        """Stored rows. slots: (F, B, S) → (F, B, S, width)."""
        return self.weight.index_select(0, slots.flatten()).view(*slots.shape, self.width)

    def combine(self, rows: Tensor) -> Tensor:
        """The vectors of gathered rows, differentiable. rows: (F, B, S, width) → (B, F, d). Here: their sum over S."""
        return (rows.squeeze(2) if rows.shape[2] == 1 else rows.sum(2)).transpose(0, 1)

    def forward(self, ids: Tensor) -> Tensor:
        """Embedding vectors. ids: (B, F) int, each below its field's n → (B, F, d)."""
        return self.in_parts(ids, lambda part: self.combine(self.gather(self.slots(part))))

    def in_parts(self, ids: Tensor, look_up: Callable[[Tensor], Tensor]) -> Tensor:
        """Vectors of a batch, part by part where an id reads so many rows that together they would fill the memory."""
        parts = ids.split(max(1, BLOCK_VALUES // max(1, self.values_read)))
        return look_up(ids) if len(parts) == 1 else torch.cat([look_up(part) for part in parts])

    @property
    def values_read(self) -> int:
        """Stored numbers that one row of a batch reads, in all fields."""
        return len(self.table_sizes) * self.num_slots * self.width

    def reset_parameters(self, seed: int) -> None:
        """Draw the initial values, each a function of (seed, field, row, column): see ``mlet_bench.embeddings.draw``.

        Here: rows from U(-1/sqrt(n), 1/sqrt(n)), n the field's categories.
        """
        self.reset_rows(seed)

    def reset_rows(self, seed: int, variance_factor: float = 1.0) -> None:
        """Draw each field's rows from U(-1/sqrt(n), 1/sqrt(n)) (facebookresearch/dlrm, and the authors' fork).

        Args:
            variance_factor: multiplies the variance of that law.
        """
        sizes = zip(self.weight.split(self.stored), self.table_sizes, strict=True)
        for field, (rows, size) in enumerate(sizes):
            uniform_(rows, seed, stream_of(field), (variance_factor / size) ** 0.5)

    @torch.no_grad()
    def table(self, field: int) -> Tensor:
        """The n×d matrix that one field stands for. Here: the vectors of its ids, by the plain path, block by block."""
        size, blocks = self.table_sizes[field], []
        for first in range(0, size, BLOCK_IDS):
            own = torch.arange(first, min(first + BLOCK_IDS, size), device=self.weight.device)
            ids = own.new_zeros(len(own), len(self.table_sizes))
            ids[:, field] = own
            blocks.append(self(ids)[:, field])
        return torch.cat(blocks)

    def field_rows(self, field: int) -> Tensor:
        """The stored rows of one field: (stored, width), a view."""
        start = sum(self.stored[:field])
        return self.weight[start : start + self.stored[field]]

    def slot_rows(self, field: int) -> list[Tensor]:
        """The stored rows of one field by the slot that reads them, views. Here: all of them, S = 1."""
        return [self.field_rows(field)]

    def factors(self, field: int) -> dict[str, Tensor]:
        """The matrices whose product a field's table is, by name, for their singular values. Here: none."""
        return {}

    def training_bytes(self) -> int:
        """Bytes of the parameters while training; shapes decide, so a module on the meta device can say."""
        return sum(parameter.numel() * parameter.element_size() for parameter in self.parameters())

    def deployed(self) -> "FieldTables":
        """The module that is served, with values of its own; it need not be n×d. Here: a copy of this one."""
        return copy.deepcopy(self)

    @classmethod
    def choices(cls, table_sizes: Sequence[int], embedding_dim: int) -> Sequence[Any]:
        """The values of ``size_option`` that a budget chooses among, from the one that stores least to the most."""
        raise NotImplementedError(f"{cls.name} has no size to choose")

    def options(self) -> dict[str, Any]:
        """The keyword arguments, plain values, that with sizes and d make a module of this shape again."""
        return {}
