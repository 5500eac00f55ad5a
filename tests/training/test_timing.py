"""Overhead: what is timed is the same work on the same batches, in turn."""

import gc
import weakref

import pytest

from mlet_bench.errors import BenchError
from mlet_bench.parquet import table_of_records
from mlet_bench.runs import OVERHEAD
from mlet_bench.training import timing
from mlet_bench.training.captured import LENGTH, CapturedSteps
from mlet_bench.training.loop import epoch_order
from mlet_bench.training.steps import Steps
from mlet_bench.training.timing import Timing


def measure(schema, splits, widths=((4, 8), (4, 4)), batch_sizes=(32,), pairs=4, steps=2):
    training = {"model": "dlrm", "hyper": {"bottom": (16,), "top": (16,)}}
    return timing.measure_overhead(schema, splits["train"], widths, Timing(batch_sizes, pairs, steps), training)


def test_one_row_a_pair(schema, splits):
    frame = measure(schema, splits).to_pandas()
    assert tuple(frame.columns) == tuple(OVERHEAD.columns.names)
    assert frame.groupby(["dim", "inner_dim"]).pair.apply(list).to_dict() == {
        (4, 4): [0, 1, 2, 3],
        (4, 8): [0, 1, 2, 3],
    }
    assert (frame[["single_ms", "mlet_ms"]] > 0).all(axis=None)


def test_every_batch_size_is_timed_on_the_same_models(schema, splits, monkeypatch):
    built = []
    build = timing.build_pack
    monkeypatch.setattr(timing, "build_pack", lambda *inputs: built.append(inputs) or build(*inputs))
    frame = measure(schema, splits, widths=[(4, 8)], batch_sizes=[16, 64], pairs=2).to_pandas()
    assert frame.groupby("batch_size").pair.apply(list).to_dict() == {16: [0, 1], 64: [0, 1]}
    assert len(built) == 2


def test_arms_alternate_and_see_the_same_batches(schema, splits, monkeypatch):
    calls = []

    class Recorder(timing.TrainStep):
        def __init__(self, pack, spec):
            super().__init__(pack, spec)
            self.arm = spec.arm

        def __call__(self, dense, ids, label):
            calls.append((self.arm, tuple(ids[0, :, 3].tolist())))
            return super().__call__(dense, ids, label)

    monkeypatch.setattr(timing, "TrainStep", Recorder)
    measure(schema, splits, widths=[(4, 8)], pairs=3, steps=1)
    assert [arm for arm, _ in calls] == ["mlet", "single", "single", "mlet"] * 2 + ["mlet", "single"]
    pairs = [dict(calls[start : start + 2]) for start in range(0, 10, 2)]
    assert all(pair["single"] == pair["mlet"] for pair in pairs)
    assert len({pair["single"] for pair in pairs}) == 5


def test_more_steps_than_an_epoch_has_begin_it_again(schema, splits):
    """700 rows are 21 batches of 32: 50 steps from batch 15 pass through the epoch twice."""
    frame = measure(schema, splits, widths=[(4, 8)], pairs=1, steps=50)
    assert len(frame) == 1


def test_median_overheads_by_hand():
    def row(inner_dim, pair, single, mlet):
        return ("criteo-kaggle", "dlrm", 4, inner_dim, 32, "CPU", "torch", pair, single, mlet)

    measured = [row(8, 0, 1.0, 1.25), row(8, 1, 2.0, 2.0), row(8, 2, 1.0, 5.0), row(4, 0, 4.0, 3.0)]
    found = timing.median_overheads(table_of_records(measured, OVERHEAD.columns))
    assert found == {(4, 8, 32): 0.25, (4, 4, 32): -0.25}


def test_too_few_rows_for_a_batch(schema, splits):
    with pytest.raises(BenchError, match="700 training rows, fewer than one batch of 4096"):
        measure(schema, splits, batch_sizes=[4096])


def test_nothing_is_captured_while_the_clock_runs(schema, splits, monkeypatch):
    """With pretended graphs: steps of 25 need one of 20 steps and one of one step."""
    captured, timed = [], []

    class Pretended(CapturedSteps):
        def advance(self, count):
            Steps.advance(self, count)
            for length in (1,) if not self._warm else (LENGTH, 1):  # what is left of the first 25 after the warm-up
                if length not in self._graphs:
                    captured.append(length)
                    self._graphs[length] = None
            self._warm = True

    def take(steps, start, count):
        before = len(captured)
        took = time_steps(steps, start, count)
        timed.append(len(captured) - before)
        return took

    time_steps = timing.time_steps
    monkeypatch.setattr(timing, "make_steps", Pretended)
    monkeypatch.setattr(timing, "time_steps", take)
    measure(schema, splits, widths=[(4, 8)], batch_sizes=[16], pairs=3, steps=20)
    assert timed == [1, 1, 1, 1, *[0] * 6]  # of two arms: two pairs that do not count, then three that do


def test_one_cells_models_are_gone_before_the_next_are_made(schema, splits, monkeypatch):
    alive, most = weakref.WeakSet(), []
    build = timing.build_pack

    def noted(*inputs):
        gc.collect()
        pack = build(*inputs)
        alive.add(pack)
        most.append(len(alive))
        return pack

    monkeypatch.setattr(timing, "build_pack", noted)
    orders = []
    monkeypatch.setattr(timing, "epoch_order", lambda *which: orders.append(which) or epoch_order(*which))
    measure(schema, splits, widths=[(4, 4), (4, 8), (4, 16)], batch_sizes=(16, 32))
    assert most == [1, 2] * 3
    assert len(orders) == 1  # the order is the same for all, and drawn once
