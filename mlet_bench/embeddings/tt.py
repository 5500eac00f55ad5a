"""Tensor-train tables (Yin et al., *TT-Rec*, arXiv 2101.11714): a table as a product of three small cores."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.base import FieldTables
from mlet_bench.embeddings.draw import normal_, stream_of, uniform_
from mlet_bench.errors import BenchError

LAWS = ("matched", "fbtt")
LARGEST_RANK = 32  # an id reads d1 r + d2 r² + d3 r numbers: at 64 and d = 16 as many as 530 vectors have
TAIL = 0.02275013194817921  # 1 - Φ(2), the normal law's tail beyond two standard deviations


@METHODS.add
class TTTables(FieldTables):
    """E[(i1 i2 i3), (j1 j2 j3)] = G1[i1, j1] G2[i2, :, j2] G3[i3, :, j3], with ranks 1, r, r, 1.

    An id is written as i1 (n2 n3) + i2 n3 + i3 with three near-equal factors, n1 n2 n3 >= n, and d = d1 d2 d3. A stored
    row is r numbers: G1 has d1 of them for each i1, G2 r·d2 for each i2, G3 d3 for each i3, so an id reads
    S = d1 + r·d2 + d3 rows, and only those of a batch are updated.

    Args:
        rank: r.
        law: of the initial values. ``matched``: normal, with the standard deviation at which E has the variance of the
            other methods' tables, 1/(3n). ``fbtt``: that of facebookresearch/FBTT-Embedding ("approx-normal"), whose
            draws below two standard deviations are thrown away, so that E starts 13.8 r times as large.
    """

    name = "tt"
    cubes: Tensor
    cores: Tensor
    size_option = "rank"

    def __init__(
        self, table_sizes: Sequence[int], embedding_dim: int, inner_dim: int | None = None, *, rank: int,
        law: str = "matched",
    ):  # fmt: skip
        if law not in LAWS:
            raise BenchError(f"law of tt is {law!r}: it is {' or '.join(LAWS)}")
        self.rank, self.law = rank, law
        self.factors_of_d = d1, d2, d3 = three_factors(embedding_dim)
        self.rows_each = (d1, rank * d2, d3)  # rows that an id reads of each core
        self.parts = [[n * rows for n, rows in zip(cube(n), self.rows_each, strict=True)] for n in table_sizes]
        stored = [sum(part) for part in self.parts]
        super().__init__(table_sizes, embedding_dim, stored, width=rank, num_slots=sum(self.rows_each))
        cubes = torch.tensor([cube(n) for n in table_sizes], device="cpu")  # (F, 3)
        self.register_buffer("cubes", cubes, persistent=False)
        cores = torch.tensor([[0, part[0], part[0] + part[1]] for part in self.parts], device="cpu")
        self.register_buffer("cores", cores, persistent=False)  # (F, 3) the first row of each core
        for core, rows in enumerate(self.rows_each):
            self.register_buffer(f"row{core}", torch.arange(rows, device="cpu"), persistent=False)

    @classmethod
    def choices(cls, table_sizes: Sequence[int], embedding_dim: int) -> Sequence[int]:
        return range(1, LARGEST_RANK + 1)

    def reset_parameters(self, seed: int) -> None:
        """Each core from ``law``: a stream a core."""
        for field, n in enumerate(self.table_sizes):
            for core, rows in enumerate(self.field_rows(field).split(self.parts[field])):
                if self.law == "matched":  # the variance of E is that of r² products of three values
                    normal_(rows, seed, stream_of(field, core), (1 / (3 * n * self.rank**2)) ** (1 / 6))
                else:
                    drawn = uniform_(torch.empty(rows.shape, dtype=torch.float64), seed, stream_of(field, core), 1.0)
                    beyond = 2**0.5 * torch.erfinv(1 - 2 * TAIL * (1 - drawn.abs()))  # |x| of a normal x beyond 2
                    if not rows.is_meta:
                        rows.data.copy_(drawn.sign() * beyond * (3 * n) ** (-1 / 6))

    def slots(self, ids: Tensor) -> Tensor:
        ids = ids.long()
        _, n2, n3 = self.cubes.unbind(1)
        indices = (ids // (n2 * n3), ids // n3 % n2, ids % n3)  # (B, F) each
        found = []
        for core, index in enumerate(indices):
            first = index * self.rows_each[core] + self.cores[:, core] + self.starts
            found.append(first.T.unsqueeze(2) + getattr(self, f"row{core}"))  # (F, B, rows of the core)
        return torch.cat(found, 2)

    def combine(self, rows: Tensor) -> Tensor:
        g1, g2, g3 = rows.split(self.rows_each, 2)  # (F, B, d1, r), (F, B, r·d2, r), (F, B, d3, r)
        fields, batch, r = rows.shape[0], rows.shape[1], self.rank
        left = g1 @ g2.reshape(fields, batch, r, -1)  # (F, B, d1, d2·r): rows of G2 are a·d2 + j2, columns b
        left = left.reshape(fields, batch, -1, r)  # (F, B, d1·d2, r)
        return (left @ g3.transpose(2, 3)).flatten(2).transpose(0, 1)  # (F, B, d1·d2, d3) → (B, F, d)

    def options(self) -> dict[str, Any]:
        return {"rank": self.rank, "law": self.law}


def cube(n: int) -> tuple[int, int, int]:
    """Three near-equal whole numbers whose product is n or more, as small as that way gives."""
    first = next(m for m in range(1, n + 1) if m**3 >= n)
    second = next(m for m in range(1, first + 1) if first * m * first >= n)
    return first, second, -(-n // (first * second))


def three_factors(d: int) -> tuple[int, int, int]:
    """The three factors of d whose sum is least, ascending: 16 = 2 · 2 · 4."""
    triples = [
        (a, b, d // (a * b)) for a in range(1, d + 1) if d % a == 0 for b in range(a, d // a + 1) if d // a % b == 0
    ]
    return min((triple for triple in triples if triple[1] <= triple[2]), key=sum)
