"""MLET over quotient and remainder: both parts are factorised, each with a W2 of its own."""

from collections.abc import Sequence

from torch import Tensor

from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.mlet import MLETTables
from mlet_bench.embeddings.qr import QRTables, QuotientRemainderRows, quotient_remainder


@METHODS.add
class MLETQRTables(QuotientRemainderRows, MLETTables):
    """E[id] = Q[id // c] + R[id mod c] with Q = W1 W2 and R = W1' W2'.

    Args:
        collisions: c, see ``QuotientRemainderRows``.
    """

    name = "mlet-qr"

    def __init__(self, table_sizes: Sequence[int], embedding_dim: int, inner_dim: int, *, collisions: int):
        stored = [sum(quotient_remainder(n, collisions)) for n in table_sizes]
        MLETTables.__init__(self, table_sizes, embedding_dim, inner_dim, stored=stored, num_slots=2)
        self.share(collisions)

    def combine(self, rows: Tensor) -> Tensor:
        first, second = self.products(rows).unbind(2)  # (F, B, d) each
        return (first + self.shares * second).transpose(0, 1)

    def factors(self, field: int) -> dict[str, Tensor]:
        return {}  # two products, so no one pair of factors

    def single_layer(self) -> QRTables:
        return QRTables(self.table_sizes, self.embedding_dim, collisions=self.collisions)
