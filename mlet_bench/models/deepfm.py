"""DeepFM (Guo et al., arXiv 1703.04247) as DeepCTR and the authors of paper B have it."""

from torch import Tensor

from mlet_bench.models import MODELS
from mlet_bench.models.parts.deep import DeepModel
from mlet_bench.models.parts.fm import bi_interaction


@MODELS.add
class DeepFM(DeepModel):
    """The dot products of all pairs of vectors, summed, beside a linear part and an MLP."""

    name = "deepfm"

    def head(self, dense: Tensor, vectors: Tensor, linear: Tensor | None = None) -> Tensor:
        return super().head(dense, vectors, linear) + bi_interaction(vectors).sum(1)
