"""xDeepFM (Lian et al., arXiv 1803.05170) as DeepCTR and the authors of paper B have it."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mlet_bench.embeddings.base import FieldTables
from mlet_bench.embeddings.draw import Draws
from mlet_bench.errors import BenchError
from mlet_bench.models import MODELS
from mlet_bench.models.base import ClickModel
from mlet_bench.models.mlp import MLP
from mlet_bench.models.parts.cin import CIN
from mlet_bench.models.parts.logit import LinearPart, Output


@dataclass(frozen=True)
class XDeepFMHyper:
    """The defaults are the authors'."""

    cin: tuple[int, ...] = field(default=(256, 128), metadata={"help": "maps of each layer of the CIN"})
    hidden: tuple[int, ...] = field(default=(256, 256), metadata={"help": "hidden widths of the MLP"})

    def __post_init__(self) -> None:
        if not self.cin or any(size % 2 for size in self.cin[:-1]):
            raise BenchError(
                f"cin of model 'xdeepfm' is {list(self.cin)}: expected one or more sizes, even in all but the last, as "
                "half the maps of a layer go to the next"
            )


@MODELS.add
class XDeepFM(ClickModel):
    """A compressed interaction network over the vectors beside an MLP over vectors and dense features."""

    name, wide, Hyper = "xdeepfm", True, XDeepFMHyper
    own_recipe = "authors-b"

    def __init__(
        self,
        embedding: FieldTables,
        num_dense: int,
        hyper: XDeepFMHyper,
        draws: Draws,
        linear: FieldTables | None = None,
    ):
        super().__init__(embedding, linear)
        width = len(embedding.table_sizes) * embedding.embedding_dim + num_dense
        self.cin = CIN(len(embedding.table_sizes), hyper.cin, draws)
        self.deep = MLP([width, *hyper.hidden], draws, last_relu=True)
        self.output = Output(self.deep.out_features, draws)
        self.cin_output = Output(self.cin.outputs, draws)
        self.first_order = LinearPart(num_dense, draws)

    def head(self, dense: Tensor, vectors: Tensor, linear: Tensor | None = None) -> Tensor:
        x = torch.cat([vectors.flatten(1), dense], dim=1)  # (B, F·d + D)
        own = self.output(self.deep(x)) + self.cin_output(self.cin(vectors))
        return self.first_order(dense, linear) + own

    @classmethod
    def activation_values(cls, hyper: XDeepFMHyper, num_fields: int, num_dense: int, dim: int) -> int:
        inputs = (num_fields, *(size // 2 for size in hyper.cin))
        of_layers = [maps * num_fields + 2 * size for maps, size in zip(inputs, hyper.cin)]
        # Of the 16,384 rows that are scored at a time CIN makes the products of ROWS.
        return dim * sum(of_layers) // 16 + 4 * num_fields * dim + num_dense + sum(hyper.hidden)
