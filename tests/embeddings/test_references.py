"""What refers to a table or its weight when a model is factorised and collapsed: it follows, or a sentence says so."""

import functools
import os
import subprocess
import sys
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from mlet_bench import MLETEmbedding, collapse, factorize
from mlet_bench.errors import BenchError

IDS = torch.arange(0, 29)


class Model(nn.Module):
    """Two tables and a head."""

    def __init__(self):
        super().__init__()
        self.user, self.item = nn.Embedding(30, 4), nn.Embedding(40, 4)
        self.head = nn.Linear(4, 1)

    def forward(self, ids):
        return self.head(self.user(ids) * self.item(ids))


@pytest.fixture
def model():
    return Model()


class Elsewhere(nn.Module):
    """A table registered, and used by way of something that is not."""

    def __init__(self, refer):
        super().__init__()
        self.table = nn.Embedding(30, 4)
        vars(self)["look_up"] = refer(self.table)

    def forward(self, ids):
        return self.look_up(ids).sum()


REFERENCES = {
    "list": lambda table: lambda ids, tables=[table]: tables[0](ids),
    "dict": lambda table: lambda ids, tables={"table": table}: tables["table"](ids),
    "closure": lambda table: lambda ids: table(ids),
    "partial": lambda table: functools.partial(nn.Module.__call__, table),
    "bound method": lambda table: table.forward,
    "module that is not registered": lambda table: nn.Sequential(table),
    "closure on the table's weight": lambda table: lambda ids: nn.functional.embedding(ids, table.weight),
}


@pytest.mark.parametrize("refer", REFERENCES.values(), ids=REFERENCES)
def test_references_from_outside_the_module_tree_follow(refer):
    model = Elsewhere(refer)
    table = model.table
    factorize(model, inner_dim=8)
    assert model.table is table
    model(IDS).backward()
    assert table.w1.grad.abs().sum() > 0 and table.w2.grad.abs().sum() > 0
    trained = model(IDS)
    collapse(model)
    assert model.table is table and type(table) is nn.Embedding
    torch.testing.assert_close(model(IDS), trained, rtol=0, atol=1e-5)
    model(IDS).backward()
    assert table.weight.grad.abs().sum() > 0


OLD_WEIGHTS = {
    "list": lambda weight: [weight][0].square().sum(),
    "partial": lambda weight: functools.partial(nn.functional.embedding, weight=weight)(IDS),
    "tied output layer": lambda weight: nn.functional.linear(torch.ones(2, 4), weight),
    "clipping": lambda weight: nn.utils.clip_grad_norm_([weight], 1.0),
    "write": lambda weight: weight.data.__class__ and weight.zero_(),
    "assigned": lambda weight: setattr(weight, "data", torch.ones(30, 4)),
    "EMA": lambda weight: torch.zeros(30, 4).lerp_(weight, 0.1),
}


@pytest.mark.parametrize("use", OLD_WEIGHTS.values(), ids=OLD_WEIGHTS)
def test_the_use_of_an_old_weight_is_refused_and_its_values_remain(model, use):
    weight, values = model.user.weight, model.user.weight.detach().clone()
    factorize(model, inner_dim=8)
    with (
        pytest.raises(BenchError, match="a weight is used that factorize has replaced: make optimizers"),
        torch.no_grad(),
    ):
        use(weight)
    assert torch.equal(weight.detach(), values) and weight.shape == (30, 4)
    assert repr(weight) == "a parameter of shape (30, 4) that factorize has replaced"
    factor = model.user.w1
    collapse(model)
    with pytest.raises(BenchError, match="a weight is used that collapse has replaced"):
        factor.sum()


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam, torch.optim.Adagrad, torch.optim.LBFGS])
@pytest.mark.parametrize("call", ["step", "zero_grad"])
def test_an_optimizer_made_before_is_told(model, make, call):
    def run(optimizer):
        return optimizer.step(lambda: torch.zeros(())) if call == "step" else optimizer.zero_grad()

    optimizer = make(model.parameters(), lr=0.1)
    factorize(model, inner_dim=8)
    with pytest.raises(BenchError, match=r"make optimizers.* after factorize"):
        run(optimizer)
    optimizer = make(model.parameters(), lr=0.1)
    run(optimizer)
    collapse(model)
    with pytest.raises(BenchError, match=r"make optimizers.* after collapse"):
        run(optimizer)


def tied_by(make):
    model = Model()
    model.out = nn.Linear(4, 40, bias=False)
    make(model)
    return model


SHARED = {
    "data": lambda model: setattr(model.out, "weight", nn.Parameter(model.item.weight.data)),
    "assigned data": lambda model: setattr(model.out.weight, "data", model.item.weight.data),
    "view": lambda model: setattr(model.out, "weight", nn.Parameter(model.item.weight.detach()[:20])),
    "transposed": lambda model: setattr(model.out, "weight", nn.Parameter(model.item.weight.data.T)),
    "buffer": lambda model: model.out.register_buffer("table", model.item.weight.data),
    "table": lambda model: setattr(model.item, "weight", nn.Parameter(model.user.weight.data)),
    "flat": lambda model: setattr(model.item.weight, "data", torch.zeros(1000)[:160].view(40, 4)),
}


@pytest.mark.parametrize("make", SHARED.values(), ids=SHARED)
def test_tables_that_share_memory_are_refused(make):
    model = tied_by(make)
    before = [type(module) for module in model.modules()]
    with pytest.raises(BenchError, match=r"its weight is (shared with another module|part of a larger tensor)"):
        factorize(model, inner_dim=8)
    assert [type(module) for module in model.modules()] == before


@pytest.mark.parametrize(
    "keep", [lambda t: t.weight.data, lambda t: [t.weight.detach()[3]], nn.Module.state_dict, lambda t: t.weight.T]
)
def test_memory_shared_outside_the_model_is_told(model, keep):
    kept = keep(model.user)
    with pytest.warns(UserWarning, match="share memory with the weight of 'user' "):
        factorize(model, inner_dim=8)
    del kept
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        factorize(Model(), inner_dim=8)


def test_factors_that_tables_share_go_on_being_shared():
    model = nn.ModuleList([MLETEmbedding(30, 4, 8) for _ in range(3)])
    model[1].w1, model[1].w2, model[2].w2 = model[0].w1, model[0].w2, model[0].w2
    model.append(nn.Linear(4, 8))
    model[3].weight = model[0].w2
    expected = model[3](model[2](IDS))
    collapse(model)
    assert model[1].weight is model[0].weight and model[2].weight is not model[0].weight
    torch.testing.assert_close(model[3](model[2](IDS)), expected, rtol=0, atol=1e-6)


# Hooks at collapse.


MODULE_HOOKS = ("forward", "forward pre", "backward", "backward pre")


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("place", MODULE_HOOKS)
def test_a_hook_on_a_factorised_table_is_called_after_collapse(place):
    calls = []
    register = {
        "forward": nn.Module.register_forward_hook,
        "forward pre": nn.Module.register_forward_pre_hook,
        "backward": nn.Module.register_full_backward_hook,
        "backward pre": nn.Module.register_full_backward_pre_hook,
    }[place]
    model = factorize(Model(), inner_dim=8)
    hook = register(model.user, lambda *_: calls.append(type(model.user)))
    model(IDS).sum().backward()
    collapse(model)(IDS).sum().backward()
    assert calls == [MLETEmbedding, nn.Embedding]
    hook.remove()
    model(IDS).sum().backward()
    assert len(calls) == 2


LOST_AT_COLLAPSE = {
    "gradient of w1": (lambda table: table.w1.register_hook(lambda gradient: gradient), "a hook on its w1 or w2"),
    "gradient of w2": (lambda table: table.w2.register_hook(lambda gradient: gradient), "a hook on its w1 or w2"),
    "accumulated": (lambda table: table.w2.register_post_accumulate_grad_hook(print), "a hook on its w1 or w2"),
    "forward": (lambda table: setattr(table, "forward", lambda ids: ids), "a forward of its own"),
    "pruned": (lambda table: prune.random_unstructured(table, "w1", 0.5), "no plain parameters"),
    "normed": (lambda table: parametrizations.weight_norm(table, "w2"), "no plain parameters"),
    "buffer": (lambda table: table.register_buffer("counts", torch.zeros(30)), "not all it holds"),
}


@pytest.mark.parametrize(("change", "sentence"), LOST_AT_COLLAPSE.values(), ids=LOST_AT_COLLAPSE)
def test_what_would_be_lost_at_collapse_is_refused_and_nothing_is_changed(change, sentence):
    model = factorize(Model(), inner_dim=8)
    change(model.item)
    with pytest.raises(BenchError, match=f"table 'item' cannot be collapsed: .*{sentence}"):
        collapse(model)
    assert isinstance(model.user, MLETEmbedding)


# Several processes.


TWO_PROCESSES = """
import sys

import torch
from torch import nn

import mlet_bench


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.item, self.user = nn.Embedding(40, 4, sparse=True, padding_idx=0), nn.Embedding(40, 4)
        self.bag, self.head = nn.EmbeddingBag(40, 4, sparse=True), nn.Linear(4, 1)

    def forward(self, ids):
        vectors = self.head(self.item(ids) + self.user(ids) + self.bag(ids[:, None]))
        return (vectors - 1).square().mean() + (self.item(ids) @ self.item.weight.T).square().mean()


def train(rank, ranks):
    torch.manual_seed(0)
    model = mlet_bench.factorize(Model(), 8, generator=torch.Generator().manual_seed(0))
    trained = nn.parallel.DistributedDataParallel(model) if ranks > 1 else model
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.5)
    for step in range(4):
        optimizer.zero_grad()
        trained(torch.arange(16)[rank::ranks] * (step + 1) % 40).backward()
        optimizer.step()
    return model


if __name__ == "__main__":
    rank, file = int(sys.argv[1]), sys.argv[2]
    store = torch.distributed.FileStore(file, 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    model = train(rank, 2)
    try:
        mlet_bench.factorize(nn.parallel.DistributedDataParallel(nn.Embedding(3, 2)), 8)
    except mlet_bench.errors.BenchError as error:
        assert "factorise the model first, then wrap it" in str(error)
    else:
        raise AssertionError("a wrapped model was factorised")
    torch.save(model.state_dict(), f"{file}.{rank}")
    torch.save(train(0, 1).state_dict(), f"{file}.one")
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_two_processes_train_sparse_tables_as_one_does(tmp_path):
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", TWO_PROCESSES]
    ranks = [
        subprocess.Popen([*command, str(rank), str(tmp_path / "store")], env=environment, stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    try:
        errors = [rank.communicate(timeout=120)[1].decode() for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, 0], errors
    first, second, one = (torch.load(tmp_path / f"store.{name}") for name in ("0", "1", "one"))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    torch.testing.assert_close(first, one, rtol=1e-5, atol=1e-6)
