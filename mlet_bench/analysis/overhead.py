"""What MLET's extra layer costs in training time (claim C5): whole steps, paired and interleaved."""

import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from tqdm import tqdm

from mlet_bench.data.dataset import Rows
from mlet_bench.device import device_label, software_label, synchronize
from mlet_bench.errors import BenchError
from mlet_bench.parquet import table_of_records
from mlet_bench.spec import DatasetSchema, RunSpec
from mlet_bench.training.captured import make_steps
from mlet_bench.training.loop import epoch_order
from mlet_bench.training.pack import build_pack
from mlet_bench.training.step import TrainStep
from mlet_bench.training.steps import Steps

SCHEMA = pa.schema(
    {
        "dataset": pa.string(),
        "model": pa.string(),
        "dim": pa.int64(),
        "inner_dim": pa.int64(),
        "batch_size": pa.int64(),
        "device": pa.string(),
        "software": pa.string(),
        "pair": pa.int64(),
        "single_ms": pa.float64(),
        "mlet_ms": pa.float64(),
    }
)


def measure_overhead(
    schema: DatasetSchema,
    rows: Rows,
    model: str,
    widths: Iterable[tuple[int, int]],
    batch_sizes: Iterable[int],
    device: torch.device,
    pairs: int = 50,
    steps: int = 20,
    training: dict[str, Any] | None = None,
) -> pa.Table:
    """Time training steps of the baseline and of MLET at the same d, in turn: A B A B ... in one process.

    Both arms train on the same batches of real rows in the shuffled order of a training, batch selection included,
    in the way that training takes its steps (captured on a GPU). Each timing covers ``steps`` whole steps, the device
    synchronised before and after; the order within a pair alternates, so that a drift of the machine falls on both.

    Args:
        rows: the training split, on ``device``.
        widths: the (d, k) to time.
        pairs, steps: timings of each arm, after a warm-up of one untimed pair, and steps per timing.
        training: settings of RunSpec that differ from its defaults.

    Returns:
        One row a pair, the columns of ``SCHEMA``; milliseconds per step.

    Raises:
        BenchError: the split has fewer rows than one batch.
    """
    batch_sizes = list(batch_sizes)
    if len(rows) < max(batch_sizes):
        raise BenchError(
            f"{schema.name} has {len(rows)} training rows, fewer than one batch of {max(batch_sizes)} to time"
        )
    records, software = [], software_label(device)
    for dim, inner_dim in tqdm(list(widths), desc=f"overhead {schema.name}", unit="cell", disable=None):
        # The models are made once for all batch sizes: with large tables that takes longer than the timing.
        made = {}
        for arm, k in (("single", None), ("mlet", inner_dim)):
            spec = RunSpec(schema.name, schema.fingerprint, model, arm, dim, k, 0, **training or {})
            made[arm] = TrainStep(build_pack([spec], schema, device), spec)
        for batch in batch_sizes:
            arms = {arm: make_steps(step, rows, batch) for arm, step in made.items()}
            for steps_of_arm in arms.values():
                steps_of_arm.start([epoch_order(0, 0, len(rows))], 0)
            for pair in range(-1, pairs):
                order = ("single", "mlet") if pair % 2 else ("mlet", "single")
                took = {arm: time_steps(arms[arm], (pair + 1) * steps, steps) for arm in order}
                if pair >= 0:  # the first pair warms up, and on a GPU captures
                    record = (schema.name, model, dim, inner_dim, batch, device_label(device), software, pair)
                    records.append((*record, took["single"], took["mlet"]))
    return table_of_records(records, SCHEMA)


def median_overheads(table: pa.Table) -> dict[tuple[int, int, int], float]:
    """(d, k, B) → median over the pairs of MLET's time over the baseline's, less 1, of what was measured."""
    ratios = defaultdict(list)
    for row in table.to_pylist():
        ratios[row["dim"], row["inner_dim"], row["batch_size"]].append(row["mlet_ms"] / row["single_ms"])
    return {cell: float(np.median(found)) - 1 for cell, found in ratios.items()}


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
