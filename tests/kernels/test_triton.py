"""Triton's kernels give what plain torch gives in float64; on a CPU in the interpreter, for a GPU without spills."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from toys import make_rows, make_spec

from mlet_bench import kernels
from mlet_bench.device import device_label
from mlet_bench.errors import BenchError
from mlet_bench.kernels import build
from mlet_bench.kernels import triton as ours
from mlet_bench.models.interaction import Interaction
from mlet_bench.training.lookup import KernelLookup, RowLookup, TritonLookup
from mlet_bench.training.loop import epoch_order, orders_of
from mlet_bench.training.pack import build_pack
from mlet_bench.training.step import TrainStep
from mlet_bench.training.steps import Steps

pytest.importorskip("triton", reason="needs Triton: pip install triton")
from mlet_bench.kernels.triton import batch, interaction, layers, lookup, loss, update

ON = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SIZES = (1, 3, 50)
FIELDS = len(SIZES)
STARTS = torch.tensor((0, *SIZES)).cumsum(0).to(ON)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(ON)


def make_ids(models, batch):
    draw = torch.Generator().manual_seed(1)
    return torch.stack([torch.randint(n, (models, batch), generator=draw) for n in SIZES], 2).int().to(ON)


def close(found, exact, atol=2e-5):
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=atol)


@pytest.mark.parametrize(
    ("models", "batch", "width", "dim"), [(1, 1, 1, 1), (2, 33, 40, 17), (1, 70, 16, 8), (3, 5, 7, 3), (1, 2, 130, 128)]
)
@pytest.mark.parametrize("mlet", [True, False])
@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
def test_a_lookup_and_its_update(optimizer, mlet, models, batch, width, dim):
    weight = random(models * sum(SIZES), width if mlet else dim)
    w2 = random(models, FIELDS, width, dim, seed=2) if mlet else None
    ids, grad = make_ids(models, batch), random(models, batch, FIELDS, dim, seed=3)
    rates = torch.linspace(0.1, 0.3, models, device=ON)

    exact = weight.double().requires_grad_()
    of_w2 = w2.double().requires_grad_() if mlet else None
    places = ids + STARTS[:-1] + sum(SIZES) * torch.arange(models, device=ON).view(-1, 1, 1)
    rows = exact[places.long()]  # (S, B, F, width)
    vectors = torch.einsum("sbfk,sfkd->sbfd", rows, of_w2) if mlet else rows
    close(lookup.lookup(weight, w2, ids, STARTS), vectors.detach())

    vectors.backward(grad.double())
    strided = grad.transpose(1, 2).contiguous().transpose(1, 2)
    step = rates.double().repeat_interleave(sum(SIZES)).unsqueeze(1) * exact.grad
    if optimizer == "sgd":
        grad_w2 = update.lookup_sgd(weight, w2, ids, STARTS, strided, rates, train_w2=True)
    else:
        squares = random(*weight.shape, seed=4).square()
        total = squares.double() + exact.grad.square()
        grad_w2 = update.lookup_adagrad(weight, squares, w2, ids, STARTS, strided, rates, 1e-3, train_w2=True)
        close(squares, total)
        step /= total.sqrt() + 1e-3
    close(weight, exact.detach() - step)
    if mlet:
        close(grad_w2, of_w2.grad)


@pytest.mark.parametrize("order_of", [None, [1, 0, 1]])
@pytest.mark.parametrize("dense", [0, 5])
def test_a_batch_and_the_place_after_it(dense, order_of):
    rows = random(50, dense), make_ids(1, 50)[0], random(50, seed=1)
    order = torch.stack([torch.randperm(50) for _ in order_of or (0, 1)]).int()[:2].to(ON)
    places = torch.arange(14, 21, device=ON)
    chosen = order[order_of or [0, 1], 14:21].long()
    found = batch.next_batch(order, order_of and torch.tensor(order_of, device=ON), places, *rows)
    for part, table in zip(found, rows, strict=True):
        assert torch.equal(part, table[chosen]) and part.is_contiguous()
    assert places.tolist() == list(range(21, 28))


@pytest.mark.parametrize("seeds", [(0, 1), (0, 1, 0)])
def test_an_epoch_has_the_plain_one_s_batches(seeds, schema, monkeypatch):
    ends = []
    for switch in ("off", "triton"):
        monkeypatch.setenv(build.SWITCH, switch)
        specs = [make_spec(schema, seed=seed) for seed in seeds]
        rows = make_rows(70).to(ON)
        of_each, order_of = orders_of(specs)
        step = TrainStep(build_pack(specs, schema, ON), specs[0])
        steps = Steps(step, rows, 32, order_of)
        steps.start([epoch_order(seed, 0, 70) for seed in of_each], 0)
        steps.advance(2)
        steps.advance_short()
        ends.append([*steps.take_losses(), *(model.embedding.weight.sum().item() for model in step.pack.models)])
    assert ends[1] == pytest.approx(ends[0], rel=1e-4)


def test_a_batch_of_one_id_adds_up_all_its_occurrences():
    weight, grad = torch.zeros(sum(SIZES), 4, device=ON), torch.ones(1, 100, FIELDS, 4, device=ON)
    ids = torch.zeros(1, 100, FIELDS, dtype=torch.int32, device=ON)
    assert update.lookup_sgd(weight, None, ids, STARTS, grad, torch.tensor([0.5], device=ON), False) is None
    assert weight[STARTS[:-1]].eq(-50).all() and weight.sum() == -50 * FIELDS * 4


def test_adagrad_steps_once_by_the_sum_of_a_row_s_gradients():
    """100 gradients of 1 and no squares before: s = 100², a step of lr · 100 / 100, and nothing of other rows."""
    weight, squares = torch.zeros(sum(SIZES), 4, device=ON), torch.zeros(sum(SIZES), 4, device=ON)
    ids, grad = torch.zeros(1, 100, FIELDS, dtype=torch.int32, device=ON), torch.ones(1, 100, FIELDS, 4, device=ON)
    rate = torch.tensor([0.5], device=ON)
    assert update.lookup_adagrad(weight, squares, None, ids, STARTS, grad, rate, 1e-10, False) is None
    assert squares[STARTS[:-1]].eq(10_000).all() and squares.sum() == 10_000 * FIELDS * 4
    assert weight[STARTS[:-1]].eq(-0.5).all() and weight.sum() == -0.5 * FIELDS * 4


def test_a_frozen_w2_gets_no_gradient_and_the_rows_their_step():
    weight, w2, ids = random(sum(SIZES), 8), random(1, FIELDS, 8, 4), make_ids(1, 20)
    given = w2, ids, STARTS, random(1, 20, FIELDS, 4, seed=3), torch.tensor([0.1], device=ON)
    frozen, trained = weight.clone(), weight.clone()
    assert update.lookup_sgd(frozen, *given, train_w2=False) is None
    update.lookup_sgd(trained, *given, train_w2=True)
    torch.testing.assert_close(frozen, trained)
    assert not torch.equal(frozen, weight)


@pytest.mark.parametrize("bad", [-1, 50])
def test_an_id_outside_its_table_gives_nan_and_reads_and_writes_nothing(bad):
    weight, w2, ids = random(sum(SIZES), 8), random(1, FIELDS, 8, 4), make_ids(1, 20)
    ids[0, 7, 2] = bad
    wrong = lookup.lookup(weight, w2, ids, STARTS).isnan()
    assert wrong[0, 7, 2].all() and wrong.sum() == 4
    ids[0, :, 2] = bad
    before = weight.clone()
    update.lookup_sgd(weight, w2, ids, STARTS, random(1, 20, FIELDS, 4), torch.tensor([0.1], device=ON), True)
    assert torch.equal(weight[4:], before[4:]) and not torch.equal(weight[:4], before[:4])


def test_a_table_of_more_values_than_32_bits_count():
    """Only the rows that are read take memory."""
    width, rows = 64, 2**31 // 64 + 5
    try:
        weight = torch.empty(rows, width, device=ON)
    except RuntimeError:
        pytest.skip("needs 8.6 GB of address space")
    starts, ids = torch.tensor([0, 2, rows]).to(ON), torch.tensor([[[1, rows - 3]]], dtype=torch.int32, device=ON)
    weight[1], weight[-1] = 1, torch.arange(width)
    vectors = lookup.lookup(weight, None, ids, starts)
    assert torch.equal(vectors[0, 0], weight[[1, rows - 1]])
    update.lookup_sgd(weight, None, ids, starts, vectors, torch.tensor([0.5], device=ON), False)
    assert torch.equal(weight[-1], torch.arange(width, device=ON) / 2) and weight[1].eq(0.5).all()


@pytest.mark.parametrize(("batch", "count", "dim"), [(1, 2, 1), (3, 27, 16), (2, 40, 33), (2, 5, 100)])
def test_the_interaction_both_ways(batch, count, dim):
    bottom, vectors = random(batch, dim), random(batch, count - 1, dim, seed=1)
    exact = [tensor.double().requires_grad_() for tensor in (bottom, vectors)]
    expected = Interaction(count).to(ON)(*exact)
    close(interaction.interact(bottom, vectors), expected.detach())
    grad = random(*expected.shape, seed=2)
    grads = interaction.interact_back(bottom, vectors, grad)
    for found, known in zip(grads, torch.autograd.grad(expected, exact, grad.double()), strict=True):
        close(found, known)


@pytest.mark.parametrize("mean", [True, False])
@pytest.mark.parametrize(("models", "batch"), [(1, 1), (3, 7), (2, 1500)])
def test_the_loss_and_its_slope(models, batch, mean):
    logits, label = 10 * random(models, batch), random(models, batch, seed=1).gt(0).float()
    losses, slope = loss.cross_entropy(logits, label, mean)
    exact = logits.double().requires_grad_()
    each = binary_cross_entropy_with_logits(exact, label.double(), reduction="none")
    torch.testing.assert_close(losses.double(), each.mean(1), rtol=3e-7, atol=0)
    (each.mean(1) if mean else each.sum(1)).sum().backward()
    torch.testing.assert_close(slope.double(), exact.grad, rtol=1e-6, atol=1e-7)


def test_the_loss_keeps_its_digits_where_it_is_small():
    logits, label = torch.tensor([[-80.0], [-17.0], [-10.0], [40.0]], device=ON), torch.zeros(4, 1, device=ON)
    found = loss.cross_entropy(logits, label, True)[0]
    exact = torch.nn.functional.softplus(logits[:, 0].double(), threshold=100)
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("models", "batch", "width"), [(1, 1, 1), (2, 70, 33), (3, 5, 300)])
def test_bias_and_relu_both_ways(models, batch, width):
    x, bias, grad = random(models, batch, width), random(models, width, seed=1), random(models, batch, width, seed=2)
    exact = [tensor.double().requires_grad_() for tensor in (x, bias)]
    expected = (exact[0] + exact[1].unsqueeze(1)).relu()
    out = layers.bias_relu_(x, bias)
    assert out is x
    close(out, expected.detach())
    for found, known in zip(
        layers.bias_relu_back(grad, out), torch.autograd.grad(expected, exact, grad.double()), strict=True
    ):
        close(found, known)


def test_a_relu_hides_no_nan():
    x = torch.tensor([[[float("nan"), -1.0]]], device=ON)
    assert layers.bias_relu_(x, torch.zeros(1, 2, device=ON)).isnan().tolist() == [[[True, False]]]


@pytest.fixture
def asked(monkeypatch):
    monkeypatch.setenv(build.SWITCH, "triton")


def make_step(schema, runs=1, **spec):
    first = make_spec(schema, **spec)
    return TrainStep(build_pack([replace(first, seed=seed) for seed in range(runs)], schema, ON), first)


def frequency_step(schema):
    spec = make_spec(schema, arm="single-freq-lr")
    return TrainStep(build_pack([spec], schema, ON), spec, make_rows(32).ids.to(ON))


def train(step, steps):
    for seed in range(steps):
        rows = make_rows(8, seed)
        batch = (part.to(ON).expand(len(step.pack), *part.shape) for part in (rows.dense, rows.ids, rows.label))
        losses = step(*batch)
    return [losses, *(value for model in step.pack.models for value in model.state_dict().values())]


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
@pytest.mark.parametrize(
    ("arm", "lr", "loss"), [("single", 0.2, "mean"), ("mlet", 0.01, "sum"), ("mlet-frozen", 0.2, "mean")]
)
def test_steps_with_the_kernels_are_the_plain_ones(arm, lr, loss, optimizer, schema, monkeypatch):
    changes = {"arm": arm, "lr": lr, "loss": loss, "optimizer": optimizer}
    monkeypatch.setenv(build.SWITCH, "off")
    monkeypatch.setattr(kernels, "library", lambda: None)
    plain = train(make_step(schema, **changes), 3)
    monkeypatch.setenv(build.SWITCH, "triton")
    step = make_step(schema, **changes)
    assert type(step.lookups[0]) is TritonLookup
    for found, known in zip(train(step, 3), plain, strict=True):
        torch.testing.assert_close(found, known, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
def test_a_pack_of_arms_has_its_own_rates_and_what_is_frozen_stays(optimizer, schema, monkeypatch):
    """A pack's models may differ in the embedding's learning rate, and in whether W2 is trained."""
    runs, ends = (("mlet", 0), ("mlet-frozen", 0), ("mlet", 1)), []
    specs = [make_spec(schema, arm, seed=seed, optimizer=optimizer, lr=0.05) for arm, seed in runs]
    for switch in ("off", "triton"):
        monkeypatch.setenv(build.SWITCH, switch)
        step = TrainStep(build_pack(specs, schema, ON), specs[0], rates=[0.1, 0.4, 0.05])
        assert isinstance(step.lookups[0], TritonLookup) == (switch == "triton")
        w2 = [model.embedding.w2.clone() for model in step.pack.models]
        ends.append(train(step, 2))
        stays = [torch.equal(one.embedding.w2, before) for one, before in zip(step.pack.models, w2, strict=True)]
        assert stays == [False, True, False]
    for plain, found in zip(*ends, strict=True):
        torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-6)


def test_who_takes_the_kernels(schema, asked):
    """A method whose class names it, with d that stays in registers; everything else is plain torch."""
    taken = {
        "sgd": make_step(schema),
        "adagrad": make_step(schema, optimizer="adagrad", batch_size=ours.MOST_BATCH),
        "adagrad, B=1025": make_step(schema, optimizer="adagrad", batch_size=ours.MOST_BATCH + 1),
        "B=1025": make_step(schema, batch_size=ours.MOST_BATCH + 1),
        "pack": make_step(schema, runs=2),
        "d=200": make_step(schema, arm="single", dim=200),
        "rates by frequency": frequency_step(schema),
    }
    kinds = {name: isinstance(step.lookups[0], TritonLookup) for name, step in taken.items()}
    assert [name for name, taken in kinds.items() if not taken] == ["adagrad, B=1025", "d=200", "rates by frequency"]
    assert device_label(ON).endswith("Triton") or ON.type != "cuda"


@pytest.mark.parametrize("value", [None, "off"])
def test_unasked_they_are_not_taken(value, schema, monkeypatch):
    monkeypatch.delenv(build.SWITCH, raising=False)
    if value:
        monkeypatch.setenv(build.SWITCH, value)
    assert isinstance(make_step(schema).lookups[0], (RowLookup, KernelLookup)) and not ours.chosen(ON)


def test_where_bits_must_repeat_they_are_not_taken(schema, asked):
    assert ours.chosen(ON)
    torch.use_deterministic_algorithms(True)
    try:
        assert not isinstance(make_step(schema).lookups[0], TritonLookup) and not ours.chosen(ON)
    finally:
        torch.use_deterministic_algorithms(False)


def test_without_triton_a_sentence_says_what_to_do(monkeypatch, asked):
    monkeypatch.setattr(ours, "_installed", lambda: False)
    with pytest.raises(BenchError, match="Triton is not installed: pip install triton, or unset MLET_BENCH_KERNELS"):
        ours.chosen(torch.device("cuda"))


def test_without_its_interpreter_a_cpu_has_its_own_kernels(monkeypatch, asked):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert not ours.chosen(torch.device("cpu")) and ours.chosen(torch.device("cuda"))


def test_the_switch_has_no_other_value(monkeypatch):
    monkeypatch.setenv(build.SWITCH, "on")
    with pytest.raises(BenchError, match="MLET_BENCH_KERNELS='on': it may be off"):
        ours.chosen(ON)


@pytest.mark.skipif(sys.platform != "linux", reason="Triton has its compiler on Linux alone")
def test_compiled_for_a_gpu_they_stay_in_registers_and_in_float32():
    """An H100 has 255 registers a thread, and what does not fit spills into memory."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    path = os.pathsep.join([str(Path(build.__file__).parents[2]), environment.get("PYTHONPATH", "")])
    words = [sys.executable, Path(__file__).with_name("compile_triton.py")]
    done = subprocess.run(words, env=environment | {"PYTHONPATH": path}, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    print(done.stdout)
    found = [line.split()[:4] for line in done.stdout.splitlines()]
    assert {name for name, *_ in found} == {
        "batch_kernel", "lookup_kernel", "update_kernel", "interact_kernel", "interact_back_kernel", "loss_kernel",
        "bias_relu_kernel", "bias_relu_back_kernel",
    }  # fmt: skip
    for name, registers, spilled, tf32 in found:
        assert int(registers) < 255 and (spilled, tf32) == ("0", "0"), name
