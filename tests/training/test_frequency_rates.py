"""Learning rates of rows by training frequency: by hand, in a pack, with each optimizer, and away from the kernels."""

import pytest
import torch
from toys import make_spec, train

from mlet_bench.embeddings.single import SingleTables
from mlet_bench.errors import BenchError
from mlet_bench.runs import MODEL
from mlet_bench.training.lookup import KernelLookup
from mlet_bench.training.pack import build_pack
from mlet_bench.training.rows import RowAdagrad, RowSGD, frequency_scale
from mlet_bench.training.step import TrainStep


def test_the_scale_by_hand():
    """Read 4, 1 and 0 times: 1/2 and 1, of mean (4 · 1/2 + 1) / 5 = .6 over what is read; a field alone has 1."""
    tables = SingleTables([3, 1], 2)
    ids = torch.tensor([[0, 0], [0, 0], [1, 0], [0, 0], [0, 0]])
    scale = frequency_scale(tables, ids, -0.5)
    assert scale.tolist() == pytest.approx([0.5 / 0.6, 1 / 0.6, 1.0, 1.0])
    assert frequency_scale(tables, ids, 0.0).tolist() == [1.0] * 4


def test_a_scaled_row_is_a_row_with_that_learning_rate():
    """Two models of three rows, a row of each twice in the batch."""
    scale, index = torch.tensor([0.5, 2.0, 1.0]), torch.tensor([0, 1, 1, 3, 4, 5])
    grad = torch.arange(12.0).view(6, 2)
    weight = torch.zeros(6, 2)
    RowSGD(weight, 0.1, scale).update(index, grad.clone())
    expected = torch.zeros(6, 2)
    for row, of_row in zip(index.tolist(), grad):
        expected[row] -= 0.1 * scale[row % 3] * of_row
    torch.testing.assert_close(weight, expected)


def test_with_adagrad_the_step_is_scaled_and_the_sum_is_not():
    scale, index, grad = torch.tensor([0.5, 2.0]), torch.tensor([1, 0, 1]), torch.tensor([[1.0], [2.0], [3.0]])
    plain, scaled = RowAdagrad(torch.zeros(2, 1), 0.1), RowAdagrad(torch.zeros(2, 1), 0.1, scale)
    for optimizer in (plain, scaled):
        optimizer.update(index, grad.clone())
    torch.testing.assert_close(scaled.weight, plain.weight * scale.unsqueeze(1))
    torch.testing.assert_close(scaled.sum, plain.sum)


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
def test_the_arm_trains_away_from_the_kernels(schema, splits, tmp_path, optimizer):
    spec = make_spec(schema, "single-freq-lr", optimizer=optimizer)
    step = TrainStep(build_pack([spec], schema, torch.device("cpu")), spec, splits["train"].ids)
    assert not any(isinstance(lookup, KernelLookup) for lookup in step.lookups)
    train(spec, schema, splits, tmp_path / "scaled")
    train(make_spec(schema, "single", optimizer=optimizer), schema, splits, tmp_path / "plain")
    assert (tmp_path / "scaled" / MODEL).read_bytes() != (tmp_path / "plain" / MODEL).read_bytes()


def test_without_the_training_split_the_arm_is_refused(schema):
    spec = make_spec(schema, "single-freq-lr")
    with pytest.raises(BenchError, match="needs the training split"):
        TrainStep(build_pack([spec], schema, torch.device("cpu")), spec)
