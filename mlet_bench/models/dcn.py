"""Deep & Cross (Wang et al., arXiv 1708.05123) as DeepCTR and the authors of paper B have it."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mlet_bench.embeddings.base import FieldTables
from mlet_bench.embeddings.draw import Draws
from mlet_bench.models import MODELS
from mlet_bench.models.base import ClickModel, at_least
from mlet_bench.models.mlp import MLP
from mlet_bench.models.parts.cross import VectorCross
from mlet_bench.models.parts.logit import LinearPart, Output


@dataclass(frozen=True)
class DCNHyper:
    """The defaults are DeepCTR's, and the authors'."""

    crosses: int = field(default=2, metadata={"help": "layers of the cross network"})
    hidden: tuple[int, ...] = field(default=(128, 128), metadata={"help": "hidden widths of the MLP"})

    def __post_init__(self) -> None:
        at_least(self, crosses=0)


@MODELS.add
class DCN(ClickModel):
    """A cross network beside an MLP, both over vectors and dense features; one linear layer over both."""

    name, wide, Hyper = "dcn", True, DCNHyper

    def __init__(
        self,
        embedding: FieldTables,
        num_dense: int,
        hyper: DCNHyper,
        draws: Draws,
        linear: FieldTables | None = None,
    ):
        super().__init__(embedding, linear)
        width = len(embedding.table_sizes) * embedding.embedding_dim + num_dense
        self.cross = VectorCross(width, hyper.crosses, draws)
        self.deep = MLP([width, *hyper.hidden], draws, last_relu=True)
        self.output = Output(width + self.deep.out_features, draws)
        self.first_order = LinearPart(num_dense, draws)

    def head(self, dense: Tensor, vectors: Tensor, linear: Tensor | None = None) -> Tensor:
        x = torch.cat([vectors.flatten(1), dense], dim=1)  # (B, F·d + D)
        both = torch.cat([self.cross(x), self.deep(x)], dim=1)
        return self.first_order(dense, linear) + self.output(both)

    @classmethod
    def activation_values(cls, hyper: DCNHyper, num_fields: int, num_dense: int, dim: int) -> int:
        width = num_fields * dim + num_dense
        return (4 + 2 * hyper.crosses) * width + sum(hyper.hidden)
