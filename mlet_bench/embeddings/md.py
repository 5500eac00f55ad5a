"""Mixed dimensions (Ginart et al., arXiv 1909.11810): the more categories a field has, the narrower its rows."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.base import FieldTables
from mlet_bench.embeddings.draw import W2, stream_of, uniform_

STEPS = 1000  # values of alpha in 0..1 that a budget chooses among


@METHODS.add
class MDTables(FieldTables):
    """E = W1 P of each field: W1 (n×w) and a projection P (w×d), w = d (n_min / n)^alpha, at least 1.

    w is rounded, as in facebookresearch/dlrm without ``--md-round-dims``. A field with w = d has no projection. Rows
    have widths of their own, so what is stored, and what a slot reads, are single numbers; all fields read d of them,
    the last one again where a row is shorter, which the projection leaves out.

    Args:
        alpha: 0 gives every field the width d; at 1 a field with m times the categories has rows m times as narrow.

    Attributes:
        widths: w of each field.
        projections: (sum of w over the fields with w < d, d).
    """

    name = "md"
    places: Tensor
    row_widths: Tensor
    rows_of: Tensor
    whole: Tensor
    size_option = "alpha"

    def __init__(self, table_sizes: Sequence[int], embedding_dim: int, inner_dim: int | None = None, *, alpha: float):
        self.alpha, self.widths = alpha, mixed_widths(table_sizes, embedding_dim, alpha)
        stored = [n * width for n, width in zip(table_sizes, self.widths, strict=True)]
        super().__init__(table_sizes, embedding_dim, stored, width=1, num_slots=embedding_dim)
        d, widths = embedding_dim, torch.tensor(self.widths, device="cpu")
        projected = [width if width < d else 0 for width in self.widths]
        self.projections = nn.Parameter(torch.empty(sum(projected), d))
        columns = torch.arange(d, device="cpu")
        self.register_buffer("places", torch.minimum(columns, widths[:, None] - 1), persistent=False)  # (F, d)
        self.register_buffer("row_widths", widths, persistent=False)
        # (F, d) the row of ``projections`` that a number of a row is multiplied by; one more row holds zeros.
        starts = torch.tensor((0, *projected[:-1]), device="cpu").cumsum(0)
        short = (columns < widths[:, None]) & (widths[:, None] < d)
        self.register_buffer("rows_of", torch.where(short, starts[:, None] + columns, sum(projected)), persistent=False)
        whole = torch.eye(d, device="cpu") * (widths == d)[:, None, None]  # (F, d, d)
        self.register_buffer("whole", whole, persistent=False)

    @classmethod
    def choices(cls, table_sizes: Sequence[int], embedding_dim: int) -> Sequence[float]:
        return [step / STEPS for step in range(STEPS, -1, -1)]

    def reset_parameters(self, seed: int) -> None:
        """W1 ~ U(-1/sqrt(n), 1/sqrt(n)); P ~ U(-b, b) with b = sqrt(6 / (w + d)) (Glorot and Bengio, 2010)."""
        first = 0
        for field, (n, width) in enumerate(zip(self.table_sizes, self.widths, strict=True)):
            uniform_(self.field_rows(field).view(n, width), seed, stream_of(field), n**-0.5)
            if width < self.embedding_dim:
                own = self.projections[first : first + width]
                uniform_(own, seed, stream_of(field, W2), (6 / (width + self.embedding_dim)) ** 0.5)
                first += width

    def slots(self, ids: Tensor) -> Tensor:
        first = ids.long() * self.row_widths + self.starts  # (B, F)
        return first.T.unsqueeze(2) + self.places[:, None]  # (F, B, d)

    def combine(self, rows: Tensor) -> Tensor:
        padded = torch.cat([self.projections, self.projections.new_zeros(1, self.embedding_dim)])
        projection = padded[self.rows_of] + self.whole  # (F, d, d)
        return torch.bmm(rows.squeeze(3), projection).transpose(0, 1)  # (B, F, d)

    def options(self) -> dict[str, float]:
        return {"alpha": self.alpha}


def mixed_widths(table_sizes: Sequence[int], dim: int, alpha: float) -> list[int]:
    """w of each field: d (n_min / n)^alpha, rounded, and at least 1."""
    least = min(table_sizes)
    return [max(1, round(dim * (least / n) ** alpha)) for n in table_sizes]
