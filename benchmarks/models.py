"""A training step of each model against DeepCTR-Torch's, on equal batches and by the recipe of paper B."""

import contextlib
import io
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from mlet_bench.arms import RECIPES
from mlet_bench.data.dataset import Rows
from mlet_bench.device import device_label, software_label, synchronize
from mlet_bench.errors import BenchError
from mlet_bench.models import MODELS, model_title
from mlet_bench.models.base import resolve_hyper
from mlet_bench.spec import DatasetSchema, Field, RunSpec
from mlet_bench.training.timing import time_steps

from .base import Settings, benchmark
from .full_scale import full_scale_rows
from .measure import Measure
from .timed import make_timed

LARGEST_TABLE = 10_000  # rows: the peer has a dense gradient of every table, and with larger ones times nothing else
DIM = 16  # where its AutoInt has the authors' heads of 8
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "dcn": ("DCN", {}),
    "deepfm": ("DeepFM", {}),
    "nfm": ("NFM", {}),
    "xdeepfm": ("xDeepFM", {}),
    "autoint": ("AutoInt", {}),
    "widedeep": ("WDL", {}),
    "pnn": ("PNN", {}),
    "dcnv2": ("DCN", {"cross_parameterization": "matrix"}),
}


@benchmark("models")
def bench_models(settings: Settings, rounds: int = 7, steps: int = 8) -> list[Measure]:
    """A single layer at d=16, B=256, Adagrad, in turn with DeepCTR-Torch's model on the same rows.

    Tables are Avazu's, cut to 10,000 rows. Both times have the selection of the batch in them; the peer's leaves its
    loader, its metrics and its penalties out. On a CPU they are seconds of the processor, which other jobs on the
    machine disturb less than those of the clock.
    """
    package = deepctr(settings.deepctr)
    device = settings.device
    schema, rows = small_tables(device)
    where, unit = (device_label(device), software_label(device)), "CPU ms" if device.type == "cpu" else "ms"
    found = []
    for name, (kind, extra) in PEERS.items():
        hyper = resolve_hyper(MODELS[name], {}, "authors-b")
        spec = RunSpec(schema.name, "", name, "single", DIM, None, seed=0, hyper=hyper, **RECIPES["authors-b"])
        ours = make_timed(schema, rows, [spec])
        theirs = PeerSteps(package, kind, schema, rows, spec, **extra)
        time_steps(ours, 0, 5)  # warms up, as does the next
        theirs.time(0, 3)
        took = [
            tuple(_cost(run, turn * steps, steps, device) for run in (partial(time_steps, ours), theirs.time))
            for turn in range(rounds)
        ]
        mine, other = (statistics.median(times) for times in zip(*took, strict=True))
        ratio = statistics.median(b / a for a, b in took)
        case = f"{model_title(name)}, single, B={spec.batch_size}, d={DIM}"
        against = f"DeepCTR-Torch {package.__version__}"
        found.append(Measure("models", case, mine, unit, against, other, ratio, "3 or more", *where))
    return found


def _cost(run: Callable[[int, int], float], first: int, count: int, device: torch.device) -> float:
    """Milliseconds a step of ``count`` from batch ``first``, as ``run`` times them: the processor's on a CPU."""
    before = time.process_time()
    took = run(first, count)
    return (time.process_time() - before) * 1000 / count if device.type == "cpu" else took


def small_tables(device: torch.device) -> tuple[DatasetSchema, Rows]:
    """Rows in Avazu's shape whose tables have at most ``LARGEST_TABLE`` rows."""
    schema, rows = full_scale_rows("avazu", 2**17, device)
    fields = tuple(Field(field.name, min(field.size, LARGEST_TABLE)) for field in schema.fields)
    sizes = torch.tensor([field.size for field in fields], device=device)
    return replace(schema, fields=fields), replace(rows, ids=(rows.ids % sizes).int())


class PeerSteps:
    """Training steps of one of its models as its ``fit`` takes them."""

    def __init__(self, package: ModuleType, kind: str, schema: DatasetSchema, rows: Rows, spec: RunSpec, **extra: Any):
        columns = [package.inputs.SparseFeat(f.name, f.size, embedding_dim=spec.dim) for f in schema.fields]
        columns += [package.inputs.DenseFeat(name, 1) for name in schema.dense]
        given = [columns] if kind == "PNN" else [columns, columns]
        self.model = getattr(package.models, kind)(*given, device=str(rows.label.device), **extra)
        self.optimizer = torch.optim.Adagrad(self.model.parameters(), lr=spec.lr)
        self.inputs, self.label = torch.cat([rows.ids.float(), rows.dense], dim=1), rows.label
        self.batch_size = spec.batch_size

    def time(self, first: int, count: int) -> float:
        """Milliseconds a step, of ``count`` from batch ``first``."""
        synchronize(self.label.device)
        clock = time.perf_counter()
        for number in range(first, first + count):
            chosen = torch.arange(number * self.batch_size, (number + 1) * self.batch_size, device=self.label.device)
            predicted = self.model(self.inputs[chosen]).squeeze(1)
            self.optimizer.zero_grad()
            nn.functional.binary_cross_entropy(predicted, self.label[chosen], reduction="sum").backward()
            self.optimizer.step()
        synchronize(self.label.device)
        return (time.perf_counter() - clock) * 1000 / count


def deepctr(folder: Path | None) -> ModuleType:
    """DeepCTR-Torch from a folder of its own, without the request to the network that it makes when imported.

    Raises:
        BenchError: it is not there.
    """
    if folder is None or not (folder / "deepctr_torch").is_dir():
        raise BenchError(
            "this benchmark needs a peer: pip install --no-deps --target FOLDER deepctr-torch==0.3.0, then --deepctr "
            "FOLDER"
        )
    quiet: Any = ModuleType("deepctr_torch.utils")
    quiet.check_version = lambda version: None
    sys.modules["deepctr_torch.utils"] = quiet
    sys.path.insert(0, str(folder))
    with contextlib.redirect_stdout(io.StringIO()):
        package = import_module("deepctr_torch")
        for part in ("models", "inputs"):
            setattr(package, part, import_module(f"deepctr_torch.{part}"))
    return package
