"""Every model of the registry, and toys registered here: built, trained alone and in a pack, deployed, reloaded."""

import copy
from dataclasses import dataclass, field, replace

import pytest
import torch
from safetensors.numpy import load_file
from torch.nn.functional import binary_cross_entropy_with_logits
from toys import SIZES, groupings, make_pack, make_rows, make_spec, train

from mlet_bench.embeddings.single import SingleTables
from mlet_bench.errors import BenchError
from mlet_bench.evaluation.deploy import TOLERANCE, deploy_run, load_deployed, load_trained
from mlet_bench.evaluation.evaluate import evaluate_run
from mlet_bench.models import MODELS
from mlet_bench.models.base import ClickModel, make_hyper, resolve_hyper
from mlet_bench.models.build import build_model
from mlet_bench.models.mlp import MLP
from mlet_bench.runs import DEPLOYED, RunFolder
from mlet_bench.training.loop import Execution
from mlet_bench.training.memory import training_need
from mlet_bench.training.pack import build_pack
from mlet_bench.training.step import TrainStep


@dataclass(frozen=True)
class Hyper:
    """Of each kind that there is."""

    hidden: tuple[int, ...] = field(default=(8,), metadata={"help": "hidden widths"})
    scale: float = 1.0
    power: int = 1
    bias: bool = True
    pool: str = "sum"


class WideAndDeep(ClickModel):
    """A linear part of every category beside an MLP over the sum of the vectors."""

    name, wide, Hyper, recipes = "wide-and-deep", True, Hyper, {"dlrm": {"hidden": (12, 8)}}

    def __init__(self, embedding, num_dense, hyper, draws, linear=None):
        super().__init__(embedding, linear)
        self.hyper = hyper
        self.deep = MLP([num_dense + embedding.embedding_dim, *hyper.hidden, 1], draws, last_relu=False)

    def head(self, dense, vectors, linear=None):
        deep = self.deep(torch.cat([dense, vectors.sum(1)], dim=1)).squeeze(1)
        return self.hyper.scale * deep + linear.sum((1, 2))


class LogisticRegression(ClickModel):
    """The example of ``models/base.py``: it has no use for the vectors of its embedding."""

    name, wide = "lr", True

    def __init__(self, embedding, num_dense, hyper, draws, linear=None):
        super().__init__(embedding, linear)
        self.dense = MLP([num_dense, 1], draws, last_relu=False)

    def head(self, dense, vectors, linear=None):
        return self.dense(dense).squeeze(1) + linear.sum((1, 2))


TOYS = (WideAndDeep, LogisticRegression)
every_model = pytest.mark.parametrize("model", [*MODELS, *(toy.name for toy in TOYS)])


@pytest.fixture(autouse=True)
def toys():
    """Registered for a test alone."""
    for toy in TOYS:
        MODELS.add(toy)
    yield
    for toy in TOYS:
        MODELS.remove(toy.name)


def spec_of(schema, model, arm="mlet", **changes):
    hyper = resolve_hyper(MODELS[model], {}, "authors")
    return make_spec(schema, arm, **({"model": model, "hyper": hyper, "lr": 0.1} | changes))


def plain_steps(model, spec, batches):
    """SGD by the definition: dense gradients of the model's own forward pass; the linear part has the model's rate."""
    losses = []
    for rows in batches:
        model.zero_grad()
        loss = binary_cross_entropy_with_logits(model(rows.dense, rows.ids), rows.label)
        loss.backward()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.grad is not None:
                    parameter -= (spec.embedding_lr if name == "embedding.weight" else spec.lr) * parameter.grad
        losses.append(loss.detach())
    return losses


@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("arm", ["single-lr", "mlet"])
@every_model
def test_a_step_alone_and_in_a_pack_is_the_plain_one(model, arm, runs, schema):
    spec = spec_of(schema, model, arm)
    models = [build_model(replace(spec, seed=seed), schema) for seed in range(runs)]
    plain = copy.deepcopy(models)
    step = TrainStep(make_pack(*models), spec)
    batches = [[make_rows(32, 10 * seed + number) for number in range(3)] for seed in range(runs)]
    found = []
    for together in zip(*batches, strict=True):
        dense, ids, label = (torch.stack([getattr(rows, n) for rows in together]) for n in ("dense", "ids", "label"))
        found.append(step(dense, ids, label))
    for number, one in enumerate(plain):
        losses = plain_steps(one, spec, batches[number])
        torch.testing.assert_close(torch.stack(found)[:, number], torch.stack(losses), rtol=1e-5, atol=1e-6)
        for name, value in one.state_dict().items():
            torch.testing.assert_close(models[number].state_dict()[name], value, rtol=1e-5, atol=1e-6, msg=name)


@every_model
def test_a_pack_starts_with_each_seeds_own_values(model, schema):
    specs = [replace(spec_of(schema, model), seed=seed) for seed in range(2)]
    pack = build_pack(specs, schema, torch.device("cpu"))
    assert [tables.name for tables in pack.tables] == (["embedding", "linear"] if MODELS[model].wide else ["embedding"])
    for spec, packed in zip(specs, pack.models, strict=True):
        for name, value in build_model(spec, schema).state_dict().items():
            assert torch.equal(packed.state_dict()[name], value), name


@every_model
def test_what_is_deployed_predicts_the_same_from_its_files_alone(model, schema, splits, tmp_path):
    spec = spec_of(schema, model)
    train(spec, schema, splits, tmp_path)
    deploy_run(tmp_path, schema, {"val": splits["val"]})
    trained = load_trained(spec, schema, tmp_path)
    for file in ("model.safetensors", "spec.json"):
        (tmp_path / file).unlink()
    served, description = load_deployed(tmp_path)
    assert type(served) is MODELS[model] and isinstance(served.embedding, SingleTables)
    assert description["hyper"] == spec.hyper
    rows = splits["test"]
    torch.testing.assert_close(served(rows.dense, rows.ids), trained(rows.dense, rows.ids), rtol=0, atol=TOLERANCE)


@every_model
def test_arms_of_equal_seed_start_with_equal_models(model, schema):
    single, mlet = (build_model(spec_of(schema, model, arm), schema).state_dict() for arm in ("single", "mlet"))
    assert {name for name in single if not name.startswith("embedding.")} <= mlet.keys()
    for name, value in single.items():
        assert name.startswith("embedding.") or torch.equal(value, mlet[name]), name


@every_model
def test_values_of_a_row_are_counted(model, schema):
    spec = spec_of(schema, model)
    hyper = make_hyper(MODELS[model], spec.hyper)
    assert MODELS[model].activation_values(hyper, len(SIZES), 2, 4) > 0
    built = build_model(spec, schema)
    tables = sum(table.training_bytes() for table in built.tables().values())
    assert training_need(spec, schema).tables == tables


def test_the_linear_part_is_trained_stored_and_not_factorised(schema, splits, tmp_path):
    spec = spec_of(schema, "wide-and-deep")
    before = build_model(spec, schema)
    assert type(before.linear) is SingleTables and before.linear.weight.shape == (sum(SIZES), 1)
    assert before.linear.weight.std().item() == pytest.approx(1e-4, rel=0.2)
    train(spec, schema, splits, tmp_path)
    linear = load_trained(spec, schema, tmp_path).linear.weight
    assert (linear - before.linear.weight).abs().max() > 1e-3
    deploy_run(tmp_path, schema, {"val": splits["val"]})
    assert torch.equal(load_deployed(tmp_path)[0].linear.weight, linear)
    sizes = RunFolder(tmp_path).document(DEPLOYED)["bytes"]
    assert sizes["deployed_linear"] == 4 * sum(SIZES) and sizes["deployed_tables"] == 4 * sum(SIZES) * spec.dim
    assert {name for name in load_file(tmp_path / "deployed.safetensors") if name.startswith(("lin", "emb"))} == {
        "linear.weight"
    }
    scored = {name: splits[name] for name in ("val", "test")}
    metrics = evaluate_run(tmp_path, schema, scored, groupings(scored))
    assert 0.5 < metrics["test"]["auc"] < 1


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
def test_a_killed_training_of_two_embeddings_ends_in_the_same_bits(optimizer, schema, splits, tmp_path):
    def stop(step):
        if step == 15:
            raise KeyboardInterrupt

    spec = spec_of(schema, "wide-and-deep", optimizer=optimizer)
    train(spec, schema, splits, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(spec, schema, splits, tmp_path / "cut", Execution(checkpoint_seconds=0), stop)
    done = []
    train(spec, schema, splits, tmp_path / "cut", after_step=done.append)
    assert done[0] > 1
    whole, cut = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert all((whole[name] == cut[name]).all() for name in whole)


def test_hyper_parameters_are_the_defaults_the_recipes_and_the_given_ones():
    model = MODELS["wide-and-deep"]
    defaults = {"hidden": [8], "scale": 1.0, "power": 1, "bias": True, "pool": "sum"}
    assert resolve_hyper(model, {}, "authors") == defaults
    assert resolve_hyper(model, {"hidden": None}, "dlrm") == defaults | {"hidden": [12, 8]}
    assert resolve_hyper(model, {"hidden": [5], "bias": False}, "dlrm") == defaults | {"hidden": [5], "bias": False}
    assert resolve_hyper(model, {"hidden": ()}, "authors") == defaults | {"hidden": []}
    assert make_hyper(model, defaults) == Hyper()


def test_a_whole_number_given_for_a_real_one_is_the_same_run(schema):
    hypers = [resolve_hyper(MODELS["wide-and-deep"], {"scale": scale}, "authors") for scale in (2, 2.0)]
    ids = {make_spec(schema, model="wide-and-deep", hyper=hyper).id for hyper in hypers}
    assert len(ids) == 1


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"depth": 3},
            "model 'wide-and-deep' has no hyper-parameter depth: there are hidden, scale, power, bias, pool",
        ),
        ({"hidden": 8}, "hidden of model 'wide-and-deep' is 8: expected a list of whole numbers above 0"),
        ({"hidden": "88"}, "hidden of model 'wide-and-deep' is '88': expected"),
        ({"hidden": ""}, "hidden of model 'wide-and-deep' is '': expected"),
        ({"hidden": [8, 0]}, r"hidden of model 'wide-and-deep' is \[8, 0\]: expected"),
        ({"hidden": [8, 2.0]}, r"hidden of model 'wide-and-deep' is \[8, 2.0\]: expected"),
        ({"scale": "1"}, "scale of model 'wide-and-deep' is '1': expected a number"),
        ({"scale": True}, "scale of model 'wide-and-deep' is True: expected"),
        ({"power": 1.5}, "power of model 'wide-and-deep' is 1.5: expected a whole number"),
        ({"power": True}, "power of model 'wide-and-deep' is True: expected"),
        ({"bias": 1}, "bias of model 'wide-and-deep' is 1: expected true or false"),
        ({"pool": 1}, "pool of model 'wide-and-deep' is 1: expected a text"),
    ],
)
def test_hyper_parameters_that_cannot_be_are_refused(given, sentence):
    with pytest.raises(BenchError, match=sentence):
        resolve_hyper(MODELS["wide-and-deep"], given, "authors")


def test_a_model_without_hyper_parameters_says_so():
    with pytest.raises(BenchError, match="model 'lr' has no hyper-parameter bottom: there are none"):
        resolve_hyper(MODELS["lr"], {"bottom": [8]}, "authors")
