"""NFM (He and Chua, arXiv 1708.05027) as DeepCTR and the authors of paper B have it."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mlet_bench.embeddings.base import FieldTables
from mlet_bench.embeddings.draw import Draws
from mlet_bench.models import MODELS
from mlet_bench.models.base import ClickModel
from mlet_bench.models.mlp import MLP
from mlet_bench.models.parts.fm import bi_interaction
from mlet_bench.models.parts.logit import LinearPart, Output


@dataclass(frozen=True)
class NFMHyper:
    """The defaults are the authors'."""

    hidden: tuple[int, ...] = field(default=(128, 128), metadata={"help": "hidden widths of the MLP"})


@MODELS.add
class NFM(ClickModel):
    """An MLP over the sum of all pairs' products, element by element, and the dense features."""

    name, wide, Hyper = "nfm", True, NFMHyper
    own_recipe = "authors-b"

    def __init__(
        self,
        embedding: FieldTables,
        num_dense: int,
        hyper: NFMHyper,
        draws: Draws,
        linear: FieldTables | None = None,
    ):
        super().__init__(embedding, linear)
        width = embedding.embedding_dim + num_dense
        self.deep = MLP([width, *hyper.hidden], draws, last_relu=True)
        self.output = Output(self.deep.out_features, draws)
        self.first_order = LinearPart(num_dense, draws)

    def head(self, dense: Tensor, vectors: Tensor, linear: Tensor | None = None) -> Tensor:
        x = torch.cat([bi_interaction(vectors), dense], dim=1)  # (B, d + D)
        return self.first_order(dense, linear) + self.output(self.deep(x))
