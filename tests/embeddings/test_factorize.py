"""Any model's tables swapped for factorised ones and back."""

import copy
import io
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

import mlet_bench
from mlet_bench import MLETEmbedding, MLETEmbeddingBag, collapse, factorize
from mlet_bench.errors import BenchError


class Model(nn.Module):
    """Two towers that share a table, a list of bags, and a head."""

    def __init__(self):
        super().__init__()
        self.user = nn.Embedding(30, 4, padding_idx=0)
        self.item = nn.Embedding(40, 4, sparse=True)
        self.history = self.item  # tied: one module in two places
        self.bags = nn.ModuleList([nn.EmbeddingBag(20, 4, mode="sum"), nn.EmbeddingBag(10, 4, padding_idx=3)])
        self.head = nn.Linear(20, 1)

    def forward(self, ids):
        parts = [self.user(ids), self.item(ids), self.history(ids + 1), *(bag(ids[:, None] % 10) for bag in self.bags)]
        return self.head(torch.cat(parts, dim=1)).squeeze(1)


IDS = torch.arange(0, 29)
LABEL = (IDS % 3 == 0).float()


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Model()


def train(model, steps=30):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(model(IDS), LABEL)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_there_and_back(model):
    original = copy.deepcopy(model)
    assert factorize(model, inner_dim=16) is model
    assert isinstance(model.user, MLETEmbedding) and isinstance(model.bags[1], MLETEmbeddingBag)
    losses = train(model)
    assert losses[-1] < losses[0]
    expected = model(IDS)
    assert collapse(model) is model
    torch.testing.assert_close(model(IDS), expected, rtol=0, atol=1e-6)
    for name, module in original.named_modules():
        assert type(model.get_submodule(name)) is type(module), name
        for attribute in ("padding_idx", "sparse", "mode", "include_last_offset", "num_embeddings", "embedding_dim"):
            assert getattr(model.get_submodule(name), attribute, None) == getattr(module, attribute, None), name
    original.load_state_dict(model.state_dict(), strict=True)
    torch.testing.assert_close(original(IDS), expected, rtol=0, atol=1e-6)


def test_settings_are_carried_there_and_back():
    bag = nn.EmbeddingBag(20, 4, mode="sum", sparse=True, include_last_offset=True, padding_idx=2, dtype=torch.float64)
    settings = ("mode", "sparse", "include_last_offset", "padding_idx", "num_embeddings", "embedding_dim", "training")
    expected = {name: getattr(bag, name) for name in settings}
    table = factorize(bag, inner_dim=8)
    assert table.w1.dtype is table.w2.dtype is torch.float64
    for module in (table, collapse(table)):
        assert {name: getattr(module, name) for name in settings} == expected


@pytest.mark.parametrize(("n", "d", "k"), [(1, 1, 1), (1, 1, 1000), (1, 1000, 1), (1000, 1, 1)])
def test_the_smallest_tables_are_products_too(n, d, k):
    table = factorize(nn.Embedding(n, d), inner_dim=k, at_most_rows=False)
    expected = (table.w1.double() @ table.w2.double()).float()
    assert table.w1.shape == (n, k) and table.w2.shape == (k, d)
    assert torch.equal(collapse(table).weight, expected)


def test_collapse_is_idempotent(model):
    factorize(model, inner_dim=16)
    collapse(model)
    before = copy.deepcopy(model.state_dict())
    tables = list(model.modules())
    collapse(model)
    assert list(model.modules()) == tables
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_tied_modules_stay_tied(model):
    factorize(model, inner_dim=16)
    assert model.history is model.item and isinstance(model.item, MLETEmbedding)
    collapse(model)
    assert model.history is model.item and type(model.item) is nn.Embedding


@pytest.mark.parametrize("only", [["user", "bags.*"], "[ub]*", lambda name, module: module.num_embeddings != 40])
def test_only_the_chosen_tables(model, only):
    factorize(model, inner_dim=16, only=only)
    assert isinstance(model.user, MLETEmbedding) and isinstance(model.bags[0], MLETEmbeddingBag)
    assert type(model.item) is nn.Embedding


def test_a_name_may_hold_pattern_characters():
    model = nn.ModuleDict({"age[years]": nn.Embedding(9, 2), "age": nn.Embedding(9, 2)})
    factorize(model, inner_dim=4, only=["age[years]"])
    assert [type(table) for table in model.values()] == [MLETEmbedding, nn.Embedding]


@pytest.mark.parametrize("only", [["item"], "history", lambda name, module: name == "history"])
def test_one_name_of_a_tied_module_stands_for_all_its_places(model, only):
    factorize(model, inner_dim=16, only=only)
    assert isinstance(model.item, MLETEmbedding) and model.history is model.item
    assert type(model.user) is nn.Embedding


def test_tables_frozen_after_training_stay_frozen(model):
    factorize(model, inner_dim=16).user.requires_grad_(False)
    model.item.w2.requires_grad_(False)  # one factor still learns, and so does the product
    collapse(model)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {"item.weight", "bags.0.weight", "bags.1.weight", "head.weight", "head.bias"}


def test_a_model_that_is_a_table_is_returned():
    table = factorize(nn.Embedding(30, 4).eval(), inner_dim=8)
    assert isinstance(table, MLETEmbedding) and not table.training
    plain = collapse(table)
    assert type(plain) is nn.Embedding and not plain.training
    assert collapse(plain) is plain


def test_state_round_trip_copy_and_types(model):
    factorize(model, inner_dim=16, generator=torch.Generator().manual_seed(1))
    train(model)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = factorize(Model(), inner_dim=16)
    other.load_state_dict(torch.load(file, weights_only=True), strict=True)
    assert torch.equal(other(IDS), model(IDS))
    assert torch.equal(copy.deepcopy(model)(IDS), model(IDS))
    half = copy.deepcopy(model).bfloat16()
    assert collapse(half).user.weight.dtype is torch.bfloat16
    torch.testing.assert_close(half(IDS).float(), model(IDS), rtol=0.1, atol=0.05)


def test_a_factorised_model_compiles(model):
    factorize(model, inner_dim=16)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(IDS), model(IDS))


def test_equal_generators_give_equal_tables():
    one, other = (factorize(Model(), 8, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one.item.w1, other.item.w1) and torch.equal(one.bags[1].w2, other.bags[1].w2)


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"inner_dim": "64"}, "inner dim k='64' is a str: it must be a whole number, 1 or more"),
        ({"inner_dim": 64.0}, "inner dim k=64.0 is a float"),
        ({"inner_dim": True}, "inner dim k=True is a bool"),
        ({"inner_dim": 0}, "inner dim k=0: it must be 1 or more"),
        ({"inner_dim": 8, "min_rows": "9"}, "min_rows='9' is a str"),
        ({"inner_dim": 8, "min_rows": 41}, "no embedding to factorise has min_rows=41 rows: the largest has 40"),
        ({"inner_dim": 8, "only": 3}, "only=3: it must be names"),
        ({"inner_dim": 8, "only": ["user", None]}, "it must be names"),
    ],
)
def test_arguments_that_make_no_sense_get_a_sentence(model, arguments, sentence):
    with pytest.raises(BenchError, match=sentence):
        factorize(model, **arguments)
    assert type(model.user) is nn.Embedding
    for function in (lambda tables: factorize(tables, 8), collapse):
        with pytest.raises(BenchError, match=r"got a list: it takes a torch\.nn\.Module"):
            function([model.user])


def test_the_parameter_groups_of_the_documentation_train_every_factor(model):
    page = (Path(__file__).parents[2] / "docs" / "own-model.md").read_text()
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "SparseAdam" in block)
    factorize(model, inner_dim=16)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    names = {"torch": torch, "model": model, "mlet_bench": mlet_bench}
    exec(code, names)
    nn.functional.binary_cross_entropy_with_logits(model(IDS), LABEL).backward()
    for optimizer in names["optimizers"]:
        optimizer.step()
    for name, parameter in model.named_parameters():
        assert not torch.equal(parameter, before[name]), name


class Sequence(nn.Module):
    """Scores every item by the table that it looks items up in, as sequence models do."""

    def __init__(self):
        super().__init__()
        self.item, self.encoder = nn.Embedding(30, 4, padding_idx=0), nn.GRU(4, 4, batch_first=True)

    def get_input_embeddings(self):
        return self.item

    def forward(self, history):
        return self.encoder(self.item(history))[0] @ self.get_input_embeddings().weight.T


def test_a_model_that_scores_by_its_table_trains_and_collapses():
    torch.manual_seed(0)
    model = factorize(Sequence(), inner_dim=16)
    history = torch.randint(1, 30, (8, 6))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(history)[:, :-1].flatten(0, 1), history[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    expected = model(history)
    assert expected[..., 0].eq(0).all()  # the padding row stays zero, scored or not
    torch.testing.assert_close(collapse(model)(history), expected, rtol=0, atol=1e-5)
    Sequence().load_state_dict(model.state_dict(), strict=True)


def test_small_tables_are_factorised_too_unless_min_rows_says_otherwise(model):
    factorize(model, inner_dim=64, min_rows=30)
    assert [type(table) for table in (model.user, model.item)] == [MLETEmbedding, MLETEmbedding]
    assert [type(table) for table in model.bags] == [nn.EmbeddingBag, nn.EmbeddingBag]
    small = factorize(nn.Embedding(3, 16), inner_dim=64)
    assert sum(parameter.numel() for parameter in small.parameters()) == 64 * (3 + 16)


class Special(nn.Embedding):
    """A subclass."""


def shared():
    model = Model()
    model.out = nn.Linear(4, 40, bias=False)
    model.out.weight = model.item.weight
    return model


def with_user(table):
    model = Model()
    model.user = table
    return model


class Coded(torch.Tensor):
    """As quantised weights are stored."""


def with_weight(weight):
    table = nn.Embedding(30, 4)
    table.weight = nn.Parameter(weight)
    return with_user(table)


def with_buffer():
    model = Model()
    model.user.register_buffer("counts", torch.zeros(30))
    return model


def own_forward():
    model = Model()
    model.user.forward = lambda ids: ids  # as wrappers do that move a module's inputs to its device
    return model


HOOKS = {
    "forward": lambda table: table.register_forward_hook(lambda *_: None),
    "forward pre": lambda table: table.register_forward_pre_hook(lambda *_: None),
    "backward": lambda table: table.register_full_backward_hook(lambda *_: None),
    "backward pre": lambda table: table.register_full_backward_pre_hook(lambda *_: None),
    "state": lambda table: table.register_state_dict_post_hook(lambda *_: None),
    "load": lambda table: table.register_load_state_dict_post_hook(lambda *_: None),
    "gradient": lambda table: table.weight.register_hook(lambda gradient: gradient),
    "accumulated": lambda table: table.weight.register_post_accumulate_grad_hook(lambda _: None),
}


@pytest.mark.parametrize("register", HOOKS.values(), ids=HOOKS)
def test_a_hook_is_refused_and_a_removed_one_is_not(register):
    model = Model()
    hook = register(model.user)
    with pytest.raises(BenchError, match="'user' cannot be factorised: it has hooks"):
        factorize(model, inner_dim=8)
    hook.remove()
    factorize(model, inner_dim=8)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: with_user(nn.Embedding(30, 4, max_norm=1.0)), "'user' cannot be factorised: max_norm"),
        (lambda: with_user(nn.Embedding(30, 4, scale_grad_by_freq=True)), "scale_grad_by_freq"),
        (lambda: with_user(nn.EmbeddingBag(30, 4, mode="max")), "mode 'max'"),
        (lambda: with_user(Special(30, 4)), r"\.Special, a subclass"),
        (lambda: with_user(parametrizations.weight_norm(nn.Embedding(30, 4))), "ParametrizedEmbedding, a subclass"),
        (lambda: with_user(prune.random_unstructured(nn.Embedding(30, 4), "weight", 0.5)), "no plain parameter"),
        (lambda: with_weight(torch.zeros(30, 4).as_subclass(Coded)), "no plain parameter"),
        (with_buffer, "no plain parameter or not all it holds"),
        (lambda: with_user(nn.Embedding(30, 4).requires_grad_(False)), "frozen"),
        (shared, "'item' cannot be factorised: its weight is shared"),
        (own_forward, "a forward of its own"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_is_changed(make, sentence):
    model = make()
    before = list(model.modules())
    with pytest.raises(BenchError, match=sentence):
        factorize(model, inner_dim=8)
    assert list(model.modules()) == before


def test_nothing_to_factorise_is_said_with_what_is_there(model):
    with pytest.raises(
        BenchError, match=r"matches \['users'\]: .* are 'user', 'item', 'history', 'bags\.0', 'bags\.1'"
    ):
        factorize(model, 8, only=["users"])
    with pytest.raises(BenchError, match=r"matches \['itme', 'bag\.\*'\]: "):  # beside one that does match
        factorize(model, 8, only=["user", "itme", "bag.*"])
    assert type(model.user) is nn.Embedding
    factorize(model, 8)
    with pytest.raises(BenchError, match=r"are none; factorised already: 'user', 'item'"):
        factorize(model, 8)
