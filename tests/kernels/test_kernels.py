"""The CPU's kernels give what plain torch gives, whatever the sizes, repeats and threads; or they are not used."""

import os
import subprocess
import sys

import pytest
import torch
from toys import make_rows, make_spec

from mlet_bench import kernels
from mlet_bench.embeddings.draw import Draws
from mlet_bench.kernels import build
from mlet_bench.models.interaction import Interaction
from mlet_bench.models.parts.attention import FieldAttention
from mlet_bench.training.lookup import KernelLookup, RowLookup
from mlet_bench.training.pack import build_pack
from mlet_bench.training.rows import RowAdagrad
from mlet_bench.training.step import TrainStep

CPU = torch.device("cpu")
needs_compiler = pytest.mark.skipif(build.library() is None, reason="needs a C++ compiler")
SIZES = (1, 3, 50, 400)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def tables(width, dim, batch, mlet):
    """Small and large tables, and ids that repeat a lot."""
    starts = torch.tensor((0, *SIZES)).cumsum(0)
    weight = torch.randn(sum(SIZES), width, generator=rng())
    w2 = torch.randn(len(SIZES), width, dim, generator=rng(1)) if mlet else None
    ids = torch.stack([torch.randint(n, (batch,), generator=rng(n)) for n in SIZES], 1).int()
    return weight, w2, ids, starts


def gathered(weight, w2, ids, starts):
    """The definition: (B, F, d)."""
    rows = weight[ids + starts[:-1]]  # (B, F, width)
    return rows if w2 is None else torch.einsum("bfk,fkd->bfd", rows, w2)


@needs_compiler
@pytest.mark.parametrize("batch", [1, 3, 4, 31, 128])
@pytest.mark.parametrize("width", [1, 4, 12, 16, 40, 64, 128])
@pytest.mark.parametrize("dim", kernels.DIMS)
@pytest.mark.parametrize("mlet", [True, False])
def test_lookup_and_its_step_are_the_definitions(mlet, dim, width, batch):
    if not mlet:
        width = dim
    weight, w2, ids, starts = tables(width, dim, batch, mlet)
    expected = [tensor.clone().requires_grad_() for tensor in (weight, w2) if tensor is not None]
    vectors = gathered(expected[0], expected[1] if mlet else None, ids, starts)
    grad = torch.randn(vectors.shape, generator=rng(2))
    torch.testing.assert_close(kernels.lookup(weight, w2, ids, starts), vectors.detach(), rtol=1e-4, atol=1e-4)

    vectors.backward(grad)
    # (B, F, d) as the backward pass of a transposed product has it: not contiguous.
    strided = grad.transpose(0, 1).contiguous().transpose(0, 1)
    grad_w2 = kernels.lookup_sgd(weight, w2, ids, starts, strided, 0.1, train_w2=mlet)
    torch.testing.assert_close(weight, (expected[0] - 0.1 * expected[0].grad).detach(), rtol=1e-4, atol=1e-4)
    if mlet:
        torch.testing.assert_close(grad_w2, expected[1].grad, rtol=1e-4, atol=1e-3)


@needs_compiler
@pytest.mark.parametrize("batch", [1, 31, 128])
@pytest.mark.parametrize("width", [1, 12, 64])
@pytest.mark.parametrize("dim", kernels.DIMS)
@pytest.mark.parametrize("mlet", [True, False])
def test_two_steps_of_adagrad_are_the_plain_ones(mlet, dim, width, batch):
    weight, w2, ids, starts = tables(width if mlet else dim, dim, batch, mlet)
    plain = RowAdagrad(weight.clone(), 0.1)
    squares = torch.zeros_like(weight)
    for number in range(2):
        rows = plain.weight[ids + starts[:-1]].requires_grad_()
        of_w2 = w2.clone().requires_grad_() if mlet else None
        vectors = torch.einsum("bfk,fkd->bfd", rows, of_w2) if mlet else rows
        grad = torch.randn(vectors.shape, generator=rng(2 + number))
        vectors.backward(grad)
        grad_w2 = kernels.lookup_adagrad(weight, squares, w2, ids, starts, grad, 0.1, 1e-10, train_w2=mlet)
        plain.update((ids + starts[:-1]).flatten().long(), rows.grad.flatten(0, 1))
        torch.testing.assert_close(squares, plain.sum, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(weight, plain.weight, rtol=1e-3, atol=2e-3)
        if mlet:
            torch.testing.assert_close(grad_w2, of_w2.grad, rtol=1e-3, atol=1e-2)


@needs_compiler
def test_a_frozen_w2_gets_no_gradient_and_the_rows_their_step():
    weight, w2, ids, starts = tables(8, 4, 16, mlet=True)
    frozen, trained = weight.clone(), weight.clone()
    grad = torch.randn(16, len(SIZES), 4, generator=rng(2))
    assert kernels.lookup_sgd(frozen, w2, ids, starts, grad, 0.1, train_w2=False) is None
    kernels.lookup_sgd(trained, w2, ids, starts, grad, 0.1, train_w2=True)
    assert torch.equal(frozen, trained) and not torch.equal(frozen, weight)


@needs_compiler
@pytest.mark.parametrize("bad", [-1, 50])
def test_an_id_outside_its_table_is_named_and_nothing_is_read(bad):
    weight, w2, ids, starts = tables(8, 4, 16, mlet=True)
    ids[5, 2] = bad
    with pytest.raises(IndexError, match=f"id {bad} of field 2 is not in its table of 50 rows"):
        kernels.lookup(weight, w2, ids, starts)


@needs_compiler
def test_ids_of_another_type_are_refused_and_a_step_converts_them(schema):
    weight, w2, ids, starts = tables(8, 4, 16, mlet=True)
    with pytest.raises(TypeError, match=r"ids are torch\.int64, the kernels read int32"):
        kernels.lookup(weight, w2, ids.long(), starts)
    rows, losses = make_rows(32), []
    for given in (rows.ids, rows.ids.long()):
        step = TrainStep(build_pack([make_spec(schema)], schema, CPU), make_spec(schema))
        losses.append([step(rows.dense[None], given[None], rows.label[None]).item() for _ in range(2)])
    assert losses[0] == losses[1]


@needs_compiler
@pytest.mark.parametrize("batch", [1, 7, 128])
@pytest.mark.parametrize("count", [2, 5, 22, 27, 40])
@pytest.mark.parametrize("dim", kernels.DIMS)
def test_interaction_is_the_plain_one(dim, count, batch):
    given = torch.randn(batch, dim, generator=rng()), torch.randn(batch, count - 1, dim, generator=rng(1))
    results = []
    for plain in (True, False):
        layer, inputs = Interaction(count), [tensor.clone().requires_grad_() for tensor in given]
        layer.plain = plain
        out = layer(*inputs)
        weights = torch.randn(out.shape, generator=rng(2))
        results.append([out.detach(), *torch.autograd.grad((out * weights).sum(), inputs)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def attended(layer, x):
    """What a layer gives and its gradients by x and by its weights."""
    x = x.clone().requires_grad_()
    found = layer(x)
    weights = torch.randn(found.shape, generator=rng(1)).to(found.dtype)
    return [found.detach(), *torch.autograd.grad((found * weights).sum(), [x, layer.weight])]


@needs_compiler
@pytest.mark.parametrize("fields", [1, 16, 21, 33])
@pytest.mark.parametrize("heads, dim", [(1, 4), (2, 8), (3, 16), (1, 32)])
def test_attention_is_the_plain_one(heads, dim, fields):
    layer, x = FieldAttention(5, heads, dim, Draws(0)), torch.randn(7, fields, 5, generator=rng())
    with torch.no_grad():
        layer.weight.mul_(10)
    assert kernels.can_attend(x, dim)
    for mine, other in zip(attended(layer, x), attended(layer.double(), x.double()), strict=True):
        torch.testing.assert_close(mine.double(), other, rtol=0, atol=3e-6 * other.abs().max().item())


@needs_compiler
def test_attention_whose_scores_are_thousands_stays_finite():
    layer, x = FieldAttention(5, 2, 8, Draws(0)), torch.randn(7, 21, 5, generator=rng())
    with torch.no_grad():
        layer.weight.mul_(1000)
    assert all(tensor.isfinite().all() for tensor in attended(layer, x))


@needs_compiler
def test_the_number_of_threads_changes_no_bit():
    results, threads = [], torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            weight, w2, ids, starts = tables(64, 16, 128, mlet=True)
            vectors = kernels.lookup(weight, w2, ids, starts)
            bottom = vectors[:, 0].contiguous()
            out = kernels.interact(bottom, vectors)
            grads = kernels.interact_back(bottom, vectors, out)
            results.append(
                [vectors, kernels.lookup_sgd(weight, w2, ids, starts, vectors, 0.1, True), weight, out, *grads]
            )
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


@needs_compiler
def test_who_takes_the_kernels(schema):
    """SGD and Adagrad on one model in float32, with a d that there is code for; everything else is plain torch."""
    taken = {
        "sgd": TrainStep(build_pack([make_spec(schema)], schema, CPU), make_spec(schema)),
        "adagrad": TrainStep(build_pack([make_spec(schema)], schema, CPU), make_spec(schema, optimizer="adagrad")),
        "pack": TrainStep(build_pack([make_spec(schema), make_spec(schema, seed=1)], schema, CPU), make_spec(schema)),
        "d=5": TrainStep(build_pack([make_spec(schema, dim=5)], schema, CPU), make_spec(schema, dim=5)),
    }
    kinds = {name: type(step.lookups[0]) for name, step in taken.items()}
    assert kinds == {"sgd": KernelLookup, "adagrad": KernelLookup, "pack": RowLookup, "d=5": RowLookup}


@needs_compiler
def test_a_model_trains_the_same_with_and_without_them(schema, monkeypatch):
    ends = []
    for library in (build.library(), None):
        monkeypatch.setattr(kernels, "library", lambda library=library: library)
        spec = make_spec(schema)
        pack = build_pack([spec], schema, CPU)
        step = TrainStep(pack, spec)
        for seed in range(5):
            rows = make_rows(32, seed)
            step(rows.dense[None], rows.ids[None], rows.label[None])
        ends.append(pack.models[0].state_dict())
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=1e-4, atol=1e-6, msg=name)


def run(code, **environment):
    words = [sys.executable, "-c", code]
    return subprocess.run(words, env=os.environ | environment, capture_output=True, text=True, check=True)


ASK = "from mlet_bench.kernels.build import library; print(library() is None)"


def test_without_a_compiler_one_note_says_so(tmp_path):
    done = run(ASK, CXX="no-such-compiler", XDG_CACHE_HOME=str(tmp_path))
    assert done.stdout == "True\n"
    assert "kernels were not compiled" in done.stderr and "no-such-compiler" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_compiler_that_fails_leaves_nothing(tmp_path):
    done = run(ASK, CXX="false", XDG_CACHE_HOME=str(tmp_path))
    assert done.stdout == "True\n" and "plain torch is used" in done.stderr
    assert not [*tmp_path.rglob("*.so")]


def test_they_can_be_switched_off():
    done = run(ASK, MLET_BENCH_KERNELS="off")
    assert (done.stdout, done.stderr) == ("True\n", "")


@needs_compiler
def test_a_second_process_compiles_nothing(tmp_path):
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    run(ASK, **environment)
    (made,) = tmp_path.rglob("*.so")
    before = made.stat().st_mtime_ns
    run(ASK, **environment)
    assert [*tmp_path.rglob("*.so")] == [made] and made.stat().st_mtime_ns == before


@needs_compiler
def test_there_is_one_openmp_in_the_process():
    """Two of them would keep twice the threads, each waiting for the cores of the other."""
    code = ASK + "; print(len({line.split()[-1] for line in open('/proc/self/maps') if 'omp' in line.split('/')[-1]}))"
    if sys.platform != "linux":
        pytest.skip("looks into /proc/self/maps")
    assert run(code).stdout.split() == ["False", "1"]
