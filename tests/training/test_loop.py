"""The loop: what a run leaves, same seed same bits, resume to the bit, divergence, test never touched."""

import gc
import math
import weakref

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from toys import make_spec, train

from mlet_bench.arms import ARMS
from mlet_bench.errors import BenchError, RunsFailed
from mlet_bench.models import MODELS
from mlet_bench.models.base import resolve_hyper
from mlet_bench.spec import RunSpec
from mlet_bench.training import loop
from mlet_bench.training.loop import Execution, Keeper, epoch_order

AT_ONCE = Execution(checkpoint_seconds=0)


class Stop(Exception):
    """Stands for a kill."""


def stop_at(step):
    def after_step(number):
        if number == step:
            raise Stop

    return after_step


def numbers(folder):
    return load_file(folder / "model.safetensors"), pd.read_parquet(folder / "curve.parquet")


def assert_same_bits(one, other):
    (model, curve), (other_model, other_curve) = numbers(one), numbers(other)
    assert model.keys() == other_model.keys()
    assert all(torch.equal(model[name], other_model[name]) for name in model)
    pd.testing.assert_frame_equal(curve, other_curve, check_exact=True)


def trainable(splits):
    """Train and validation alone: a loop that asked for test would fail."""
    return {split: splits[split] for split in ("train", "val")}


def test_a_run_leaves_its_folder_and_learns(schema, splits, tmp_path):
    spec = make_spec(schema, epochs=6, lr=0.5)
    train(spec, schema, trainable(splits), tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {
        "spec.json", "curve.parquet", "model.safetensors", "provenance.json",
    }  # fmt: skip
    assert RunSpec.read(tmp_path) == spec
    curve = pd.read_parquet(tmp_path / "curve.parquet")
    assert list(curve.columns) == ["step", "rows", "train_loss", "val_auc", "val_logloss"]
    assert curve.step.tolist() == [44, 88, 132]  # 22 steps an epoch, the last one of 28 rows
    assert curve.rows.tolist() == [1400, 2800, 4200]
    assert curve.val_auc.iloc[-1] > 0.7


@pytest.mark.parametrize("arm", ARMS)
def test_same_seed_same_bits(arm, schema, splits, tmp_path):
    spec = make_spec(schema, arm)
    for name in ("one", "other"):
        train(spec, schema, trainable(splits), tmp_path / name)
    assert_same_bits(tmp_path / "one", tmp_path / "other")


def test_another_seed_gives_another_model(schema, splits, tmp_path):
    for seed in (0, 1):
        train(make_spec(schema, seed=seed), schema, trainable(splits), tmp_path / str(seed))
    (one, _), (other, _) = numbers(tmp_path / "0"), numbers(tmp_path / "1")
    assert not torch.equal(one["top.0.weight"], other["top.0.weight"])


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
@pytest.mark.parametrize("step", [5, 23, 43])
def test_a_killed_training_ends_in_the_same_bits(optimizer, step, schema, splits, tmp_path):
    spec = make_spec(schema, epochs=2, optimizer=optimizer, lr=0.05, validations=5)
    train(spec, schema, trainable(splits), tmp_path / "whole")
    with pytest.raises(Stop):
        train(spec, schema, trainable(splits), tmp_path / "cut", AT_ONCE, stop_at(step))
    done = []
    train(spec, schema, trainable(splits), tmp_path / "cut", after_step=done.append)
    assert_same_bits(tmp_path / "whole", tmp_path / "cut")
    if step > 9:  # the first validation, and with it the first checkpoint, is at step 9 of 44
        assert done[0] > 1, "the run started over instead of continuing"
    assert not (tmp_path / "cut" / "checkpoint.pt").exists()


def test_a_longer_training_passes_through_the_shorter_one(schema, splits, tmp_path):
    """Validated equally often an epoch, the curve of 3 epochs begins with that of 1, to the bit."""
    train(make_spec(schema, validations=2), schema, trainable(splits), tmp_path / "1")
    train(make_spec(schema, epochs=3, validations=6), schema, trainable(splits), tmp_path / "3")
    (_, short), (_, long) = numbers(tmp_path / "1"), numbers(tmp_path / "3")
    pd.testing.assert_frame_equal(short, long[:2], check_exact=True)


def test_a_checkpoint_of_another_run_is_not_continued(schema, splits, tmp_path):
    with pytest.raises(Stop):
        train(make_spec(schema), schema, trainable(splits), tmp_path, AT_ONCE, stop_at(15))
    assert (tmp_path / "checkpoint.pt").exists()
    done = []
    train(make_spec(schema, lr=0.1), schema, trainable(splits), tmp_path, after_step=done.append)
    assert done[0] == 1


def test_a_damaged_checkpoint_is_named(schema, splits, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(BenchError, match=r"checkpoint\.pt is damaged .* delete it"):
        train(make_spec(schema), schema, trainable(splits), tmp_path)


def test_divergence_is_an_error_and_leaves_no_result(schema, splits, tmp_path):
    spec = make_spec(schema, lr=1e6, epochs=3)
    with pytest.raises(RunsFailed, match=r"training loss is (nan|inf).* diverged") as failed:
        train(spec, schema, trainable(splits), tmp_path)
    assert [error.kind for error in failed.value.reasons.values()] == ["diverged"]
    assert list(tmp_path.iterdir()) == []


def test_a_run_whose_scores_diverge_leaves_no_model_in_memory(schema, splits, tmp_path, monkeypatch):
    """A GPU may have no room for the next pack beside it."""
    models = []

    class Noting(Keeper):
        def drawn(self, spec, folder, model):
            models.append(weakref.ref(model))

    monkeypatch.setattr(loop, "logits_on_device", lambda model, rows: torch.full((len(rows),), math.nan))
    with pytest.raises(RunsFailed, match="scores on val are not finite") as failed:
        loop.train_together([(make_spec(schema), tmp_path)], schema, trainable(splits), keeper=Noting())
    gc.collect()
    assert [model() for model in models] == [None] and len(failed.value.reasons) == 1


def test_a_model_that_diverges_by_anothers_recipe_is_told_its_own(schema, splits, tmp_path):
    hyper = resolve_hyper(MODELS["dcn"], {}, "authors")
    with pytest.raises(RunsFailed) as failed:
        train(make_spec(schema, "single", model="dcn", hyper=hyper, lr=1e6), schema, trainable(splits), tmp_path)
    (error,) = failed.value.reasons.values()
    assert error.kind == "diverged" and "or train it by its own recipe (recipe: authors-b)" in str(error)


def test_no_validation_leaves_an_empty_curve(schema, splits, tmp_path):
    train(make_spec(schema, validations=0), schema, trainable(splits), tmp_path)
    assert len(pd.read_parquet(tmp_path / "curve.parquet")) == 0


def test_order_is_a_permutation_of_its_own_each_epoch_and_seed():
    orders = [epoch_order(seed, epoch, 1000) for seed in (0, 1) for epoch in (0, 1)]
    assert all(torch.equal(order.sort().values, torch.arange(1000)) for order in orders)
    assert len({tuple(order.tolist()) for order in orders}) == 4
    assert math.isclose(orders[0][:500].double().mean().item(), 500, abs_tol=60)
