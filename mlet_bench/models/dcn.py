"""Deep & Cross (Wang et al., arXiv 1708.05123) as DeepCTR and the authors of paper B have it."""

from mlet_bench.models import MODELS
from mlet_bench.models.parts.cross import VectorCross
from mlet_bench.models.parts.crossed import CrossedModel


@MODELS.add
class DCN(CrossedModel):
    """A vector in each cross."""

    name = "dcn"
    Cross = VectorCross
