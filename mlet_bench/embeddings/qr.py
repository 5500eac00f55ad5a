"""Quotient-remainder hashing (Shi et al., arXiv 1909.02107): two ids share a row, but never both of theirs."""

from collections.abc import Sequence
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.base import FieldTables
from mlet_bench.errors import BenchError

OPERATIONS = ("add", "mult")
# Tables of no more rows stay as they are, as by default in facebookresearch/dlrm: they hold few bytes and, with one row
# for each hour or carrier, say, much of what there is to know.
THRESHOLD = 200


class QuotientRemainderRows(FieldTables):
    """Each id reads a row of Q, id // c, and one of R, id mod c: ceil(n/c) + c rows a field.

    c is ``collisions``, or ceil(sqrt(n)) where that is less, at which the rows are fewest. A table of no more than
    ``THRESHOLD`` rows, or one that this would enlarge, stays as it is: its ids read their own row twice, and ``shares``
    is false.

    Attributes:
        parts: rows of Q and of R by field; (n, 0) of a table that stays.
        shares: (F, 1, 1) whether a field has both.
    """

    size_option = "collisions"
    collisions: int
    parts: list[tuple[int, int]]
    quotients: Tensor
    divisors: Tensor
    shares: Tensor

    def share(self, collisions: int) -> None:
        """Note which rows are whose, once they are stored."""
        self.collisions, self.parts = collisions, [quotient_remainder(n, collisions) for n in self.table_sizes]
        quotients, remainders = torch.tensor(self.parts, device="cpu").T.contiguous()  # (F,) each
        self.register_buffer("quotients", quotients, persistent=False)
        self.register_buffer("divisors", remainders.clamp(min=1), persistent=False)
        self.register_buffer("shares", (remainders > 0)[:, None, None], persistent=False)

    @classmethod
    def choices(cls, table_sizes: Sequence[int], embedding_dim: int) -> Sequence[int]:
        return range(isqrt(max(table_sizes)) + 1, 0, -1)

    def slots(self, ids: Tensor) -> Tensor:
        ids = ids.long()  # the quotient of whole numbers is exact; in float32 it is not above 2^24
        first = ids // self.divisors  # 1 for a table that stays
        second = torch.where(self.shares.flatten(), self.quotients + ids % self.divisors, ids)
        return (torch.stack([first, second], 2) + self.starts[:, None]).transpose(0, 1)  # (F, B, 2)

    def slot_rows(self, field: int) -> list[Tensor]:
        return list(self.field_rows(field).split(self.parts[field]))

    def table(self, field: int) -> Tensor:
        return FieldTables.table(self, field)

    def options(self) -> dict[str, Any]:
        return {"collisions": self.collisions}


@METHODS.add
class QRTables(QuotientRemainderRows):
    """E[id] = Q[id // c] + R[id mod c], rows of width d.

    Args:
        collisions: c, see ``QuotientRemainderRows``.
        operation: ``add``, or ``mult`` for the product of both rows. Its factors start at 1/sqrt(n), so its gradients
            are that small, and with plain SGD it hardly moves.
    """

    name = "qr"

    def __init__(
        self, table_sizes: Sequence[int], embedding_dim: int, inner_dim: int | None = None, *, collisions: int,
        operation: str = "add",
    ):  # fmt: skip
        if operation not in OPERATIONS:
            raise BenchError(f"operation of qr is {operation!r}: it is {' or '.join(OPERATIONS)}")
        stored = [sum(quotient_remainder(n, collisions)) for n in table_sizes]
        super().__init__(table_sizes, embedding_dim, stored, embedding_dim, num_slots=2)
        self.operation = operation
        self.share(collisions)

    def combine(self, rows: Tensor) -> Tensor:
        first, second = rows.unbind(2)  # (F, B, d) each
        if self.operation == "add":
            return (first + self.shares * second).transpose(0, 1)  # (B, F, d)
        return (first * torch.where(self.shares, second, 1)).transpose(0, 1)

    def options(self) -> dict[str, Any]:
        return super().options() | {"operation": self.operation}


def quotient_remainder(n: int, collisions: int) -> tuple[int, int]:
    """Rows of Q and of R of a field; (n, 0) of one that stays."""
    c = min(collisions, isqrt(n - 1) + 1)  # the smallest whole number whose square is n or more
    quotients = -(-n // c)
    return (quotients, c) if n > THRESHOLD and quotients + c < n else (n, 0)
