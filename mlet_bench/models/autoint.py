"""AutoInt (Song et al., arXiv 1810.11921) as DeepCTR 0.2.1 and the authors of paper B have it."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mlet_bench.embeddings.base import FieldTables
from mlet_bench.embeddings.draw import Draws
from mlet_bench.models import MODELS
from mlet_bench.models.base import ClickModel, at_least
from mlet_bench.models.mlp import MLP
from mlet_bench.models.parts.attention import FieldAttention
from mlet_bench.models.parts.logit import LinearPart, Output


@dataclass(frozen=True)
class AutoIntHyper:
    """The defaults are the authors': heads of 8 whatever d. (DeepCTR 0.3.0 has heads of d / heads: another model.)"""

    layers: int = field(default=3, metadata={"help": "layers of self-attention"})
    heads: int = field(default=2, metadata={"help": "heads of a layer"})
    head_dim: int = field(default=8, metadata={"help": "width of a head"})
    hidden: tuple[int, ...] = field(default=(256, 128), metadata={"help": "hidden widths of the MLP"})

    def __post_init__(self) -> None:
        at_least(self, layers=0, heads=1, head_dim=1)


@MODELS.add
class AutoInt(ClickModel):
    """Self-attention between fields beside an MLP over vectors and dense features; one linear layer over both."""

    name, wide, Hyper = "autoint", True, AutoIntHyper
    own_recipe = "authors-b"

    def __init__(
        self,
        embedding: FieldTables,
        num_dense: int,
        hyper: AutoIntHyper,
        draws: Draws,
        linear: FieldTables | None = None,
    ):
        super().__init__(embedding, linear)
        fields, d, out = len(embedding.table_sizes), embedding.embedding_dim, hyper.heads * hyper.head_dim
        width = fields * d + num_dense
        self.attention = nn.Sequential(
            *(FieldAttention(out if layer else d, hyper.heads, hyper.head_dim, draws) for layer in range(hyper.layers))
        )
        attended = fields * (out if hyper.layers else d)
        self.deep = MLP([width, *hyper.hidden], draws, last_relu=True)
        self.output = Output(attended + self.deep.out_features, draws)
        self.first_order = LinearPart(num_dense, draws)

    def head(self, dense: Tensor, vectors: Tensor, linear: Tensor | None = None) -> Tensor:
        x = torch.cat([vectors.flatten(1), dense], dim=1)  # (B, F·d + D)
        both = torch.cat([self.attention(vectors).flatten(1), self.deep(x)], dim=1)
        return self.first_order(dense, linear) + self.output(both)

    @classmethod
    def activation_values(cls, hyper: AutoIntHyper, num_fields: int, num_dense: int, dim: int) -> int:
        of_layer = 6 * num_fields * hyper.heads * hyper.head_dim + 2 * hyper.heads * num_fields**2
        return 4 * num_fields * dim + num_dense + hyper.layers * of_layer + sum(hyper.hidden)
