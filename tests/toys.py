"""Toys that several tests share: small rows and specs, made from a seed."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from mlet_bench.arms import ARMS
from mlet_bench.data.dataset import Rows
from mlet_bench.evaluation.frequency import row_frequencies
from mlet_bench.models.base import ClickModel
from mlet_bench.spec import DatasetSchema, RunSpec
from mlet_bench.training.loop import Execution, train_together
from mlet_bench.training.pack import Pack
from mlet_bench.training.step import TrainStep

SIZES = (7, 40, 3, 300)
ONE_BY_ONE = Execution()


def make_rows(count: int, seed: int = 0, sizes=SIZES, dense: int = 2) -> Rows:
    """Random rows whose label depends on the first field and the first feature, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    ids = np.stack([rng.integers(0, size, count) for size in sizes], axis=1).astype(np.int32)
    features = rng.random((count, dense), dtype=np.float32)
    chance = 0.1 + 0.2 * (ids[:, 0] % 3 == 0) + 0.6 * (features[:, 0] > 0.5)
    return Rows(
        label=torch.from_numpy((rng.random(count) < chance).astype(np.float32)),
        dense=torch.from_numpy(features),
        ids=torch.from_numpy(ids),
    )


def groupings(splits: Mapping[str, Rows]) -> dict[str, np.ndarray]:
    """What test rows are grouped by, where id 0 of a field has one training row, id 1 two, and so on."""
    return row_frequencies(splits["test"].ids.numpy(), [np.arange(1, size + 1) for size in SIZES])


def make_spec(schema: DatasetSchema, arm: str = "mlet", **changes) -> RunSpec:
    """A run of an arm with d=4 and, where it has one, k=8."""
    inner_dim = 8 if ARMS[arm].inner_dim else None
    settings = {"model": "dlrm", "dim": 4, "inner_dim": inner_dim, "seed": 0, "batch_size": 32, "validations": 3}
    settings |= {"hyper": {"bottom": (16,), "top": (16,)}} | changes
    if ARMS[arm].options.get("law") == "fbtt":  # its tables start too long for the rates of the others, and diverge
        settings["lr"] = 1e-5
    return RunSpec(schema.name, schema.fingerprint, arm=arm, **settings)


def make_pack(*models: ClickModel) -> Pack:
    """A pack of these very models, whatever their type: what ``build_pack`` makes of specs."""
    weights = {}
    for name in models[0].tables():
        tables = [model.tables()[name] for model in models]
        weights[name] = torch.cat([table.weight.detach() for table in tables])
        for table, mine in zip(tables, weights[name].chunk(len(tables)), strict=True):
            table.weight.data = mine
    return Pack(models, weights)


def make_step(model: ClickModel, spec: RunSpec):
    """A training step of one model: dense (B, D), ids (B, F), label (B,) → loss."""
    step = TrainStep(make_pack(model), spec)
    return lambda *batch: step(*(part.unsqueeze(0) for part in batch))[0]


def train(
    spec: RunSpec,
    schema: DatasetSchema,
    splits: Mapping[str, Rows],
    folder: Path,
    execution: Execution = ONE_BY_ONE,
    after_step: Callable[[int], None] | None = None,
) -> Path:
    """Train one run; its folder."""
    train_together([(spec, folder)], schema, dict(splits), execution, after_step=after_step)
    return folder
