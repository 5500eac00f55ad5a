"""Parameter groups for anybody's optimizers, k for each table, and the warning of a table that nothing has trained."""

import warnings

import pytest
import torch
from torch import nn

from mlet_bench import collapse, factorize, parameter_groups
from mlet_bench.errors import BenchError


class Shop(nn.Module):
    """A sparse table, a dense one, a small bag and a head."""

    def __init__(self):
        super().__init__()
        self.user = nn.Embedding(50, 4, sparse=True)
        self.item = nn.Embedding(40, 4)
        self.city = nn.EmbeddingBag(3, 4, mode="sum")
        self.head = nn.Linear(12, 1)

    def forward(self, ids):
        return self.head(torch.cat([self.user(ids), self.item(ids % 40), self.city(ids[:, None] % 3)], 1)).squeeze(1)


IDS = torch.arange(50)
LABEL = (IDS % 4 == 0).float()


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Shop()


def names_of(model, group):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(parameter)] for parameter in group["params"]}


def step(model, *optimizers):
    for optimizer in optimizers:
        optimizer.zero_grad()
    nn.functional.binary_cross_entropy_with_logits(model(IDS), LABEL).backward()
    for optimizer in optimizers:
        optimizer.step()


def test_every_parameter_is_in_one_group_at_its_learning_rate(model):
    factorize(model, inner_dim={"user": 8, "item": 16})
    groups = parameter_groups(model, lr=0.1, embedding_lr=0.4)
    found = {(group["rows"], group["sparse"], group["lr"]): names_of(model, group) for group in groups}
    assert found == {
        (True, True, 0.4): {"user.w1"},
        (True, False, 0.4): {"item.w1", "city.weight"},
        (False, True, 0.1): {"user.w2"},
        (False, False, 0.1): {"item.w2", "head.weight", "head.bias"},
    }
    assert [*groups.sparse, *groups.dense] == sorted(groups, key=lambda group: not group["sparse"])


@pytest.mark.parametrize("factorised", [False, True])
def test_sparse_adam_takes_the_sparse_groups_and_adam_the_rest(model, factorised):
    if factorised:
        factorize(model, inner_dim=8)
    groups = parameter_groups(model, lr=0.01, embedding_lr=0.02)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    step(model, torch.optim.SparseAdam(groups.sparse), torch.optim.Adam(groups.dense))
    moved = {name: (parameter - before[name]).abs().max().item() for name, parameter in model.named_parameters()}
    for name, distance in moved.items():  # Adam's first step is its learning rate
        of_rows = name.endswith("w1") or (name != "head.weight" and name.endswith(".weight"))
        assert distance == pytest.approx(0.02 if of_rows else 0.01, rel=0.01), name


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adagrad])
def test_sgd_and_adagrad_take_all_groups(model, kind):
    factorize(model, inner_dim=8)
    step(model, kind(parameter_groups(model, lr=0.1)))


def test_what_is_frozen_is_in_no_group_and_a_tied_table_in_one(model):
    model.head.requires_grad_(False)
    model.other = model.item
    names = [name for group in parameter_groups(model, lr=0.1) for name in names_of(model, group)]
    assert sorted(names) == ["city.weight", "item.weight", "user.weight"]


@pytest.mark.parametrize("rates", [{"lr": 0.0}, {"lr": 0.1, "embedding_lr": float("inf")}, {"lr": float("nan")}])
def test_learning_rates_that_cannot_be_are_refused(model, rates):
    with pytest.raises(BenchError, match="it must be above 0, and finite"):
        parameter_groups(model, **rates)


def test_a_model_without_anything_to_train_is_refused(model):
    with pytest.raises(BenchError, match="no parameter that is trained"):
        parameter_groups(model.requires_grad_(False), lr=0.1)


def test_each_table_gets_its_own_k(model):
    factorize(model, inner_dim={"*": 8, "user": 64})  # a name goes before a pattern
    assert [model.user.inner_dim, model.item.inner_dim, model.city.inner_dim] == [64, 8, 8]


def test_tables_without_a_k_stay_as_they_are(model):
    factorize(model, inner_dim={"user": 64})
    assert type(model.item) is nn.Embedding and model.user.inner_dim == 64


def test_k_can_be_kept_to_the_number_of_rows(model):
    factorize(model, inner_dim=64, at_most_rows=True)
    assert [model.user.inner_dim, model.item.inner_dim, model.city.inner_dim] == [50, 40, 3]
    step(model, torch.optim.SGD(parameter_groups(model, lr=0.1)))
    assert collapse(model).city.weight.shape == (3, 4)


def test_tables_that_grow_beyond_their_rows_are_named_unless_that_is_meant(model):
    model.town = model.city  # tied: told once
    with pytest.warns(UserWarning, match=r"'town' \(3 rows: 12 -> 448 values at k=64\), 'item' .*, 'user' ") as said:
        factorize(model, inner_dim=64)
    assert len(said) == 1 and "'city'" not in str(said[0].message) and said[0].filename == __file__
    assert sum(p.numel() for p in model.city.parameters()) == 448  # k all the same: the paper factorises every table


@pytest.mark.parametrize(
    ("settings", "inner_dim"),
    [({"at_most_rows": True}, 9), ({"at_most_rows": False}, 64), ({"min_rows": 64}, None), ({"only": "b"}, None)],
)
def test_who_says_what_is_wanted_of_small_tables_is_not_warned(settings, inner_dim):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = factorize(nn.ModuleDict({"a": nn.Embedding(9, 2), "b": nn.Embedding(64, 2)}), 64, **settings)
    assert getattr(model.a, "inner_dim", None) == inner_dim and model.b.inner_dim == 64


@pytest.mark.parametrize(
    ("inner_dim", "only", "sentence"),
    [
        ({"usr": 64}, None, "no embedding to factorise matches \\['usr'\\]"),
        ({"user": 64}, ["user", "item"], "names no k for 'item'"),
        ({"user": 0}, None, "inner dim k=0"),
    ],
)
def test_a_table_s_k_that_makes_no_sense_is_refused(model, inner_dim, only, sentence):
    with pytest.raises(BenchError, match=sentence):
        factorize(model, inner_dim=inner_dim, only=only)
    assert type(model.user) is nn.Embedding


def test_collapse_warns_of_tables_that_nothing_has_trained(model):
    factorize(model, inner_dim=8)
    others = [parameter for name, parameter in model.named_parameters() if not name.startswith("user")]
    step(model, torch.optim.SGD(others, lr=0.5))
    with pytest.warns(UserWarning, match="W1 of 'user' is as factorize drew it") as said:
        collapse(model)
    assert len(said) == 1 and "item" not in str(said[0].message)


def test_collapse_says_nothing_of_tables_that_were_trained_or_frozen(model):
    factorize(model, inner_dim=8)
    model.user.w1.requires_grad_(False)
    step(model, torch.optim.SGD(parameter_groups(model, lr=0.5)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not hasattr(collapse(model).item, "drawn")
