"""Every row of an epoch is trained on once, in its run's order, wherever it is entered; captured or not."""

from dataclasses import replace
from itertools import chain

import pytest
import torch
from toys import make_rows, make_spec

from mlet_bench.data.dataset import Rows
from mlet_bench.training.captured import LENGTH, CapturedSteps, make_steps
from mlet_bench.training.loop import epoch_order
from mlet_bench.training.pack import build_pack
from mlet_bench.training.step import TrainStep
from mlet_bench.training.steps import Steps

CPU = torch.device("cpu")


class Recorder:
    """In the place of a step: notes the second field's ids, and returns losses 1, 2, ..."""

    def __init__(self, runs):
        self.pack, self.seen = range(runs), [[] for _ in range(runs)]

    def __call__(self, dense, ids, label):
        for seen, values in zip(self.seen, ids[..., 1].tolist(), strict=True):
            seen.append(values)
        return torch.arange(1.0, len(self.seen) + 1)


def numbered(count):
    """Rows whose second field counts them."""
    rows = make_rows(count)
    rows.ids[:, 1] = torch.arange(count)
    return rows


def test_two_runs_see_every_row_once_each_in_its_own_order():
    step, orders = Recorder(2), [epoch_order(seed, 0, 100) for seed in (0, 1)]
    steps = Steps(step, numbered(100), 32)
    steps.start(orders, 0)
    steps.advance(3)
    steps.advance_short()
    for seen, order in zip(step.seen, orders, strict=True):
        assert [len(batch) for batch in seen] == [32, 32, 32, 4]
        assert list(chain.from_iterable(seen)) == order.tolist()
    assert steps.take_losses() == [100.0, 200.0]  # a mean loss of 1 and of 2 on each of 100 rows
    assert steps.take_losses() == [0.0, 0.0]


def test_an_epoch_can_be_entered_at_any_batch():
    step, order = Recorder(1), epoch_order(0, 0, 100)
    steps = Steps(step, numbered(100), 32)
    steps.start([order], 2)
    steps.advance(1)
    assert step.seen[0] == [order[64:96].tolist()]
    steps.seek(0)
    steps.advance(1)
    assert step.seen[0][1] == order[:32].tolist()


def test_the_cpu_takes_plain_steps(schema):
    step = TrainStep(build_pack([make_spec(schema)], schema, CPU), make_spec(schema))
    assert type(make_steps(step, make_rows(10), 2)) is Steps


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
@pytest.mark.parametrize("arm", ["single", "mlet", "mlet-frozen"])
def test_captured_steps_equal_eager_ones(arm, optimizer, runs, schema):
    spec, cuda = make_spec(schema, arm, optimizer=optimizer, lr=0.05), torch.device("cuda")
    rows = make_rows(3000)
    rows = Rows(*(getattr(rows, name).to(cuda) for name in ("label", "dense", "ids")))
    specs = [replace(spec, seed=seed) for seed in range(runs)]
    models, losses = [], []
    for eager in (True, False):
        steps = make_steps(TrainStep(build_pack(specs, schema, cuda), spec), rows, 32, eager=eager)
        assert isinstance(steps, CapturedSteps) is not eager
        steps.start([epoch_order(seed, 0, 3000) for seed in range(runs)], 0)
        for count in (1, LENGTH + 2, 2 * LENGTH, 7):  # the warm-up, replays, single steps, again
            steps.advance(count)
        steps.start(
            [epoch_order(seed, 1, 3000) for seed in range(runs)], 3
        )  # a captured graph follows to the next epoch
        steps.advance(LENGTH)
        steps.advance_short()
        losses.append(steps.take_losses())
        models.append([model.state_dict() for model in steps.step.pack.models])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for one, other in zip(*models, strict=True):
        for name, value in one.items():
            torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-4, msg=name)
