"""What the tests run in each of two processes."""

import copy
import os
import sys

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as checkpoint
from torch import nn
from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, KeyedJaggedTensor, PoolingType
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.planner import EmbeddingShardingPlanner, Topology
from torchrec.distributed.planner.types import ParameterConstraints
from torchrec.optim.apply_optimizer_in_backward import apply_optimizer_in_backward
from torchrec.optim.rowwise_adagrad import RowWiseAdagrad

from mlet_bench.embeddings.mlet import MLETTables as SuiteTables
from mlet_bench.errors import BenchError
from mlet_bench.spec import derive_seed
from mlet_bench.torchrec import check_collapsed, collapse, dense_parameters, factorize, reset_parameters, sharders
from mlet_bench.torchrec.shards import tables

collapsing = sys.modules["mlet_bench.torchrec.collapse"]  # the module; the package gives the function that name

SIZES, D, K, BATCH = (50, 31, 7, 101), 8, 16, 6
LR = 0.5


def configs():
    """Four tables; the last has two features, the third takes means."""
    features = [["f0"], ["f1"], ["f2"], ["f3", "f4"]]
    pooling = [PoolingType.SUM, PoolingType.SUM, PoolingType.MEAN, PoolingType.SUM]
    return [
        EmbeddingBagConfig(
            name=f"t{i}", embedding_dim=D, num_embeddings=n, feature_names=features[i], pooling=pooling[i]
        )
        for i, n in enumerate(SIZES)
    ]


class Model(nn.Module):
    """A linear layer over the vectors of all features; it reads them by name."""

    def __init__(self, tables):
        super().__init__()
        self.tables, self.over = tables, nn.Linear(5 * D, 1)
        with torch.no_grad():
            self.over.weight.copy_(torch.linspace(-1, 1, 5 * D)), self.over.bias.zero_()

    def forward(self, features):
        vectors = self.tables(features).to_dict()
        return self.over(torch.cat([vectors[f"f{i}"] for i in range(5)], dim=1)).squeeze(1)


def factorised(form, device="cpu"):
    return Model(factorize(configs(), K, form, torch.device(device)))


def shard(model, plan):
    """The model under DistributedModelParallel with a sharding type for each table."""
    local_world = int(os.environ["LOCAL_WORLD_SIZE"])
    limits = {f"t{i}": ParameterConstraints(sharding_types=[kind], min_partition=4) for i, kind in enumerate(plan)}
    topology = Topology(world_size=2, local_world_size=local_world, compute_device="cpu")
    planner = EmbeddingShardingPlanner(topology=topology, constraints=limits)
    found = planner.collective_plan(model, sharders(), dist.group.WORLD)
    return DistributedModelParallel(model, sharders=sharders(), plan=found, device=torch.device("cpu"))


def make_batches(count, seed=1):
    """Bags of 0 to 3 ids for the rows of both processes, with labels."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [*SIZES[:3], SIZES[3], SIZES[3]]
    for _ in range(count):
        lengths = torch.randint(0, 4, (5, 2 * BATCH), generator=generator)
        values = [torch.randint(0, n, (int(row.sum()),), generator=generator) for n, row in zip(sizes, lengths)]
        yield lengths, values, torch.randint(0, 2, (2 * BATCH,), generator=generator).float()


def features(lengths, values, first, last):
    part = [ids[int(row[:first].sum()) : int(row[:last].sum())] for ids, row in zip(values, lengths)]
    return KeyedJaggedTensor([f"f{i}" for i in range(5)], torch.cat(part), lengths=lengths[:, first:last].flatten())


OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"lr": LR}),
    "adagrad": (torch.optim.Adagrad, {"lr": LR, "eps": 1e-8}),
    "row-wise adagrad": (RowWiseAdagrad, {"lr": LR, "eps": 1e-8}),
}


def train_both(form, plan, optimizer, folder):
    """Train sharded in two processes and unsharded in each, collapse, load under another plan.

    Returns a dictionary of largest differences, and of what was seen on the way.
    """
    kind, options = OPTIMIZERS[optimizer]
    model = factorised(form, "meta")
    apply_optimizer_in_backward(kind, model.tables.rows(), dict(options))  # it adds to its argument
    model.over = Model(model.tables).over  # real values: DistributedModelParallel keeps them
    sharded, whole = shard(model, plan), factorised(form)
    reset_parameters(sharded, seed=3)
    reset_parameters(whole, seed=3)
    dense = dense_parameters(sharded)
    replicated = [p for name, p in dense.items() if "embedding_bags" in name]  # data-parallel tables
    steps = [torch.optim.SGD([p for name, p in dense.items() if "embedding_bags" not in name], lr=LR)]
    steps += [kind(replicated, **options)] if replicated else []
    rows = list(whole.tables.rows())
    others = [p for p in whole.parameters() if all(p is not row for row in rows)]
    whole_steps = [kind(rows, **options), torch.optim.SGD(others, lr=LR)]
    first, last = dist.get_rank() * BATCH, (dist.get_rank() + 1) * BATCH
    seen = {"dense": list(dense), "logit": 0.0}
    for lengths, values, labels in make_batches(5):
        mine, everybodys = features(lengths, values, first, last), features(lengths, values, 0, 2 * BATCH)
        found, expected = sharded(mine), whole(everybodys)
        seen["logit"] = max(seen["logit"], (found - expected[first:last]).abs().max().item())
        for logits, wanted, optimizers in ((found, labels[first:last], steps), (expected, labels, whole_steps)):
            for one in optimizers:
                one.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(logits, wanted).backward()
            for one in optimizers:
                one.step()
    collapsed, reference = collapse(sharded), dict(_products(whole))
    seen["held"] = sum(part.tensor.numel() for table in collapsed.values() for part in table.local_shards())
    seen["owners"] = {
        part.placement.rank() for table in collapsed.values() for part in table.metadata().shards_metadata
    }
    seen["table"] = max(_difference(table, reference[key]) for key, table in collapsed.items())
    checkpoint.save(collapsed, checkpoint_id=folder)
    served = shard(Model(EmbeddingBagCollection(configs(), device=torch.device("meta"))), OTHER_PLAN)
    state = {key: value for key, value in served.state_dict().items() if key in collapsed}
    seen["names"] = sorted(state), sorted(collapsed)
    checkpoint.load(state, checkpoint_id=folder)
    served.load_state_dict(state, strict=False)
    served.module.over.load_state_dict(sharded.module.over.state_dict())
    seen["served"] = check_collapsed(sharded, served, [(mine,)])
    return seen


OTHER_PLAN = ("column_wise", "row_wise", "table_wise", "row_wise")


def _products(model):
    """W1 W2 of an unsharded model, in float64, by the name of the plain table."""
    for collection, w2 in model.tables.collections():
        for name, bag in collection.embedding_bags.items():
            yield f"tables.embedding_bags.{name}.weight", bag.weight.detach().double() @ w2[name].detach().double()


def _difference(table, reference):
    """The largest difference of this process's parts of a sharded table from the whole."""
    found = [0.0]
    for part in table.local_shards():
        row = part.metadata.shard_offsets[0]
        found.append((part.tensor - reference[row : row + len(part.tensor)]).abs().max().item())
    return max(found)


def initial_values(form, plan):
    """Whether every shard holds the values of the suite's own tables, and W2 theirs."""
    sharded = shard(factorised(form, "meta"), plan)
    reset_parameters(sharded, seed=5)
    suite = SuiteTables(SIZES, D, inner_dim=K)
    suite.reset_parameters(derive_seed(5, "embedding"))
    equal = []
    for table in tables(sharded):
        for part in table.shards:
            rows, columns = part.values.shape
            mine = suite.field_rows(table.number)[part.first_row :, part.first_column :][:rows, :columns]
            equal.append(torch.equal(part.values, mine))
        equal += [torch.equal(table.w2, suite.w2[table.number])] if table.w2 is not None else []
    return equal


def order_of_columns():
    """Features as given, and as a sharded collection's vectors come; None before a process has any."""
    model = factorised("projection", "meta")
    sharded = shard(model, ("table_wise",) * 4)
    reset_parameters(sharded, seed=0)
    lengths, values, _ = next(make_batches(1))
    batch = features(lengths, values, 0, BATCH)
    return model.tables.features(), list(sharded.module.tables.w1(batch).keys()), sharded.module.tables(batch).keys()


def small_steps(eps):
    """How far one fused Adagrad step moves W1 where gradients are about 1e-9, in learning rates."""
    model = factorised("projection", "meta")
    model.over = Model(model.tables).over
    apply_optimizer_in_backward(torch.optim.Adagrad, model.tables.rows(), {"lr": 1.0} | eps)
    sharded = shard(model, ("row_wise",) * 4)
    reset_parameters(sharded, seed=0)
    before = [part.values.clone() for table in tables(sharded) for part in table.shards]
    lengths, values, _ = next(make_batches(1))
    (sharded(features(lengths, values, 0, BATCH)).sum() * 1e-9).backward()
    after = [part.values for table in tables(sharded) for part in table.shards]
    return max((new - old).abs().max().item() for new, old in zip(after, before))


def collapse_in_blocks(plan, rows):
    """The largest difference between a collapse in small blocks and in one."""
    sharded = shard(factorised("projection", "meta"), plan)
    reset_parameters(sharded, seed=1)
    whole = collapse(sharded)
    at_once, collapsing.BLOCK_ROWS = collapsing.BLOCK_ROWS, rows
    try:
        blocks = collapse(sharded)
    finally:
        collapsing.BLOCK_ROWS = at_once
    pairs = [(a, b) for key in whole for a, b in zip(whole[key].local_shards(), blocks[key].local_shards())]
    return all(torch.equal(a.tensor, b.tensor) for a, b in pairs)


def resumed(folder):
    """The factorised model itself under another plan: the largest difference in logit after a checkpoint."""
    first = shard(factorised("projection", "meta"), ("row_wise",) * 4)
    reset_parameters(first, seed=2)
    checkpoint.save(first.state_dict(), checkpoint_id=folder)
    second = shard(factorised("projection", "meta"), ("column_wise", "table_wise", "data_parallel", "row_wise"))
    state = second.state_dict()
    checkpoint.load(state, checkpoint_id=folder)
    second.load_state_dict(state)
    lengths, values, _ = next(make_batches(1))
    batch = features(lengths, values, 0, BATCH)
    return (first(batch) - second(batch)).abs().max().item()


def wrong_weights(value):
    """What the check says of a served model with one value changed."""
    trained = factorised("projection")
    reset_parameters(trained, seed=2)
    served = copy.deepcopy(trained)
    with torch.no_grad():
        served.tables.w2[0][0, 0] = value
    lengths, values, _ = next(make_batches(1))
    try:
        check_collapsed(trained, served, [(features(lengths, values, 0, BATCH),)])
    except BenchError as error:
        return type(error).__name__
    return "passed"
