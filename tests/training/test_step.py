"""The fused step equals what autograd and torch.optim do on whole tables."""

import copy
import gc

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from toys import make_rows, make_spec, make_step

from mlet_bench.arms import ARMS
from mlet_bench.errors import BenchError
from mlet_bench.models.build import build_model
from mlet_bench.training import rows as rows_module
from mlet_bench.training.rows import RowAdagrad

TORCH = {"sgd": torch.optim.SGD, "adagrad": torch.optim.Adagrad}


@pytest.mark.parametrize("optimizer", TORCH)
@pytest.mark.parametrize("arm", [name for name, arm in ARMS.items() if not arm.lr_frequency_power])
def test_ten_steps_equal_torch_optim_on_dense_gradients(schema, arm, optimizer):
    spec = make_spec(schema, arm, optimizer=optimizer, lr=0.1)
    # Adagrad's first steps are lr · sign(g): in float32 a gradient that is rounding itself would go either way.
    dtype = torch.float64 if optimizer == "adagrad" else torch.float32
    model = build_model(spec, schema).to(dtype)
    reference = copy.deepcopy(model)
    step = make_step(model, spec)
    tables = reference.embedding.weight
    others = [p for p in reference.parameters() if p is not tables and p.requires_grad]
    factor = {"sgd": 8 / 16, "adagrad": 8 * 0.25 / 4**0.5}[optimizer] if arm == "single-lr" else 1.0
    groups = [{"params": others, "lr": spec.lr}, {"params": [tables], "lr": spec.lr * factor}]
    torch_optimizer = TORCH[optimizer](groups)

    for seed in range(10):  # 32 rows of a field of 3: every batch repeats rows
        rows = make_rows(32, seed)
        dense, label = rows.dense.to(dtype), rows.label.to(dtype)
        loss = step(dense, rows.ids, label)
        torch_optimizer.zero_grad()
        expected = binary_cross_entropy_with_logits(reference(dense, rows.ids), label)
        expected.backward()
        torch_optimizer.step()
        torch.testing.assert_close(loss, expected.detach())

    for name, value in reference.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-4, atol=2e-6, msg=name)
    assert model.embedding.weight.grad is None


def test_rows_outside_the_batch_keep_their_values(schema):
    spec = make_spec(schema)
    model = build_model(spec, schema)
    before = model.embedding.weight.detach().clone()
    rows = make_rows(8)
    make_step(model, spec)(rows.dense, rows.ids, rows.label)
    touched = model.embedding.slots(rows.ids).unique()
    changed = (model.embedding.weight != before).any(dim=1).nonzero().flatten()
    assert set(changed.tolist()) <= set(touched.tolist())
    assert len(changed) > 0


@pytest.mark.parametrize("optimizer", TORCH)
def test_a_step_leaves_no_tensor_for_the_collector(schema, optimizer):
    """Commands collect rarely (``__main__.run``): a cycle that holds a step's tensors would pile up.

    Only tensors count: other threads of the test's process may leave small cycles of their own at any time.
    """
    spec = make_spec(schema, optimizer=optimizer, lr=0.1)
    step, rows = make_step(build_model(spec, schema), spec), make_rows(32)
    step(rows.dense, rows.ids, rows.label)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(5):
            step(rows.dense, rows.ids, rows.label)
        gc.collect()
        kept = [type(left) for left in gc.garbage if isinstance(left, torch.Tensor)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert kept == []


def test_single_step_of_one_weight_by_hand(schema):
    """d = 1, logit = bottom + top weight · bottom · e: the derivative by e is (p - y) · w · bottom."""
    from mlet_bench.embeddings.draw import Draws
    from mlet_bench.embeddings.single import SingleTables
    from mlet_bench.models.dlrm import DLRM, DLRMHyper

    embedding = SingleTables([2], 1)
    model = DLRM(embedding, 1, DLRMHyper((), ()), Draws(0))
    with torch.no_grad():
        embedding.weight.copy_(torch.tensor([[0.5], [-3.0]]))
        model.bottom[0].weight.fill_(1.0), model.bottom[0].bias.fill_(0.0)
        model.top[0].weight.copy_(torch.tensor([[0.0, 1.0]])), model.top[0].bias.fill_(0.0)
    spec = make_spec(schema, "single", lr=0.2)
    # two equal rows: bottom 2, logit 2·0.5 = 1, p = sigmoid(1); mean gradient by e is (p - 1) · 2
    make_step(model, spec)(torch.tensor([[2.0], [2.0]]), torch.tensor([[0], [0]]), torch.tensor([1.0, 1.0]))
    p = 1 / (1 + 2.718281828459045**-1)
    assert embedding.weight[0].item() == pytest.approx(0.5 - 0.2 * (p - 1) * 2, rel=1e-6)
    assert embedding.weight[1].item() == -3.0


def test_unknown_optimizer_is_refused(schema):
    spec = make_spec(schema, optimizer="adam")
    with pytest.raises(BenchError, match="unknown optimizer 'adam': the optimizers are sgd, adagrad"):
        make_step(build_model(spec, schema), spec)


def test_adagrad_adds_no_zeros_to_one_row(monkeypatch):
    """A batch of many repeats leaves places over: their zeros are spread, since a GPU adds to one row one by one."""
    places = []
    add = rows_module.add_rows
    monkeypatch.setattr(rows_module, "add_rows", lambda w, index, *rest: places.append(index) or add(w, index, *rest))
    index = torch.arange(4096) % 64
    RowAdagrad(torch.zeros(64, 2), 0.1).update(index, torch.ones(4096, 2))
    assert len(places) == 3 and all(index.bincount().max() <= 64 + 1 for index in places)
