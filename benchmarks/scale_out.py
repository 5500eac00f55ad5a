"""MLET in TorchRec: bytes that a step sends, and a collapse of sharded tables against gathering them first."""

import os
import resource
import time
from collections import Counter

import torch
import torch.distributed as dist
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from mlet_bench.device import device_label, software_label
from mlet_bench.errors import BenchError

from .base import Settings, benchmark
from .measure import Measure

D, K, BATCH, FIELDS = 16, 64, 2048, 8
WIRE_ROWS = 1000
COLLAPSE_ROWS = 20_971_520  # 5 GiB of W1 at k=64
# What leaves a process, as a share of the tensor that a collective of w processes is given.
SHARES = {
    "alltoall_base_": lambda w: (w - 1) / w,
    "_reduce_scatter_base_": lambda w: (w - 1) / w,
    "reduce_scatter_": lambda w: (w - 1) / w,
    "_allgather_base_": lambda w: w - 1,
    "allgather_": lambda w: w - 1,
    "allreduce_": lambda w: 2 * (w - 1) / w,
}


class SentBytes(TorchDispatchMode):
    """Counts the bytes that this process sends, by collective, while it is entered."""

    def __init__(self):
        super().__init__()
        self.by_name = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        namespace, _, name = func._schema.name.partition("::")
        if namespace == "c10d" and name in SHARES:
            given = args[0] if name == "allreduce_" else args[1]  # reduced in place; otherwise (output, input, ...)
            tensors = [given] if isinstance(given, torch.Tensor) else torch.utils._pytree.tree_leaves(given)
            size = sum(t.numel() * t.element_size() for t in tensors if isinstance(t, torch.Tensor))
            self.by_name[name] += SHARES[name](dist.get_world_size()) * size
        return func(*args, **(kwargs or {}))


def _configs(rows: int, width: int, count: int = FIELDS):
    from torchrec import EmbeddingBagConfig

    return [
        EmbeddingBagConfig(name=f"t{i}", embedding_dim=width, num_embeddings=rows, feature_names=[f"f{i}"])
        for i in range(count)
    ]


class _Model(nn.Module):
    def __init__(self, tables, count: int = FIELDS):
        super().__init__()
        self.tables, self.over = tables, nn.Linear(count * D, 1)

    def forward(self, features):
        return self.over(self.tables(features).values())


def _sharded(tables, kind: str, count: int = FIELDS):
    """A model under DistributedModelParallel, all tables of one sharding type."""
    from torchrec.distributed.model_parallel import DistributedModelParallel
    from torchrec.distributed.planner import EmbeddingShardingPlanner, Topology
    from torchrec.distributed.planner.types import ParameterConstraints
    from torchrec.optim.apply_optimizer_in_backward import apply_optimizer_in_backward

    from mlet_bench.torchrec import sharders

    model = _Model(tables, count)
    rows = tables.rows() if hasattr(tables, "rows") else tables.parameters()
    apply_optimizer_in_backward(torch.optim.SGD, rows, {"lr": 0.1})
    limits = {f"t{i}": ParameterConstraints(sharding_types=[kind], min_partition=4) for i in range(count)}
    topology = Topology(world_size=2, local_world_size=int(os.environ["LOCAL_WORLD_SIZE"]), compute_device="cpu")
    plan = EmbeddingShardingPlanner(topology=topology, constraints=limits).collective_plan(
        model, sharders(), dist.group.WORLD
    )
    return DistributedModelParallel(model, sharders=sharders(), plan=plan, device=torch.device("cpu"))


def sent_bytes(form: str, kind: str) -> float:
    """Bytes that this process sends in a training step (the third; the first ones exchange shapes)."""
    from torchrec import EmbeddingBagCollection, KeyedJaggedTensor

    from mlet_bench.torchrec import factorize, reset_parameters

    configs, meta = _configs(WIRE_ROWS, D), torch.device("meta")
    tables = EmbeddingBagCollection(configs, device=meta) if form == "plain" else factorize(configs, K, form, meta)
    model = _sharded(tables, kind)
    reset_parameters(model, seed=0)
    ids = torch.randint(0, WIRE_ROWS, (FIELDS * BATCH,), generator=torch.Generator().manual_seed(0))
    features = KeyedJaggedTensor([f"f{i}" for i in range(FIELDS)], ids, lengths=torch.ones_like(ids))
    for _ in range(3):
        with SentBytes() as sent:
            model(features).sum().backward()
    return sum(sent.by_name.values())


def collapse_cost(gather: bool) -> tuple[float, float]:
    """Seconds to collapse 5 GiB of W1 over two processes, and by how many GiB this one's peak memory grew."""
    from mlet_bench.torchrec import collapse, factorize, reset_parameters
    from mlet_bench.torchrec.shards import tables

    model = _sharded(factorize(_configs(COLLAPSE_ROWS // 2, D, 2), K, device=torch.device("meta")), "row_wise", 2)
    reset_parameters(model, seed=0)
    before = _peak_bytes()
    dist.barrier()
    start = time.perf_counter()
    if gather:
        _gathered(tables(model))
    else:
        collapse(model)
    dist.barrier()
    return time.perf_counter() - start, (_peak_bytes() - before) / 2**30


def _gathered(found) -> list[torch.Tensor]:
    """The usual way: the first process receives each W1 whole and multiplies it, in float32."""
    made = []
    for table in found:
        whole = torch.empty(table.size) if dist.get_rank() == 0 else None
        for rank in range(dist.get_world_size()):
            first, last = table.size[0] * rank // 2, table.size[0] * (rank + 1) // 2
            if rank == dist.get_rank():
                part = table.shards[0].values
                dist.send(part, 0) if rank else whole[first:last].copy_(part)
            elif dist.get_rank() == 0:
                dist.recv(whole[first:last], rank)
        made += [whole @ table.w2] if whole is not None else []
    return made


def _peak_bytes() -> int:
    """The most memory that this process has held at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _two_processes(local_world: int, *calls) -> list:
    """What functions return in two new processes, one list a call."""
    from .processes import Processes

    two = Processes(local_world)
    try:
        return [two.run(*call) for call in calls]
    finally:
        two.close()


@benchmark("wire")
def bench_wire(settings: Settings) -> list[Measure]:
    """Bytes that both forms send in a step, against plain tables of width d, counted from the collectives.

    Raises:
        BenchError: TorchRec is not installed.
    """
    _require_torchrec()
    where = device_label(settings.device), software_label(settings.device)
    # The towers stand on a host each, so that what leaves a process leaves a host.
    plain, wide = _two_processes(2, (sent_bytes, "plain", "table_wise"), (sent_bytes, "projection", "table_wise"))
    [towers] = _two_processes(1, (sent_bytes, "towers", "table_row_wise"))
    case = f"{FIELDS} tables, B={BATCH} a process, d={D}, k={K}, 2 processes"
    measures = []
    for name, sent in (("projection", wide), ("towers", towers)):
        ours, theirs = max(sent) / 2**20, max(plain) / 2**20
        against = "plain EmbeddingBagCollection"
        measures.append(
            Measure("wire", f"{name}: {case}", ours, "MiB sent a step", against, theirs, theirs / ours, "", *where)
        )
    return measures


@benchmark("sharded-collapse")
def bench_collapse(settings: Settings) -> list[Measure]:
    """Time and memory of a collapse where the shards lie, against gathering W1 first.

    Raises:
        BenchError: TorchRec is not installed.
    """
    _require_torchrec()
    where = device_label(settings.device), software_label(settings.device)
    [ours] = _two_processes(2, (collapse_cost, False))
    [theirs] = _two_processes(2, (collapse_cost, True))
    case = f"5 GiB of W1 in two row-wise tables, d={D}, k={K}, 2 processes"
    return [
        Measure("sharded-collapse", case, mine, unit, "gather, then multiply", other, other / mine, "", *where)
        for unit, mine, other in zip(("s", "GiB more at the peak"), *(map(max, zip(*one)) for one in (ours, theirs)))
    ]


def _require_torchrec() -> None:
    try:
        import torchrec  # noqa: F401
    except ImportError:
        raise BenchError("this benchmark needs TorchRec: docs/scale-out.md says how to install it") from None
