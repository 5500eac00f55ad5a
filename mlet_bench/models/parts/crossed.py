"""What the two models with a cross network are, but for the kind of cross."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from mlet_bench.embeddings.base import FieldTables
from mlet_bench.embeddings.draw import Draws
from mlet_bench.models.base import ClickModel, at_least
from mlet_bench.models.mlp import MLP
from mlet_bench.models.parts.cross import MatrixCross, VectorCross
from mlet_bench.models.parts.logit import LinearPart, Output


@dataclass(frozen=True)
class CrossHyper:
    """The defaults are DeepCTR's, and the authors'."""

    crosses: int = field(default=2, metadata={"help": "layers of the cross network"})
    hidden: tuple[int, ...] = field(default=(128, 128), metadata={"help": "hidden widths of the MLP"})

    def __post_init__(self) -> None:
        at_least(self, crosses=0)


class CrossedModel(ClickModel):
    """A cross network beside an MLP, both over vectors and dense features; one linear layer over both.

    Attributes:
        Cross: the kind of cross network.
    """

    wide, Hyper = True, CrossHyper
    own_recipe = "authors-b"
    Cross: ClassVar[type[VectorCross] | type[MatrixCross]]

    def __init__(
        self,
        embedding: FieldTables,
        num_dense: int,
        hyper: CrossHyper,
        draws: Draws,
        linear: FieldTables | None = None,
    ):
        super().__init__(embedding, linear)
        width = len(embedding.table_sizes) * embedding.embedding_dim + num_dense
        self.cross = self.Cross(width, hyper.crosses, draws)
        self.deep = MLP([width, *hyper.hidden], draws, last_relu=True)
        self.output = Output(width + self.deep.out_features, draws)
        self.first_order = LinearPart(num_dense, draws)

    def head(self, dense: Tensor, vectors: Tensor, linear: Tensor | None = None) -> Tensor:
        x = torch.cat([vectors.flatten(1), dense], dim=1)  # (B, F·d + D)
        both = torch.cat([self.cross(x), self.deep(x)], dim=1)
        return self.first_order(dense, linear) + self.output(both)

    @classmethod
    def activation_values(cls, hyper: CrossHyper, num_fields: int, num_dense: int, dim: int) -> int:
        width = num_fields * dim + num_dense
        return (4 + 2 * hyper.crosses) * width + sum(hyper.hidden)
