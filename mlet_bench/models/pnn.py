"""PNN with inner products (Qu et al., arXiv 1611.00144) as DeepCTR has it."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mlet_bench.embeddings.base import FieldTables
from mlet_bench.embeddings.draw import Draws
from mlet_bench.models import MODELS
from mlet_bench.models.base import ClickModel
from mlet_bench.models.interaction import PairProducts
from mlet_bench.models.mlp import MLP
from mlet_bench.models.parts.logit import Output


@dataclass(frozen=True)
class PNNHyper:
    """The defaults are DeepCTR's."""

    hidden: tuple[int, ...] = field(default=(128, 128), metadata={"help": "hidden widths of the MLP"})


@MODELS.add
class PNN(ClickModel):
    """An MLP over vectors, the dot products of all their pairs, and dense features; no linear part.

    The pairs are in DLRM's order, (1, 0), (2, 0), (2, 1), ...
    """

    name, Hyper = "pnn", PNNHyper
    own_recipe = "authors-b"

    def __init__(
        self,
        embedding: FieldTables,
        num_dense: int,
        hyper: PNNHyper,
        draws: Draws,
        linear: FieldTables | None = None,
    ):
        super().__init__(embedding, linear)
        fields = len(embedding.table_sizes)
        width = fields * embedding.embedding_dim + fields * (fields - 1) // 2 + num_dense
        self.products = PairProducts(fields)
        self.deep = MLP([width, *hyper.hidden], draws, last_relu=True)
        self.output = Output(self.deep.out_features, draws, bias=True)

    def head(self, dense: Tensor, vectors: Tensor, linear: Tensor | None = None) -> Tensor:
        x = torch.cat([vectors.flatten(1), self.products(vectors), dense], dim=1)  # (B, F·d + F(F-1)/2 + D)
        return self.output(self.deep(x))

    @classmethod
    def activation_values(cls, hyper: PNNHyper, num_fields: int, num_dense: int, dim: int) -> int:
        return 4 * num_fields * dim + 2 * num_fields**2 + num_dense + sum(hyper.hidden)
