"""Sharders that offer every plan on every device."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torchrec.distributed import embedding_tower_sharding
from torchrec.distributed.embedding_tower_sharding import EmbeddingTowerCollectionSharder
from torchrec.distributed.embedding_types import ShardingType
from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.types import ModuleSharder

ROW_WISE = (ShardingType.ROW_WISE.value, ShardingType.TABLE_ROW_WISE.value)


class BagSharder(EmbeddingBagCollectionSharder):
    """TorchRec's own, which leaves out row-wise plans on a CPU though they work there."""

    def sharding_types(self, compute_device_type: str) -> list[str]:
        return list(dict.fromkeys([*super().sharding_types(compute_device_type), *ROW_WISE]))


class TowerSharder(EmbeddingTowerCollectionSharder):
    """TorchRec's own, which fails on a CPU: it tells DistributedDataParallel a CPU as the device to use."""

    def shard(self, module, params, env, device: torch.device | None = None, module_fqn: str | None = None):
        with _replicated_on_cpu() if device is not None and device.type == "cpu" else _as_it_is():
            return super().shard(module, params, env, device, module_fqn)


def sharders(fused_params: dict[str, Any] | None = None) -> list[ModuleSharder]:
    """For DistributedModelParallel and the planner: both forms of factorised tables, and plain collections.

    Args:
        fused_params: of TorchRec's fused optimizers, for tables whose optimizer is not set by
            ``apply_optimizer_in_backward``.
    """
    return [TowerSharder(fused_params), BagSharder(fused_params)]


def dense_parameters(sharded: DistributedModelParallel) -> dict[str, nn.Parameter]:
    """The parameters that no fused optimizer trains, by name: W2 and data-parallel tables among them.

    They are the dense optimizer's; a table that stands in another process alone is left out.
    """
    fused = set(sharded.fused_optimizer.params)
    return {name: p for name, p in sharded.named_parameters() if name not in fused and p.numel()}


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


@contextmanager
def _replicated_on_cpu() -> Iterator[None]:
    """While it lasts, TorchRec's towers replicate W2 without a device, as DistributedDataParallel wants it on a CPU."""

    def replicated(module, device_ids, **options):
        return DistributedDataParallel(module, **options)

    try:
        embedding_tower_sharding.DistributedDataParallel = replicated
        yield
    finally:
        embedding_tower_sharding.DistributedDataParallel = DistributedDataParallel
