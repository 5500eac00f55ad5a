"""Initial values by (seed, table, row, column): a sharded model starts as the unsharded one."""

import torch
from torch import nn

from mlet_bench.arms import PAPER_W2_STD
from mlet_bench.embeddings.draw import W2, normal_, stream_of, uniform_
from mlet_bench.spec import derive_seed
from mlet_bench.torchrec.shards import tables

BLOCK_ROWS = 2**16  # drawn at a time where a shard has some of the columns: whole rows are drawn, then cut


@torch.no_grad()
def reset_parameters(model: nn.Module, seed: int, w2_std: float = PAPER_W2_STD) -> None:
    """Draw W1 ~ U(-1/sqrt(n), 1/sqrt(n)) and W2 ~ N(0, w2_std²) of every factorised table, whatever the plan.

    The values are those of the suite's own tables with the same seed. Each process draws its shards alone; nothing is
    sent.

    Args:
        model: a model with tables made by ``factorize``, under DistributedModelParallel or not.
        seed: the run's seed.
    """
    seed = derive_seed(seed, "embedding")
    for table in tables(model):
        bound, stream = table.size[0] ** -0.5, stream_of(table.number)
        for shard in table.shards:
            rows, columns = shard.values.shape
            if columns == table.size[1]:
                uniform_(shard.values, seed, stream, bound, shard.first_row)
                continue
            for first in range(0, rows, BLOCK_ROWS):
                part = shard.values[first : first + BLOCK_ROWS]
                # The values of a row's left columns do not depend on how many columns it has.
                drawn = part.new_empty(len(part), shard.first_column + columns)
                part.copy_(uniform_(drawn, seed, stream, bound, shard.first_row + first)[:, shard.first_column :])
        if table.w2 is not None:
            normal_(table.w2, seed, stream_of(table.number, W2), w2_std)
