"""Which part of each W1 stands in this process."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn
from torch.distributed._shard.sharded_tensor import ShardedTensor

from mlet_bench.torchrec.modules import MLETTables


@dataclass(frozen=True)
class Shard:
    """A rectangle of a table.

    Attributes:
        values: (rows, columns), the parameter's own memory.
        first_row, first_column: its place in the table.
    """

    values: Tensor
    first_row: int
    first_column: int


@dataclass(frozen=True)
class Table:
    """One table, as far as it stands in this process.

    Attributes:
        path: of the factorised module in the model.
        number: its place among the module's tables, which is its stream of random numbers.
        size: (n, k) of the whole W1.
        w2: (k, d); None where no part of the table stands here.
        shards: empty where none does.
        is_replicated: whether every process has all of it.
    """

    path: str
    number: int
    name: str
    size: tuple[int, int]
    embedding_dim: int
    w2: Tensor | None
    shards: tuple[Shard, ...]
    is_replicated: bool

    def product(self, first: int, last: int, first_column: int) -> Tensor:
        """Rows first..last of W1 W2, as far as the columns of one of the shards give it: (last - first, d), float64."""
        [shard] = [
            shard
            for shard in self.shards
            if shard.first_column == first_column and 0 <= first - shard.first_row < len(shard.values)
        ]
        rows = shard.values[first - shard.first_row : last - shard.first_row].double()
        return rows @ self.w2[first_column : first_column + rows.shape[1]].double()


def factorized(model: nn.Module) -> Iterator[tuple[str, MLETTables]]:
    """The factorised tables in a model, sharded or not, by their path in the model as it was before it was sharded."""
    for path, module in model.named_modules():
        if isinstance(module, MLETTables):
            # What DistributedModelParallel and DistributedDataParallel put around a model.
            kept = [part for part in path.split(".") if part not in ("_dmp_wrapped_module", "module")]
            yield ".".join(kept), module


def tables(model: nn.Module) -> list[Table]:
    """Every factorised table of a model, in an order that is the same in all processes."""
    found = []
    for path, module in factorized(model):
        here = {}
        for collection, w2 in module.collections():
            for key, weight in collection.state_dict().items():
                name = key.removeprefix("embedding_bags.").removesuffix(".weight")
                here[name] = (*_shards(weight), w2[name].detach())
        for number, (config, k) in enumerate(zip(module.configs, module.inner_dims)):
            shards, is_replicated, w2 = here.get(config.name, ((), False, None))
            size = (config.num_embeddings, k)
            found.append(Table(path, number, config.name, size, config.embedding_dim, w2, shards, is_replicated))
    return found


def _shards(weight: Tensor | ShardedTensor) -> tuple[tuple[Shard, ...], bool]:
    """The parts of one table that stand here, and whether that is all of it everywhere."""
    if isinstance(weight, ShardedTensor):
        parts = [Shard(part.tensor, *part.metadata.shard_offsets) for part in weight.local_shards()]
        return tuple(parts), False
    return (Shard(weight.detach(), 0, 0),), True
