"""What the models are that have an MLP over all features beside a linear part."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mlet_bench.embeddings.base import FieldTables
from mlet_bench.embeddings.draw import Draws
from mlet_bench.models.base import ClickModel
from mlet_bench.models.mlp import MLP
from mlet_bench.models.parts.logit import LinearPart, Output


@dataclass(frozen=True)
class DeepHyper:
    """The defaults are DeepCTR's, and the authors'."""

    hidden: tuple[int, ...] = field(default=(256, 128), metadata={"help": "hidden widths of the MLP"})


class DeepModel(ClickModel):
    """The linear part beside an MLP over vectors and dense features."""

    wide, Hyper = True, DeepHyper
    own_recipe = "authors-b"

    def __init__(
        self,
        embedding: FieldTables,
        num_dense: int,
        hyper: DeepHyper,
        draws: Draws,
        linear: FieldTables | None = None,
    ):
        super().__init__(embedding, linear)
        width = len(embedding.table_sizes) * embedding.embedding_dim + num_dense
        self.deep = MLP([width, *hyper.hidden], draws, last_relu=True)
        self.output = Output(self.deep.out_features, draws)
        self.first_order = LinearPart(num_dense, draws)

    def head(self, dense: Tensor, vectors: Tensor, linear: Tensor | None = None) -> Tensor:
        x = torch.cat([vectors.flatten(1), dense], dim=1)  # (B, F·d + D)
        return self.first_order(dense, linear) + self.output(self.deep(x))
