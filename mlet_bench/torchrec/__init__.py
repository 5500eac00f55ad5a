"""MLET in TorchRec: tables sharded over devices and hosts, trained as W1 W2 and collapsed where they lie.

It needs torchrec and fbgemm-gpu, which are no dependencies of this package: see docs/scale-out.md.

Example::

    from torchrec.distributed.model_parallel import DistributedModelParallel

    from mlet_bench.torchrec import collapse, factorize, reset_parameters, sharders

    model.tables = factorize(model.tables, inner_dim=64)  # an EmbeddingBagCollection, on the meta device
    sharded = DistributedModelParallel(model, sharders=sharders(), device=device)
    reset_parameters(sharded, seed=0)
    ...  # train
    torch.distributed.checkpoint.save(collapse(sharded), checkpoint_id="n-by-d")  # plain tables; nothing is gathered
"""

from mlet_bench.errors import BenchError

try:
    import torchrec  # noqa: F401
except ImportError as error:
    raise BenchError(
        f"mlet_bench.torchrec needs torchrec and fbgemm-gpu ({error}): docs/scale-out.md says how to install them"
    ) from None

from mlet_bench.torchrec.check import check_collapsed
from mlet_bench.torchrec.collapse import collapse
from mlet_bench.torchrec.factorize import factorize
from mlet_bench.torchrec.initial import reset_parameters
from mlet_bench.torchrec.modules import MLETTables, ProjectedTables, TowerTables
from mlet_bench.torchrec.sharding import dense_parameters, sharders

__all__ = [
    "MLETTables", "ProjectedTables", "TowerTables", "check_collapsed", "collapse", "dense_parameters", "factorize",
    "reset_parameters", "sharders",
]  # fmt: skip
