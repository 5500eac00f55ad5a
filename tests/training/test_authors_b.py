"""The recipe of paper B: what it says, what sum and mean do, and the step that Adagrad's first touch gives MLET."""

from dataclasses import replace

import pytest
import torch
from toys import make_pack, make_rows, make_spec, make_step

from mlet_bench.arms import step_gift, with_recipe
from mlet_bench.embeddings.mlet import MLETTables
from mlet_bench.embeddings.single import SingleTables
from mlet_bench.models.build import build_model
from mlet_bench.training.rows import RowAdagrad, RowSGD
from mlet_bench.training.step import TrainStep

OF_B = {"optimizer": "adagrad", "lr": 0.02, "batch_size": 256, "loss": "sum", "w2_std": 0.5}


def test_the_recipe_is_the_authors():
    assert with_recipe({"recipe": "authors-b"}) == {"recipe": "authors-b"} | OF_B
    assert with_recipe({"recipe": "authors-b", "loss": "mean", "lr": None})["loss"] == "mean"


def test_a_recipe_without_them_leaves_loss_and_law_out():
    """What a job's command line says stays as it was, so no result of before becomes stale."""
    assert with_recipe({}) == {"recipe": "authors", "optimizer": "sgd", "lr": 0.2, "batch_size": 128}


def test_w2_has_the_recipes_law(schema):
    spec = make_spec(schema, dim=4, inner_dim=128, w2_std=0.5)
    assert build_model(spec, schema).embedding.w2.std().item() == pytest.approx(0.5, rel=0.03)
    assert build_model(replace(spec, w2_std=0.25), schema).embedding.w2.std().item() == pytest.approx(0.25, rel=0.03)
    unit = replace(spec, arm="mlet-unit")
    assert build_model(unit, schema).embedding.w2.std().item() == pytest.approx(128**-0.5, rel=0.03)
    unit = replace(unit, optimizer="adagrad")
    assert build_model(unit, schema).embedding.w2.std().item() == pytest.approx(4**0.5 / 128, rel=0.03)


def test_the_variance_of_single_init_follows_the_law(schema):
    narrow, wide = (
        build_model(make_spec(schema, "single-init", inner_dim=64, w2_std=std), schema).embedding.weight
        for std in (0.25, 0.5)
    )
    torch.testing.assert_close(wide, 2 * narrow)


def train(schema, steps=20, dtype=torch.float64, **changes):
    spec = make_spec(schema, **changes)
    model = build_model(spec, schema).to(dtype)
    step = make_step(model, spec)
    losses = []
    for number in range(steps):
        rows = make_rows(32, number)
        losses.append(step(rows.dense.to(dtype), rows.ids, rows.label.to(dtype)).item())
    return model.state_dict(), losses


def test_the_sum_is_b_times_the_mean_by_sgd(schema):
    (mean, losses), (total, same) = train(schema, lr=0.32), train(schema, lr=0.01, loss="sum")
    assert losses == pytest.approx(same, abs=1e-12)  # the mean is shown
    for name, value in mean.items():
        torch.testing.assert_close(total[name], value, rtol=0, atol=1e-12, msg=name)


def test_sum_and_mean_are_one_run_by_adagrad_but_for_eps(schema):
    """Adagrad divides a gradient by the root of its own sum of squares: a factor cancels, eps alone does not."""
    by = {"optimizer": "adagrad", "lr": 0.02, "w2_std": 0.5}
    (mean, _), (total, _) = train(schema, **by), train(schema, loss="sum", **by)
    largest = max((total[name] - value).abs().max().item() for name, value in mean.items())
    assert 0 < largest < 1e-4
    (sgd, _), (other, _) = train(schema), train(schema, loss="sum")
    assert max((other[name] - value).abs().max().item() for name, value in sgd.items()) > 1e-2


def first_decrease(optimizer, tables, gradient):
    """To first order, by how much the first step on the rows alone lowers the loss. gradient: (F, B, d)."""
    slots = tables.slots(torch.arange(gradient.shape[1]).unsqueeze(1).expand(-1, len(tables.table_sizes)))
    rows = tables.gather(slots).detach().requires_grad_()
    before = tables.combine(rows)
    (grad,) = torch.autograd.grad(before, rows, gradient.transpose(0, 1))
    optimizer.update(slots.flatten(), grad.flatten(0, 2).clone())  # which it may overwrite
    after = tables.combine(tables.gather(slots))
    return ((before - after).detach() * gradient.transpose(0, 1)).sum().item()


@pytest.mark.parametrize("w2_std", [0.25, 0.5])
@pytest.mark.parametrize(("k", "d"), [(16, 4), (64, 4), (64, 16), (64, 32)])
@pytest.mark.parametrize(("name", "optimizer"), [("sgd", RowSGD), ("adagrad", RowAdagrad)])
def test_mlets_first_step_is_its_gift(name, optimizer, k, d, w2_std, schema):
    """W2 is held, as its own first step moves rows outside the batch too; gradients have no preferred direction."""
    fields, n = 40, 300
    gradient = torch.randn(fields, n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = []
    for tables in (MLETTables([n] * fields, d, k), SingleTables([n] * fields, d)):
        tables.w2_std = w2_std
        tables.double().reset_parameters(0)
        found.append(first_decrease(optimizer(tables.weight.detach(), 0.02), tables, gradient))
    assert found[0] / found[1] == pytest.approx(step_gift(name, k, d, w2_std), rel=1 / (4 * d) + 0.03)


def test_a_run_of_the_recipe_in_a_pack_is_the_run_alone(schema):
    spec = make_spec(schema, **(OF_B | {"batch_size": 32}))
    specs = [replace(spec, seed=seed) for seed in range(2)]
    alone, packed = ([build_model(one, schema) for one in specs] for _ in range(2))
    step = TrainStep(make_pack(*packed), spec)
    batches = [make_rows(32, 7), make_rows(32, 8)]
    step(*(torch.stack([getattr(rows, name) for rows in batches]) for name in ("dense", "ids", "label")))
    for one, other, rows in zip(alone, packed, batches, strict=True):
        make_step(one, spec)(rows.dense, rows.ids, rows.label)
        for name, value in one.state_dict().items():
            torch.testing.assert_close(other.state_dict()[name], value, rtol=1e-5, atol=1e-6, msg=name)
