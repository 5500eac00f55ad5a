"""DLRM (Naumov et al., arXiv 1906.00091) as facebookresearch/dlrm trains it on Criteo-Kaggle."""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from mlet_bench.embeddings.base import FieldTables
from mlet_bench.embeddings.draw import Draws
from mlet_bench.models import MODELS
from mlet_bench.models.base import ClickModel
from mlet_bench.models.interaction import Interaction
from mlet_bench.models.mlp import MLP


@dataclass(frozen=True)
class DLRMHyper:
    """Hidden widths: the bottom MLP ends in d, the top MLP in one logit. The defaults are the authors'."""

    bottom: tuple[int, ...] = field(default=(256, 64), metadata={"help": "hidden widths of the bottom MLP"})
    top: tuple[int, ...] = field(default=(512, 256), metadata={"help": "hidden widths of the top MLP"})


@MODELS.add
class DLRM(ClickModel):
    """Bottom MLP over the dense features, pairwise dot products with the embeddings, top MLP to one logit.

    The bottom MLP ends in ReLU; the sigmoid of the logit is the predicted click probability.

    Args:
        embedding: gives (B, F, d) vectors for (B, F) ids.
        num_dense: number of dense features.
        draws: the MLPs' initial values.

    Example::

        model = DLRM(SingleTables([1460, 583], 16), 13, DLRMHyper(), Draws(0))
        logits = model(dense, ids)  # (B, 13), (B, 2) → (B,)
    """

    name = "dlrm"
    Hyper = DLRMHyper
    recipes: ClassVar = {"dlrm": {"bottom": (512, 256, 64)}}

    def __init__(
        self,
        embedding: FieldTables,
        num_dense: int,
        hyper: DLRMHyper,
        draws: Draws,
        linear: FieldTables | None = None,
    ):
        super().__init__(embedding, linear)
        d, vectors = embedding.embedding_dim, len(embedding.table_sizes) + 1
        self.bottom = MLP([num_dense, *hyper.bottom, d], draws, last_relu=True)
        self.top = MLP([d + vectors * (vectors - 1) // 2, *hyper.top, 1], draws, last_relu=False)
        self.interaction = Interaction(vectors)

    def head(self, dense: Tensor, vectors: Tensor, linear: Tensor | None = None) -> Tensor:
        return self.top(self.interaction(self.bottom(dense), vectors)).squeeze(1)

    @classmethod
    def activation_values(cls, hyper: DLRMHyper, num_fields: int, num_dense: int, dim: int) -> int:
        vectors = num_fields + 1
        return 2 * vectors * dim + 2 * vectors * vectors + sum(hyper.bottom) + sum(hyper.top)
