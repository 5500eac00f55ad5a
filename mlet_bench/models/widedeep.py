"""Wide & Deep (Cheng et al., arXiv 1606.07792) as DeepCTR has it: the wide part is linear, without crossed columns."""

from mlet_bench.models import MODELS
from mlet_bench.models.parts.deep import DeepModel


@MODELS.add
class WideDeep(DeepModel):
    """The linear part beside an MLP over vectors and dense features."""

    name = "widedeep"
