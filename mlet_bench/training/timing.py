"""What MLET's extra layer costs in training time (claim C5): whole steps, paired and interleaved."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor
from tqdm import tqdm

from mlet_bench.arms import BASELINE, TREATED
from mlet_bench.data.dataset import Rows
from mlet_bench.device import device_label, software_label, synchronize
from mlet_bench.errors import BenchError
from mlet_bench.parquet import table_of_records
from mlet_bench.runs import OVERHEAD
from mlet_bench.spec import DatasetSchema, RunSpec
from mlet_bench.statistics.intervals import ratio_quartiles
from mlet_bench.training.captured import make_steps
from mlet_bench.training.loop import epoch_order
from mlet_bench.training.pack import build_pack
from mlet_bench.training.step import TrainStep
from mlet_bench.training.steps import Steps

UNTIMED = 2  # pairs before the first that counts, see Timing


@dataclass(frozen=True)
class Timing:
    """How steps are timed.

    Attributes:
        pairs: timings of each arm, after two untimed pairs: on a GPU the first warms up, the second captures.
        steps: steps per timing.
    """

    batch_sizes: Sequence[int] = (128,)
    pairs: int = 50
    steps: int = 20


def measure_overhead(
    schema: DatasetSchema, rows: Rows, widths: Iterable[tuple[int, int]], timing: Timing, training: dict[str, Any]
) -> pa.Table:
    """Time training steps of the baseline and of MLET at the same d, in turn: A B A B ... in one process.

    Both arms train on the same batches of real rows in the shuffled order of a training, batch selection included,
    in the way that training takes its steps (captured on a GPU). Each timing covers whole steps, the device
    synchronised before and after; the order within a pair alternates, so that a drift of the machine falls on both.

    Args:
        rows: the training split, on the device to time.
        widths: the (d, k) to time.
        training: the model, and settings of RunSpec that differ from its defaults.

    Returns:
        One row a pair, the columns of ``runs.OVERHEAD``; milliseconds per step.

    Raises:
        BenchError: the split has fewer rows than one batch.
    """
    device, largest = rows.label.device, max(timing.batch_sizes)
    if len(rows) < largest:
        raise BenchError(f"{schema.name} has {len(rows)} training rows, fewer than one batch of {largest} to time")
    records, where = [], (device_label(device), software_label(device))
    order, widths = epoch_order(0, 0, len(rows)), list(widths)
    for number, (dim, inner_dim) in enumerate(tqdm(widths, desc=f"overhead {schema.name}", unit="cell", disable=None)):
        if not sys.stderr.isatty():  # there is no bar in a log
            done = f"{number + 1} of {len(widths)}"
            print(f"timing {schema.name} d={dim} k={inner_dim}, {done}", file=sys.stderr, flush=True)
        specs = {
            arm: RunSpec(schema.name, schema.fingerprint, arm=arm, dim=dim, inner_dim=k, seed=0, **training)
            for arm, k in ((BASELINE, None), (TREATED, inner_dim))
        }
        for batch, pair, took in _time_cell(specs, schema, rows, order, timing):
            names = (schema.name, training["model"], dim, inner_dim, batch, *where)
            records.append((*names, pair, took[BASELINE], took[TREATED]))
    return table_of_records(records, OVERHEAD.columns)


def _time_cell(
    specs: dict[str, RunSpec], schema: DatasetSchema, rows: Rows, order: Tensor, timing: Timing
) -> Iterator[tuple[int, int, dict[str, float]]]:
    """Batch size, number of the pair, and milliseconds a step of each arm. What it makes is gone when it ends, so that
    the models of two cells are never on the device at once.
    """
    # The models are made once for all batch sizes: with large tables that takes longer than the timing.
    made = {arm: TrainStep(build_pack([spec], schema, rows.label.device), spec) for arm, spec in specs.items()}
    for batch in timing.batch_sizes:
        arms = {arm: make_steps(step, rows, batch) for arm, step in made.items()}
        for steps_of_arm in arms.values():
            steps_of_arm.start([order], 0)
        for pair in range(-UNTIMED, timing.pairs):
            turn = (BASELINE, TREATED) if pair % 2 else (TREATED, BASELINE)
            took = {arm: time_steps(arms[arm], (pair + UNTIMED) * timing.steps, timing.steps) for arm in turn}
            if pair >= 0:
                yield batch, pair, took


def median_overheads(table: pa.Table) -> dict[tuple[int, int, int], float]:
    """(d, k, B) → median over the pairs of MLET's time over the baseline's, less 1, of what was measured."""
    cells: dict[tuple[int, int, int], list[tuple[float, float]]] = {}
    for row in table.to_pylist():
        pairs = cells.setdefault((row["dim"], row["inner_dim"], row["batch_size"]), [])
        pairs.append((row["mlet_ms"], row["single_ms"]))
    return {cell: ratio_quartiles(*np.array(pairs).T)[1] - 1 for cell, pairs in cells.items()}


def time_steps(steps: Steps, start: int, count: int) -> float:
    """Milliseconds per step over ``count`` steps from batch ``start`` of the epoch, from its start again at its end."""
    device, batches = steps.rows.label.device, len(steps.rows) // steps.batch_size
    synchronize(device)
    clock = time.perf_counter()
    done = 0
    while done < count:
        batch = (start + done) % batches
        steps.seek(batch)
        together = min(count - done, batches - batch)
        steps.advance(together)
        done += together
    synchronize(device)
    return (time.perf_counter() - clock) * 1000 / count
