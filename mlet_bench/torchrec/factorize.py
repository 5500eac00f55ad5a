"""From plain collections, or their configs, to factorised ones."""

from collections.abc import Mapping, Sequence

import torch
from torchrec.modules.embedding_configs import EmbeddingBagConfig
from torchrec.modules.embedding_modules import EmbeddingBagCollection

from mlet_bench.errors import BenchError
from mlet_bench.torchrec.modules import WIDTH_MULTIPLE, MLETTables, ProjectedTables, TowerTables

FORMS = {"projection": ProjectedTables, "towers": TowerTables}


def factorize(
    tables: EmbeddingBagCollection | Sequence[EmbeddingBagConfig],
    inner_dim: int | Mapping[str, int],
    form: str = "projection",
    device: torch.device | None = None,
) -> MLETTables:
    """Tables of the same names, features and widths whose rows are W1 W2; their values are not drawn.

    Make it before the model is sharded, on ``torch.device("meta")`` if the tables are large, shard the model with
    ``sharders()``, then draw the values with ``reset_parameters``.

    Args:
        tables: a plain collection, whose values are not taken over, or its configs.
        inner_dim: k, for all tables or by name of the table.
        form: ``projection`` (any plan, k-wide vectors cross the wire) or ``towers`` (W2 lives with its table, d-wide
            vectors cross the wire).
        device: where the tables stand until they are sharded; a collection's own if None.

    Returns:
        A module that takes a KeyedJaggedTensor and gives a KeyedTensor, as the collection did.

    Raises:
        BenchError: there is no such form, or a k is missing or no positive multiple of 4, which fbgemm's kernels need.
    """
    if form not in FORMS:
        raise BenchError(f"there is no form {form!r}: choose {' or '.join(map(repr, FORMS))}")
    is_weighted = False
    if isinstance(tables, EmbeddingBagCollection):
        is_weighted, device = tables.is_weighted(), device or tables.device
        tables = tables.embedding_bag_configs()
    return FORMS[form](tables, [_inner_dim(config, inner_dim) for config in tables], is_weighted, device)


def _inner_dim(config: EmbeddingBagConfig, inner_dim: int | Mapping[str, int]) -> int:
    """k of one table."""
    if isinstance(inner_dim, Mapping) and config.name not in inner_dim:
        raise BenchError(f"inner_dim has no k for table {config.name!r}: it has {', '.join(inner_dim)}")
    k = inner_dim[config.name] if isinstance(inner_dim, Mapping) else inner_dim
    if not isinstance(k, int) or k < 1 or k % WIDTH_MULTIPLE:
        raise BenchError(f"inner_dim {k!r} of table {config.name!r} is no positive multiple of {WIDTH_MULTIPLE}")
    return k
