"""What the benchmarks of steps share: models at full scale with their steps, and the bytes that a step must move."""

from itertools import pairwise

from mlet_bench.data.dataset import Rows
from mlet_bench.models import MODELS
from mlet_bench.models.base import resolve_hyper
from mlet_bench.spec import DatasetSchema, RunSpec, derive_seed
from mlet_bench.training.captured import make_steps
from mlet_bench.training.loop import epoch_order
from mlet_bench.training.pack import build_pack
from mlet_bench.training.step import TrainStep
from mlet_bench.training.steps import Steps

DATASET = "criteo-kaggle"
ROWS = 2**20  # more than any timing takes


def step_bytes(schema: DatasetSchema, dim: int, inner_dim: int | None, batch: int) -> int:
    """The least bytes that one step of DLRM with the authors' MLPs must move through memory.

    Rows of the batch are read once and read and written once in the update; the MLPs' weights and W2 are read twice
    (forward and backward) and read and written once; activations are written and read in both directions.
    """
    fields, dense, floats = len(schema.fields), len(schema.dense), 4
    rows = 3 * batch * fields * (inner_dim or dim)
    vectors = fields + 1
    bottom, top = (dense, 256, 64, dim), (dim + vectors * (vectors - 1) // 2, 512, 256, 1)
    weights = sum(a * b for widths in (bottom, top) for a, b in pairwise(widths))
    weights += fields * inner_dim * dim if inner_dim else 0
    activations = batch * (sum(bottom) + sum(top) + fields * dim + (fields * inner_dim if inner_dim else 0))
    data = batch * (dense + fields + 2)
    return floats * (rows + 4 * weights + 4 * activations + data)


def make_spec(schema: DatasetSchema, arm: str, inner_dim: int | None) -> RunSpec:
    """The authors' recipe at d=16."""
    hyper = resolve_hyper(MODELS["dlrm"], {}, "authors")
    return RunSpec(schema.name, schema.fingerprint, "dlrm", arm, 16, inner_dim, seed=0, hyper=hyper)


def make_timed(schema: DatasetSchema, rows: Rows, specs: list[RunSpec]) -> Steps:
    """Steps of a pack, at the start of an epoch."""
    pack = build_pack(specs, schema, rows.label.device)
    steps = make_steps(TrainStep(pack, specs[0]), rows, specs[0].batch_size)
    steps.start([epoch_order(derive_seed(spec.seed, "bench"), 0, len(rows)) for spec in specs], 0)
    return steps
