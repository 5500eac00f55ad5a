"""Every embedding method of the registry, and toys registered here, keep the contract from a step to what is served."""

import copy
from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch
from safetensors.numpy import load_file
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from toys import SIZES, groupings, make_pack, make_rows, make_spec, make_step, train

from mlet_bench import kernels
from mlet_bench.arms import ARMS, Arm
from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.base import FieldTables
from mlet_bench.embeddings.mlet import MLETTables
from mlet_bench.errors import DeployRefusedError
from mlet_bench.evaluation.deploy import TOLERANCE, deploy_run, load_deployed, load_trained
from mlet_bench.evaluation.evaluate import evaluate_run
from mlet_bench.evaluation.verify import verify_run
from mlet_bench.kernels.build import SWITCH
from mlet_bench.models.build import build_model, empty_embedding
from mlet_bench.training.lookup import KernelLookup, RowLookup
from mlet_bench.training.memory import training_need
from mlet_bench.training.step import TrainStep

OPTIMIZERS = {"sgd": torch.optim.SGD, "adagrad": torch.optim.Adagrad}


class HashedTables(FieldTables):
    """One row for all ids of equal remainder: fewer rows than categories."""

    name = "hashed"

    def __init__(self, table_sizes, embedding_dim, inner_dim=None, rows=1000):
        self.rows = rows
        super().__init__(table_sizes, embedding_dim, [min(n, rows) for n in table_sizes], embedding_dim)

    def slots(self, ids):
        return (ids % self.rows + self.starts).T.unsqueeze(2)

    def options(self):
        return {"rows": self.rows}


class ScaledPairTables(FieldTables):
    """Two rows an id, of remainder and quotient, multiplied; and a scale of each field, trained like a model's."""

    name = "scaled-pair"

    def __init__(self, table_sizes, embedding_dim, rows=8):
        self.rows = rows
        stored = [min(n, rows) + (n - 1) // rows + 1 for n in table_sizes]
        super().__init__(table_sizes, embedding_dim, stored, embedding_dim, num_slots=2)
        self.scale = nn.Parameter(torch.ones(len(stored), 1, 1))
        remainders = torch.tensor([min(n, rows) for n in table_sizes], device="cpu")
        self.register_buffer("remainders", remainders, persistent=False)

    def slots(self, ids):
        places = torch.stack([ids % self.rows, ids // self.rows + self.remainders], dim=2)  # (B, F, 2)
        return (places + self.starts.unsqueeze(1)).transpose(0, 1)

    def combine(self, rows):
        return (rows.prod(2) * self.scale).transpose(0, 1)

    def options(self):
        return {"rows": self.rows}


class DoubledTables(MLETTables):
    """A subclass that defines other vectors than the CPU's kernel computes."""

    name = "doubled"

    def combine(self, rows):
        return 2 * super().combine(rows)

    def table(self, field):
        return 2 * super().table(field)

    def deployed(self):
        served = super().deployed()
        with torch.no_grad():
            served.weight *= 2
        return served


TOYS = {
    HashedTables: Arm("hashed", "hashed", "a toy", options={"rows": 20}),
    ScaledPairTables: Arm("scaled-pair", "scaled-pair", "a toy", options={"rows": 6}),
    DoubledTables: Arm("doubled", "doubled", "a toy", inner_dim=True),
}
every_method = pytest.mark.parametrize("method", [*METHODS, *(toy.name for toy in TOYS)])


@pytest.fixture(autouse=True)
def toys():
    """Registered for a test alone."""
    for toy, arm in TOYS.items():
        METHODS.add(toy)
        ARMS.add(arm)
    yield
    for toy, arm in TOYS.items():
        METHODS.remove(toy.name)
        ARMS.remove(arm.name)


def spec_of(schema, method, **changes):
    """A run of the first arm that has the method."""
    arm = next(arm.name for arm in ARMS.values() if arm.method == method)
    return make_spec(schema, arm, **({"lr": 0.1} | changes))


def plain_steps(model, spec, batches):
    """Steps by the definition: the model's own forward pass, dense gradients, torch's optimizer; the losses."""
    tables = model.embedding.weight
    others = [parameter for parameter in model.parameters() if parameter is not tables and parameter.requires_grad]
    groups = [{"params": [tables], "lr": spec.embedding_lr}, {"params": others, "lr": spec.lr}]
    optimizer, losses = OPTIMIZERS[spec.optimizer](groups), []
    for rows in batches:
        optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(
            model(rows.dense.to(tables.dtype), rows.ids), rows.label.to(tables.dtype)
        )
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return losses


@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@every_method
def test_the_fastest_step_is_the_plain_one(method, optimizer, runs, schema):
    # Adagrad's first steps are lr · sign(g): in float32 a gradient that is rounding itself would go either way.
    dtype = torch.float64 if optimizer == "adagrad" else torch.float32
    compare_steps(spec_of(schema, method, optimizer=optimizer), runs, schema, dtype, rows=32)


@pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton: pip install triton")
@pytest.mark.skipif(torch.cuda.is_available(), reason="runs in Triton's interpreter, which is for the CPU")
@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("method", [name for name in METHODS if vars(METHODS[name]).get("kernel")])
def test_the_step_in_triton_is_the_plain_one(method, runs, schema, monkeypatch):
    monkeypatch.setenv(SWITCH, "triton")
    compare_steps(spec_of(schema, method), runs, schema, torch.float32, rows=6)


def compare_steps(spec, runs, schema, dtype, rows):
    """Three steps of a pack by the fastest way there is, on batches of so many rows, with those by the definition."""
    models = [build_model(replace(spec, seed=seed), schema).to(dtype) for seed in range(runs)]
    plain = copy.deepcopy(models)
    step = TrainStep(make_pack(*models), spec)
    batches = [[make_rows(rows, 10 * seed + number) for number in range(3)] for seed in range(runs)]
    found = []
    for together in zip(*batches, strict=True):  # more rows than a field of 3 has: every batch repeats rows
        dense, ids, label = (torch.stack([getattr(part, n) for part in together]) for n in ("dense", "ids", "label"))
        found.append(step(dense.to(dtype), ids, label.to(dtype)))
    for number, model in enumerate(plain):
        losses = plain_steps(model, spec, batches[number])
        torch.testing.assert_close(torch.stack(found)[:, number], torch.stack(losses), rtol=0, atol=1e-6)
        for name, value in model.state_dict().items():
            torch.testing.assert_close(models[number].state_dict()[name], value, rtol=0, atol=1e-6, msg=name)


@pytest.mark.skipif(kernels.library() is None, reason="needs a C++ compiler")
def test_the_kernel_is_taken_by_those_that_name_it_alone(schema):
    taken = {}
    for method in ("single", "mlet", "hash", "mlet-hash", "hashed", "scaled-pair", "doubled", "qr", "mlet-qr"):
        spec = spec_of(schema, method)
        taken[method] = type(TrainStep(make_pack(build_model(spec, schema)), spec).lookups[0])
    assert taken == dict.fromkeys(("single", "mlet", "hash", "mlet-hash"), KernelLookup) | dict.fromkeys(
        ("hashed", "scaled-pair", "doubled", "qr", "mlet-qr"), RowLookup
    )


def test_a_subclass_is_trained_on_the_vectors_that_it_is_scored_with(schema):
    spec, rows = spec_of(schema, "doubled"), make_rows(32)
    model = build_model(spec, schema)
    scored = binary_cross_entropy_with_logits(model(rows.dense, rows.ids), rows.label).item()
    model.embedding.__class__ = MLETTables
    otherwise = binary_cross_entropy_with_logits(model(rows.dense, rows.ids), rows.label).item()
    model.embedding.__class__ = DoubledTables
    assert make_step(model, spec)(rows.dense, rows.ids, rows.label).item() == pytest.approx(scored, abs=1e-6)
    assert abs(scored - otherwise) > 1e-4


@every_method
def test_slots_are_stored_rows_and_follow_from_ids_alone(method, schema):
    embedding = build_model(spec_of(schema, method), schema).embedding
    ids = torch.cat([make_rows(50).ids, torch.tensor([SIZES]).int() - 1, torch.zeros(1, len(SIZES)).int()])
    slots = embedding.slots(ids)
    assert slots.shape == (len(SIZES), len(ids), embedding.num_slots) and slots.dtype == torch.int64
    assert embedding.weight.shape == (sum(embedding.stored), embedding.width)
    assert slots.min() >= 0 and slots.max() < len(embedding.weight)
    assert embedding(ids).shape == (len(ids), len(SIZES), embedding.embedding_dim)
    with torch.no_grad():
        embedding.weight.fill_(0)
    assert torch.equal(embedding.slots(ids.long()), slots)


@every_method
def test_a_table_has_the_vectors_of_all_ids(method, schema):
    embedding = build_model(spec_of(schema, method), schema).embedding
    for field, size in enumerate(SIZES):
        ids = torch.zeros(size, len(SIZES), dtype=torch.int32)
        ids[:, field] = torch.arange(size)
        table = embedding.table(field)
        assert table.shape == (size, embedding.embedding_dim)
        torch.testing.assert_close(table, embedding(ids)[:, field], rtol=0, atol=1e-6)


@every_method
def test_what_is_deployed_predicts_the_same_from_its_files_alone(method, schema, splits, tmp_path):
    spec = spec_of(schema, method)
    train(spec, schema, splits, tmp_path)
    description = deploy_run(tmp_path, schema, {"val": splits["val"]})
    model = load_trained(spec, schema, tmp_path)
    for file in ("model.safetensors", "spec.json"):
        (tmp_path / file).unlink()
    served, _ = load_deployed(tmp_path)
    rows = splits["test"]
    torch.testing.assert_close(served(rows.dense, rows.ids), model(rows.dense, rows.ids), rtol=0, atol=TOLERANCE)
    path = tmp_path / "deployed.safetensors"
    header = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    arrays, counted = load_file(path), description["bytes"]
    assert counted["deployed"] == path.stat().st_size - header
    of_tables = [array.nbytes for name, array in arrays.items() if name.startswith(("tables", "embedding."))]
    assert counted["deployed_tables"] == sum(of_tables)
    assert counted["training_tables"] == model.embedding.training_bytes()
    assert counted["training"] == sum(parameter.nbytes for parameter in model.parameters())


def test_fewer_bytes_than_a_table_of_its_own_are_served_of_hashed_ids(schema, splits, tmp_path):
    train(spec_of(schema, "hashed"), schema, splits, tmp_path)
    counted = deploy_run(tmp_path, schema, {"val": splits["val"]})["bytes"]
    assert counted["deployed_tables"] == 4 * (7 + 20 + 3 + 20) * 4  # d=4, float32


@every_method
def test_a_run_is_scored_and_verified(method, schema, splits, tmp_path):
    train(spec_of(schema, method), schema, splits, tmp_path)
    deploy_run(tmp_path, schema, {"val": splits["val"]})
    scored = {name: splits[name] for name in ("val", "test")}
    evaluate_run(tmp_path, schema, scored, groupings(scored))
    wrong = [str(check) for check in verify_run(tmp_path, schema, scored) if not check.holds]
    assert [text for text in wrong if "provenance" not in text] == []  # a checkout may be no git repository


def test_a_subclass_that_serves_other_vectors_is_refused(schema, splits, tmp_path, monkeypatch):
    monkeypatch.setattr(DoubledTables, "deployed", MLETTables.deployed)
    train(spec_of(schema, "doubled"), schema, splits, tmp_path)
    with pytest.raises(DeployRefusedError, match="differs from the trained one"):
        deploy_run(tmp_path, schema, {"val": splits["val"]})


@every_method
def test_training_bytes_are_known_without_memory(method, schema):
    spec = spec_of(schema, method)
    embedding = build_model(spec, schema).embedding
    with torch.device("meta"):
        shapes = empty_embedding(spec, schema.table_sizes)
    assert all(parameter.is_meta for parameter in shapes.parameters())
    counted = sum(parameter.nbytes for parameter in embedding.parameters())
    assert shapes.training_bytes() == embedding.training_bytes() == counted == training_need(spec, schema).tables
