"""DCNv2 (Wang et al., arXiv 2008.13535), its parallel form, as DeepCTR has it."""

from mlet_bench.models import MODELS
from mlet_bench.models.parts.cross import MatrixCross
from mlet_bench.models.parts.crossed import CrossedModel


@MODELS.add
class DCNv2(CrossedModel):
    """A matrix in each cross."""

    name = "dcnv2"
    Cross = MatrixCross
