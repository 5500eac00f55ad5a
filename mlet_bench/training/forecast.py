"""How long a training will take on this machine: steps of its shape, timed on made-up rows."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from mlet_bench.data.dataset import Rows
from mlet_bench.device import synchronize
from mlet_bench.evaluation.score import logits
from mlet_bench.models.base import ClickModel
from mlet_bench.spec import DatasetSchema, Field, RunSpec
from mlet_bench.training.captured import make_steps
from mlet_bench.training.loop import epoch_order, orders_of
from mlet_bench.training.pack import build_pack
from mlet_bench.training.step import TrainStep
from mlet_bench.training.timing import time_steps

STEPS, WARM_UP = 200, 20
AT_A_TIME = 10  # steps of a timing; the fastest counts, as other programs only ever add to one
TABLE_ROWS = 10_000  # a larger table would take longer to draw than to time
ROWS = 8_192


@dataclass(frozen=True)
class Pace:
    """Seconds that one run takes for a training step, and for scoring one row."""

    step: float
    row: float

    def seconds(self, spec: RunSpec, rows: dict[str, int]) -> float:
        """A whole run on splits of so many rows: its steps, its validations, and the last scores of both splits."""
        steps = spec.epochs * -(-rows["train"] // spec.batch_size)
        scored = (spec.validations + 1) * rows["val"] + rows["test"]
        return steps * self.step + scored * self.row


def measure_pace(specs: Sequence[RunSpec], schema: DatasetSchema, device: torch.device) -> Pace:
    """Time ``STEPS`` steps of runs that are trained together as a pack, after a warm-up.

    Tables are cut to ``TABLE_ROWS`` rows, so what the caches of a machine hold of a larger one is not measured.
    """
    spec, sizes = specs[0], [min(size, TABLE_ROWS) for size in schema.table_sizes]
    fields = tuple(Field(field.name, size) for field, size in zip(schema.fields, sizes, strict=True))
    rows = made_up_rows(sizes, len(schema.dense), max(ROWS, spec.batch_size), device)
    pack = build_pack(specs, replace(schema, fields=fields), device)
    step = TrainStep(pack, spec, rows.ids, [each.embedding_lr for each in specs])
    seeds, order_of = orders_of(specs)
    steps = make_steps(step, rows, spec.batch_size, order_of=order_of)
    steps.start([epoch_order(seed, 0, len(rows)) for seed in seeds], 0)
    time_steps(steps, 0, WARM_UP)
    took = min(time_steps(steps, first, AT_A_TIME) for first in range(WARM_UP, WARM_UP + STEPS, AT_A_TIME)) / 1000
    return Pace(took / len(specs), min(_seconds_of_scoring(pack.models[0], rows) for _ in range(5)) / len(rows))


def _seconds_of_scoring(model: ClickModel, rows: Rows) -> float:
    clock = time.perf_counter()
    logits(model, rows)
    synchronize(rows.label.device)
    return time.perf_counter() - clock


def made_up_rows(sizes: Sequence[int], dense: int, count: int, device: torch.device) -> Rows:
    """Rows with few common categories and many rare ones, as genuine ones have them."""
    draw = torch.Generator().manual_seed(0)
    ids = torch.rand(count, len(sizes), generator=draw, dtype=torch.float64) ** 4 * torch.tensor(sizes)
    label = (torch.rand(count, generator=draw) < 0.2).float()
    values = torch.rand(count, dense, generator=draw)
    return Rows(label.to(device), values.to(device), ids.to(torch.int32).to(device))
