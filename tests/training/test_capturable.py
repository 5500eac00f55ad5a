"""A step as a GPU takes it can be held by a CUDA graph: nothing in it waits for a value or makes a tensor on the host.

Seen here without a GPU: the operations of a step on the CPU, with the paths that only a CPU takes switched off.
"""

from contextlib import nullcontext
from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from toys import make_rows, make_spec

from mlet_bench import kernels
from mlet_bench.kernels.build import SWITCH
from mlet_bench.models import MODELS, mlp
from mlet_bench.models.base import resolve_hyper
from mlet_bench.training import dense
from mlet_bench.training.captured import CapturedSteps
from mlet_bench.training.pack import build_pack
from mlet_bench.training.step import TrainStep
from mlet_bench.training.steps import Steps

# Read a value on the host, have a shape that depends on one, or bring a number or a tensor over from the host.
FORBIDDEN = (
    "_local_scalar_dense",
    "nonzero",
    "unique",
    "masked_select",
    "lift_fresh",
    "_to_copy",
    "is_nonzero",
    "equal",
)


class Operations(TorchDispatchMode):
    """Notes the names of the operations that are no mere views and do not only take memory."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if not operation.is_view and not operation.__name__.startswith(("_unsafe_view", "empty", "new_empty")):
            self.names.append(operation.__name__)
        return operation(*args, **(kwargs or {}))


def operations(schema, monkeypatch, runs=1, change=lambda step: None, arm="mlet", beside=(), **spec):
    """Names of a step's operations: of an arm's runs, and of those of the arms ``beside`` with the seeds of these."""
    monkeypatch.setattr(kernels, "library", lambda: None)
    monkeypatch.setattr(dense, "packed", lambda tensors: False)
    hyper = {"bottom": (256, 64), "top": (512, 256)} if spec.get("model", "dlrm") == "dlrm" else {}
    spec["hyper"] = resolve_hyper(MODELS[spec.get("model", "dlrm")], hyper, "authors")
    specs = [
        make_spec(schema, each, seed=seed, embedding_lr_factor=4.0**number, **spec)
        for number, each in enumerate((arm, *beside))
        for seed in range(runs)
    ]
    pack = build_pack(specs, schema, torch.device("cpu"))
    monkeypatch.setattr(mlp, "HAS_ONEDNN", False)
    step = TrainStep(pack, specs[0], rates=[each.embedding_lr for each in specs])
    steps = Steps(step, make_rows(300), 32, [each.seed for each in specs] if beside else None)
    change(steps)
    steps.start([torch.arange(300)] * runs, 0)
    steps.advance(1)
    with Operations() as seen:
        steps.advance(1)
    return seen.names


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
@pytest.mark.parametrize("arm", ["single", "mlet", "mlet-frozen"])
def test_no_operation_needs_the_host(arm, optimizer, runs, schema, monkeypatch):
    names = operations(schema, monkeypatch, runs, arm=arm, optimizer=optimizer)
    assert "index_select.default" in names
    assert not [name for name in names if name.startswith(FORBIDDEN)]


BESIDE = {"single": ("single-lr", "single-init"), "mlet": ("mlet-unit", "mlet-frozen")}


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
@pytest.mark.parametrize("arm", BESIDE)
def test_arms_side_by_side_add_few_operations_and_none_needs_the_host(arm, optimizer, schema, monkeypatch):
    """The models' rates, the orders that seeds share, and W2 where an arm does not train it."""
    names = operations(schema, monkeypatch, 2, arm=arm, beside=BESIDE[arm], optimizer=optimizer)
    assert not [name for name in names if name.startswith(FORBIDDEN)]
    more = {("single", "sgd"): 2, ("single", "adagrad"): 4, ("mlet", "sgd"): 3, ("mlet", "adagrad"): 5}
    assert len(names) == BUDGET[arm, optimizer, 5] + more[arm, optimizer]


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("model", MODELS)
def test_no_operation_of_any_model_needs_the_host(model, runs, schema, monkeypatch):
    names = operations(schema, monkeypatch, runs, arm="mlet", optimizer="adagrad", model=model)
    assert not [name for name in names if name.startswith(FORBIDDEN)]


def test_an_operation_that_needs_the_host_is_seen(schema, monkeypatch):
    def ask(steps):
        inner = steps.step
        steps.step = lambda *batch: inner(*batch) + float(batch[2].sum())
        steps.step.pack = inner.pack

    names = operations(schema, monkeypatch, change=ask)
    assert [name for name in names if name.startswith(FORBIDDEN)]


def test_mlet_and_a_pack_add_few_launches(schema, monkeypatch):
    """At B=128 a GPU's step costs what its launches cost: MLET's are three products, two of them backward."""
    single, mlet = (len(operations(schema, monkeypatch, arm=arm)) for arm in ("single", "mlet"))
    assert single < mlet <= single + 3
    assert len(operations(schema, monkeypatch, runs=5, arm="mlet")) <= 1.3 * mlet


# Operations of a step by arm, optimizer and runs; lowered when one is saved. A GPU has fewer launches: a single model's
# ReLU is part of its product there, and the factor of the rows' update part of the addition.
BUDGET = {
    ("single", "sgd", 1): 60,
    ("single", "sgd", 5): 67,
    ("single", "adagrad", 1): 78,
    ("single", "adagrad", 5): 85,
    ("mlet", "sgd", 1): 62,
    ("mlet", "sgd", 5): 70,
    ("mlet", "adagrad", 1): 80,
    ("mlet", "adagrad", 5): 88,
}


# The same with Triton's kernels, each of them one.
TRITON_BUDGET = {
    ("single", "sgd", 1): 36,
    ("mlet", "sgd", 1): 36,
    ("mlet", "sgd", 5): 37,
    ("single", "adagrad", 1): 39,
    ("mlet", "adagrad", 1): 39,
    ("mlet", "adagrad", 5): 40,
}


@pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton: pip install triton")
@pytest.mark.skipif(torch.cuda.is_available(), reason="counts in Triton's interpreter, which is for the CPU")
@pytest.mark.parametrize(("arm", "optimizer", "runs"), TRITON_BUDGET)
def test_a_step_in_triton_keeps_to_its_launches(arm, optimizer, runs, schema, monkeypatch):
    from triton.runtime.interpreter import GridExecutor

    launched = []  # and not run: what the interpreter does is no operation of the step
    monkeypatch.setattr(GridExecutor, "__call__", lambda kernel, *given, **options: launched.append(kernel.fn.__name__))
    monkeypatch.setenv(SWITCH, "triton")
    names = operations(schema, monkeypatch, runs, arm=arm, optimizer=optimizer)
    assert not [name for name in names if name.startswith(FORBIDDEN)]
    own = launched[len(launched) // 2 :]  # of the second of two steps
    assert (len(names) + len(own)) == TRITON_BUDGET[arm, optimizer, runs], "\n".join([*names, *own])


@pytest.mark.parametrize(("arm", "optimizer", "runs"), BUDGET)
def test_a_step_keeps_to_its_launches(arm, optimizer, runs, schema, monkeypatch):
    assert len(operations(schema, monkeypatch, runs, arm=arm, optimizer=optimizer)) == BUDGET[arm, optimizer, runs]


def test_a_pack_updates_all_that_is_dense_in_one_call(schema):
    """A multi-tensor call is one kernel only where each gradient lies in memory as its parameter does."""
    first = make_spec(schema, "mlet", hyper={"bottom": (256, 64), "top": (512, 256)})
    pack = build_pack([replace(first, seed=seed) for seed in range(3)], schema, torch.device("cpu"))
    step, seen = TrainStep(pack, first), []
    step.dense_optimizer.update = seen.extend
    steps = Steps(step, make_rows(300), 32)
    steps.start([torch.arange(300)] * 3, 0)
    steps.advance(1)
    assert [grad.stride() for grad in seen] == [parameter.stride() for parameter in pack.trained]


def test_a_capture_is_made_on_the_device_of_the_rows(schema, monkeypatch):
    entered = []

    class Device(nullcontext):
        def __init__(self, device):
            entered.append(device)
            super().__init__()

    monkeypatch.setattr(torch.cuda, "device", Device)
    spec, rows = make_spec(schema), make_rows(300)
    steps = CapturedSteps(TrainStep(build_pack([spec], schema, torch.device("cpu")), spec), rows, 32)
    monkeypatch.setattr(steps, "_warm_up", lambda count: count)
    steps.advance(2)
    assert entered == [rows.label.device]
