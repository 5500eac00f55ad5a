"""A pack gives each run what it gets alone, to rounding; and it survives what one of its runs does not."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from toys import make_rows, make_spec, train

from mlet_bench.arms import ARMS
from mlet_bench.errors import DivergedError, RunsFailed
from mlet_bench.models.build import build_model, build_without_tables
from mlet_bench.training.loop import Execution, train_together
from mlet_bench.training.pack import build_pack
from mlet_bench.training.step import TrainStep

CPU = torch.device("cpu")


class Stop(Exception):
    """Stands for a kill."""


def trainable(splits):
    return {split: splits[split] for split in ("train", "val")}


def seeds_of(spec, folder, count=3):
    return [(replace(spec, seed=seed), folder / f"seed{seed}") for seed in range(count)]


def assert_close(one, other, optimizer="sgd"):
    model, other_model = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert model.keys() == other_model.keys()
    for name, value in model.items():
        # Adagrad's first steps are lr · sign(g): where g is rounding itself, a weight goes the other way.
        far = ((other_model[name] - value).abs() > 1e-6 + 1e-4 * value.abs()).double().mean().item()
        assert far <= (0.002 if optimizer == "adagrad" else 0.0), (name, far)
    curve, other_curve = (pd.read_parquet(folder / "curve.parquet") for folder in (one, other))
    # Rounding may turn a pair of rows around, one in 11,000 here.
    pd.testing.assert_series_equal(curve.pop("val_auc"), other_curve.pop("val_auc"), atol=2e-4)
    pd.testing.assert_frame_equal(curve, other_curve, rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
@pytest.mark.parametrize("arm", ARMS)
def test_each_run_of_a_pack_equals_the_run_alone(arm, optimizer, schema, splits, tmp_path):
    spec = make_spec(schema, arm, optimizer=optimizer, lr=0.05, epochs=2)  # each epoch ends in a short batch
    train_together(seeds_of(spec, tmp_path / "pack"), schema, trainable(splits), Execution(pack=3))
    for own, folder in seeds_of(spec, tmp_path / "alone"):
        train(own, schema, trainable(splits), folder)
        assert_close(folder, tmp_path / "pack" / folder.name, optimizer)


def test_one_step_of_a_pack_in_float64_equals_each_models_own(schema):
    spec = make_spec(schema)
    models = [build_model(replace(spec, seed=seed), schema).double() for seed in range(3)]
    pack = build_pack([replace(spec, seed=seed) for seed in range(3)], schema, CPU)
    batches = [make_rows(32, seed) for seed in range(3)]
    dense, ids, label = (torch.stack([getattr(rows, name) for rows in batches]) for name in ("dense", "ids", "label"))
    losses = TrainStep(pack, spec)(dense, ids, label)
    for number, model in enumerate(models):
        logits = model(dense[number].double(), ids[number])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, label[number].double())
        assert losses[number].item() == pytest.approx(loss.item(), rel=1e-6)
        loss.backward()
        for name, parameter in model.named_parameters():
            expected = parameter.detach() - spec.lr * parameter.grad
            mine = pack.models[number].get_parameter(name).detach().double()
            torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-7, msg=name)


def test_the_models_of_a_pack_are_views_of_its_storage(schema):
    spec = make_spec(schema)
    pack = build_pack([replace(spec, seed=seed) for seed in range(3)], schema, CPU)
    for seed, model in enumerate(pack.models):
        for name, value in build_model(replace(spec, seed=seed), schema).state_dict().items():
            assert torch.equal(model.state_dict()[name], value), name
    pack.tables[0].weight.fill_(7.0)
    assert all((model.embedding.weight == 7).all() for model in pack.models)


# Arms whose runs stand in one pack, with the factors that a tuned one may have.
TOGETHER = {
    "single": [
        *(("single", 1), ("single-lr", 1), ("single-init", 1), ("single-product-init", 1)),
        *(("single-lr-tuned", 4), ("single-lr-tuned", 16)),
    ],
    "mlet": [("mlet", 1), ("mlet-unit", 1), ("mlet-frozen", 1), ("mlet-lr-tuned", 4)],
    "hash": [("hash", 1), ("hash-lr-tuned", 4)],
    "single-freq-lr": [("single-freq-lr", 1)],
}


def across(schema, folder, kind, seeds=(0, 1), **changes):
    """Runs of all arms that go together."""
    return [
        (make_spec(schema, arm, seed=seed, embedding_lr_factor=factor, **changes), folder / f"{arm}-{factor}-{seed}")
        for arm, factor in TOGETHER[kind]
        for seed in seeds
    ]


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
@pytest.mark.parametrize("kind", ["single", "mlet", "hash"])
def test_each_run_of_a_pack_of_many_arms_equals_the_run_alone(kind, optimizer, schema, splits, tmp_path):
    runs = across(schema, tmp_path / "pack", kind, optimizer=optimizer, lr=0.05)
    assert build_pack([spec for spec, _ in runs], schema, CPU).models
    train_together(runs, schema, trainable(splits), Execution(pack=len(runs)))
    for own, folder in across(schema, tmp_path / "alone", kind, optimizer=optimizer, lr=0.05):
        train(own, schema, trainable(splits), folder)
        assert_close(folder, tmp_path / "pack" / folder.name, optimizer)


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
def test_what_an_arm_does_not_train_stays_to_the_bit_beside_arms_that_do(optimizer, schema, splits, tmp_path):
    runs = across(schema, tmp_path, "mlet", optimizer=optimizer, lr=0.05)
    train_together(runs, schema, trainable(splits), Execution(pack=len(runs)))
    for spec, folder in runs:
        w2, trained = build_model(spec, schema).embedding.w2, load_file(folder / "model.safetensors")["embedding.w2"]
        assert torch.equal(trained, w2) == (spec.arm == "mlet-frozen"), spec.arm


def test_runs_go_together_by_shape_and_end_in_their_own_numbers_whatever_else_there_is(schema, splits, tmp_path):
    runs = [run for kind in TOGETHER for run in across(schema, tmp_path / "all", kind)]
    steps = []
    train_together(runs, schema, trainable(splits), Execution(pack=12), after_step=steps.append)
    assert steps.count(1) == len(TOGETHER)
    for own, folder in (run for kind in TOGETHER for run in across(schema, tmp_path / "alone", kind, seeds=(1,))):
        train(own, schema, trainable(splits), folder)
        assert_close(folder, tmp_path / "all" / folder.name)


@pytest.mark.parametrize(
    ("other", "differing"),
    [
        ({"lr": 0.1}, "lr"),
        ({"dim": 8}, "dim"),
        ({"inner_dim": 16}, "options"),
        ({"arm": "single-lr"}, "method, options"),
        ({"epochs": 2}, "epochs"),
    ],
)
def test_runs_of_other_shapes_or_settings_are_no_pack(other, differing, schema):
    with pytest.raises(ValueError, match=f"these differ in {differing}"):
        build_pack([make_spec(schema), make_spec(schema, **{"seed": 1, **other})], schema, CPU)


def test_rows_that_learn_by_frequency_are_no_pack_with_rows_that_do_not(schema):
    with pytest.raises(ValueError, match="these differ in lr_frequency_power"):
        build_pack([make_spec(schema, "single"), make_spec(schema, "single-freq-lr")], schema, CPU)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_killed_pack_goes_on_in_packs_of_any_size(size, schema, splits, tmp_path):
    spec = make_spec(schema, epochs=2, optimizer="adagrad", lr=0.05, validations=5)

    def kill(step):
        if step == 25:
            raise Stop

    with pytest.raises(Stop):
        train_together(seeds_of(spec, tmp_path / "cut"), schema, trainable(splits), Execution(3, 0), after_step=kill)
    # Checkpoints hold one run each, not the storage that the runs share.
    sizes = {(folder / "checkpoint.pt").stat().st_size for _, folder in seeds_of(spec, tmp_path / "cut")}
    assert max(sizes) < 2 * 4 * sum(schema.table_sizes) * 8 + 40_000
    (tmp_path / "cut" / "seed1" / "checkpoint.pt").unlink()  # a kill between two of them: this one starts again
    done = []
    train_together(seeds_of(spec, tmp_path / "cut"), schema, trainable(splits), Execution(size), after_step=done.append)
    assert done.count(1) == 1
    for own, folder in seeds_of(spec, tmp_path / "alone"):
        train(own, schema, trainable(splits), folder)
        assert_close(folder, tmp_path / "cut" / folder.name, "adagrad")


def test_a_run_that_diverges_takes_no_other_with_it(schema, splits, tmp_path, monkeypatch):
    """One seed starts from weights that are not numbers."""
    import mlet_bench.training.pack as module

    def build(spec, schema):
        model = build_without_tables(spec, schema)
        if spec.seed == 1:
            model.top[0].weight.data.fill_(float("nan"))
        return model

    monkeypatch.setattr(module, "build_without_tables", build)
    spec = make_spec(schema)
    with pytest.raises(RunsFailed, match=r"seed 1: the training loss is nan .* diverged") as failed:
        train_together(seeds_of(spec, tmp_path / "pack"), schema, trainable(splits), Execution(3))
    assert list(failed.value.reasons) == [tmp_path / "pack" / "seed1"]
    assert isinstance(failed.value.reasons[tmp_path / "pack" / "seed1"], DivergedError)
    assert not (tmp_path / "pack" / "seed1" / "model.safetensors").exists()
    for own, folder in seeds_of(spec, tmp_path / "alone"):
        if own.seed != 1:
            train(own, schema, trainable(splits), folder)
            assert_close(folder, tmp_path / "pack" / folder.name)
