"""W1 W2 of sharded tables, each part multiplied where it lies; no process holds more than its share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed._shard.metadata import ShardMetadata
from torch.distributed._shard.sharded_tensor import ShardedTensor, ShardedTensorMetadata, TensorProperties
from torch.distributed._shard.sharded_tensor.shard import Shard as LocalShard

from mlet_bench.torchrec.shards import Table, tables

BLOCK_ROWS = 2**12  # multiplied in float64, and sent, at a time: what a CPU's cache holds


@dataclass(frozen=True)
class Piece:
    """A part of a W1 as every process knows it: whose it is, where, and its place in the table."""

    rank: int
    device: str
    first_row: int
    last_row: int
    first_column: int
    last_column: int


@torch.no_grad()
def collapse(model: nn.Module) -> dict[str, Tensor | ShardedTensor]:
    """The n×d tables of a model with factorised ones; all processes call it together.

    A product is taken in float64, block by block, and rounded once to float32. Rows that one process has whole are
    multiplied there. Of rows whose columns are spread over several processes each gets an equal part to add up, in the
    order of the columns, and the others send it their partial products, a block at a time.

    Args:
        model: with tables made by ``factorize``, under DistributedModelParallel or not.

    Returns:
        For each table ``<path of the tables in the model>.embedding_bags.<table>.weight``, the name that it has where a
        plain EmbeddingBagCollection stands in the same place: a tensor in one process; in several a ShardedTensor, of
        which each has its part. ``torch.distributed.checkpoint`` saves it, and loads it into a plain model under any
        plan.
    """
    found = {f"{table.path}.embedding_bags.{table.name}.weight".lstrip("."): table for table in tables(model)}
    if not (dist.is_initialized() and dist.get_world_size() > 1):
        return {key: _whole(table) for key, table in found.items()}
    pieces = _everybodys_pieces(found)
    return {key: _collapsed(table, pieces[key]) for key, table in found.items()}


def _whole(table: Table) -> Tensor:
    """The product of a table that this process has alone."""
    made = torch.empty(table.size[0], table.embedding_dim, device=table.shards[0].values.device)
    for first in range(0, len(made), BLOCK_ROWS):
        last = min(first + BLOCK_ROWS, len(made))
        made[first:last] = sum(table.product(first, last, shard.first_column) for shard in table.shards)
    return made


def _everybodys_pieces(found: dict[str, Table]) -> dict[str, list[Piece]]:
    """Who has what, a few numbers a shard; of a replicated table each process gives an equal part of the rows."""
    rank, world = dist.get_rank(), dist.get_world_size()
    mine = []
    for key, table in found.items():
        for shard in table.shards:
            rows, columns = shard.values.shape
            first, last = _part(0, rows, rank, world) if table.is_replicated else (0, rows)
            place = (shard.first_row + first, shard.first_row + last, shard.first_column, shard.first_column + columns)
            mine.append((key, Piece(rank, str(shard.values.device), *place)))
    everybodys: list = [None] * world
    dist.all_gather_object(everybodys, mine)
    pieces = defaultdict(list)
    for key, piece in (item for theirs in everybodys for item in theirs):
        pieces[key].append(piece)
    return pieces


def _part(first: int, last: int, number: int, count: int) -> tuple[int, int]:
    """The part of a range of rows that one of several gets."""
    rows = last - first
    return first + rows * number // count, first + rows * (number + 1) // count


def _collapsed(table: Table, pieces: list[Piece]) -> ShardedTensor:
    """One n×d table, of which this process makes its part."""
    columns_of = defaultdict(list)
    for piece in sorted(pieces, key=lambda piece: (piece.first_row, piece.first_column)):
        columns_of[piece.first_row, piece.last_row].append(piece)
    mine, everybodys = [], []
    for (first, last), columns in columns_of.items():
        for number, owner in enumerate(columns):
            start, stop = _part(first, last, number, len(columns))
            if start == stop:
                continue
            place = f"rank:{owner.rank}/{owner.device}"
            metadata = ShardMetadata([start, 0], [stop - start, table.embedding_dim], place)
            everybodys.append(metadata)
            made = _summed(table, columns, owner, start, stop)
            if made is not None:
                mine.append(LocalShard(made, metadata))
    size = torch.Size((table.size[0], table.embedding_dim))
    whole = ShardedTensorMetadata(everybodys, size, TensorProperties(dtype=torch.float32))
    return ShardedTensor._init_from_local_shards_and_global_metadata(mine, whole)


def _summed(table: Table, columns: Sequence[Piece], owner: Piece, start: int, stop: int) -> Tensor | None:
    """Rows start..stop of W1 W2 where ``owner`` is this process; the others of ``columns`` send it their parts."""
    rank = dist.get_rank()
    made = torch.empty(stop - start, table.embedding_dim, device=owner.device) if owner.rank == rank else None
    for first in range(start, stop, BLOCK_ROWS):
        last = min(first + BLOCK_ROWS, stop)
        total = 0
        for piece in columns:
            part = table.product(first, last, piece.first_column) if piece.rank == rank else None
            if made is not None:
                if part is None:
                    part = torch.empty(last - first, table.embedding_dim, dtype=torch.float64, device=owner.device)
                    dist.recv(part, piece.rank)
                total = total + part
            elif part is not None:
                dist.send(part, owner.rank)
        if made is not None:
            made[first - start : last - start] = total
    return made
