"""W1 as TorchRec's tables and W2 beside them, in two forms, each a drop-in for an EmbeddingBagCollection.

Pooling is linear, so the pooled rows of W1 times W2 are the pooled rows of W1 W2: sums, means and weights keep working.

Shapes: B batch, k inner width, d embedding width; a table has n rows and one or more features.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torchrec.distributed.types import LazyAwaitable
from torchrec.modules.embedding_configs import EmbeddingBagConfig
from torchrec.modules.embedding_modules import EmbeddingBagCollection
from torchrec.modules.embedding_tower import EmbeddingTower, EmbeddingTowerCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor, KeyedTensor

WIDTH_MULTIPLE = 4  # fbgemm's kernels take no other widths


class MLETTables(nn.Module):
    """What both forms share.

    Args:
        configs: the tables that are served, ``embedding_dim`` d.
        inner_dims: k of each table.

    Attributes:
        configs: as given.
    """

    def __init__(self, configs: Sequence[EmbeddingBagConfig], inner_dims: Sequence[int]):
        super().__init__()
        self.configs, self.inner_dims = tuple(configs), tuple(inner_dims)

    def inner_configs(self) -> list[EmbeddingBagConfig]:
        """The tables that are trained: those of ``configs`` at width k."""
        return [replace(config, embedding_dim=k) for config, k in zip(self.configs, self.inner_dims, strict=True)]

    def rows(self) -> Iterator[nn.Parameter]:
        """W1 of each table, for ``apply_optimizer_in_backward``, before the model is sharded."""
        raise NotImplementedError

    def collections(self) -> Iterator[tuple[nn.Module, dict[str, Tensor]]]:
        """Each collection of W1 that this process has a part of, with W2 (k, d) by name of the table."""
        raise NotImplementedError

    def features(self) -> list[str]:
        """The features in the order of the tables."""
        return [name for config in self.configs for name in config.feature_names]


class ProjectedTables(MLETTables):
    """An EmbeddingBagCollection of width k and a product behind it. Any plan; vectors of width k cross the wire.

    Attributes:
        w1: the collection, under DistributedModelParallel its sharded form.
        w2: by name of the table (k, d), replicated, trained by the dense optimizer.
    """

    def __init__(
        self, configs: Sequence[EmbeddingBagConfig], inner_dims: Sequence[int], is_weighted: bool = False,
        device: torch.device | None = None,
    ):  # fmt: skip
        super().__init__(configs, inner_dims)
        self.w1 = EmbeddingBagCollection(self.inner_configs(), is_weighted=is_weighted, device=device)
        # A table's name may hold what a parameter's may not, so they stand in the order of the tables.
        self.w2 = nn.ParameterList(
            nn.Parameter(torch.empty(k, config.embedding_dim, device=device))
            for config, k in zip(self.configs, self.inner_dims)
        )

    def forward(self, features: KeyedJaggedTensor) -> KeyedTensor:
        """Pooled vectors of width d by feature, in the order of the tables."""
        # By name: a sharded collection's columns come in the order of the ranks.
        wide = self.w1(features).to_dict()
        parts = [wide[name] @ w2 for config, w2 in zip(self.configs, self.w2) for name in config.feature_names]
        return KeyedTensor(self.features(), [part.shape[1] for part in parts], torch.cat(parts, dim=1))  # (B, sum d)

    def rows(self) -> Iterator[nn.Parameter]:
        yield from self.w1.parameters()

    def collections(self) -> Iterator[tuple[nn.Module, dict[str, Tensor]]]:
        yield self.w1, {config.name: w2 for config, w2 in zip(self.configs, self.w2)}


class Projection(nn.Module):
    """W2 of one table as a tower's interaction: it lives with its table. weight: (k, d)."""

    def __init__(self, inner_dim: int, embedding_dim: int, device: torch.device | None = None):
        super().__init__()
        if device is not None and device.type == "meta":
            device = None  # TorchRec copies a tower's interaction as it shards the tower
        self.weight = nn.Parameter(torch.empty(inner_dim, embedding_dim, device=device))

    def forward(self, pooled: KeyedTensor) -> Tensor:
        """The vectors of the table's features side by side. pooled: features × (B, k) → (B, features · d)."""
        return torch.cat([wide @ self.weight for wide in pooled.to_dict().values()], dim=1)


class TowerTables(MLETTables):
    """A tower a table: the rows of W1 are multiplied on the host that has them, and vectors of width d leave it.

    TorchRec shards towers within a host, by rows or by columns (``table_row_wise``, ``table_column_wise``).

    Attributes:
        towers: an EmbeddingTowerCollection, under DistributedModelParallel its sharded form.
    """

    def __init__(
        self, configs: Sequence[EmbeddingBagConfig], inner_dims: Sequence[int], is_weighted: bool = False,
        device: torch.device | None = None,
    ):  # fmt: skip
        super().__init__(configs, inner_dims)
        self.is_weighted = is_weighted
        self.towers = EmbeddingTowerCollection(
            [
                EmbeddingTower(
                    EmbeddingBagCollection([config], is_weighted=is_weighted, device=device),
                    Projection(config.embedding_dim, served.embedding_dim, device),
                )
                for config, served in zip(self.inner_configs(), self.configs)
            ]
        )

    def forward(self, features: KeyedJaggedTensor) -> KeyedTensor:
        """Pooled vectors of width d by feature, in the order of the ranks."""
        out = self.towers(weighted_features=features) if self.is_weighted else self.towers(features)  # (B, sum d)
        out = out.wait() if isinstance(out, LazyAwaitable) else out
        widths = {name: config.embedding_dim for config in self.configs for name in config.feature_names}
        keys = self._keys()
        return KeyedTensor(keys, [widths[name] for name in keys], out)

    def rows(self) -> Iterator[nn.Parameter]:
        for tower in self.towers.towers:
            yield from tower.embedding.parameters()

    def _keys(self) -> list[str]:
        """The features in the order in which the towers give them, host by host once they are sharded."""
        if isinstance(self.towers, EmbeddingTowerCollection):
            return self.features()
        # No public name says it; were this one to go, an error is better than W2 of another table.
        return self.towers._wkjt_feature_names if self.is_weighted else self.towers._kjt_feature_names

    def collections(self) -> Iterator[tuple[nn.Module, dict[str, Tensor]]]:
        if isinstance(self.towers, EmbeddingTowerCollection):
            for config, tower in zip(self.configs, self.towers.towers):
                yield tower.embedding, {config.name: tower.interaction.weight}
            return
        for number, embedding in self.towers.embeddings.items():  # those of this host
            yield embedding, {self.configs[int(number)].name: self.towers.interactions[number].module.weight}
