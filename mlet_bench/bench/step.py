"""Training steps: against facebookresearch/dlrm's script, packs against single runs, MLET against single."""

import statistics
from dataclasses import replace
from itertools import pairwise

import torch

from mlet_bench.analysis.overhead import measure_overhead, time_steps
from mlet_bench.bench.dlrm_script import DlrmScript
from mlet_bench.bench.full_scale import full_scale_rows
from mlet_bench.bench.measure import Measure
from mlet_bench.data.dataset import Rows
from mlet_bench.device import device_label, software_label
from mlet_bench.spec import DatasetSchema, RunSpec, derive_seed
from mlet_bench.training.captured import make_steps
from mlet_bench.training.loop import epoch_order
from mlet_bench.training.pack import build_pack
from mlet_bench.training.step import TrainStep
from mlet_bench.training.steps import Steps

DATASET = "criteo-kaggle"
ROWS = 2**20  # more than any timing takes
GRID = [(d, k) for d in (4, 8, 16, 32, 64) for k in (16, 32, 64, 128) if k >= d]


def bench_step(device: torch.device, script: DlrmScript, rounds: int = 3, batches: int = 300) -> list[Measure]:
    """One model at B=128, d=16 and Criteo-Kaggle's full table sizes, in turn with the script on equal settings.

    Ids are uniform for both, as the script's generator has them. Our time has the selection of the batch in it, the
    script's own clock leaves its data loading out.
    """
    schema, rows = full_scale_rows(DATASET, ROWS, device, uniform=True)
    specs = {"single": make_spec(schema, "single", None), "MLET, k=64": make_spec(schema, "mlet", 64)}
    ours = {name: make_timed(schema, rows, [spec]) for name, spec in specs.items()}
    took: dict[str, list[float]] = {name: [] for name in (*ours, "script")}
    for turn in range(rounds):
        threads, gpu = torch.get_num_threads(), device.type == "cuda"
        spec = specs["single"]
        took["script"].append(script.step_ms(spec, schema.table_sizes, len(schema.dense), batches, threads, gpu))
        for name, steps in ours.items():
            time_steps(steps, 0, 50)
            took[name].append(time_steps(steps, (turn + 1) * batches, batches))
    theirs = statistics.median(took["script"])
    against = f"facebookresearch/dlrm {script.version}, dlrm_s_pytorch.py, single"
    target = {"cuda": "25 or more", "cpu": "2.5 or more"}[device.type]
    where = device_label(device), software_label(device)
    return [
        Measure(
            "step", f"B=128, d=16, full tables, {name}", statistics.median(took[name]), "ms", against, theirs,
            statistics.median(a / b for a, b in zip(took["script"], took[name], strict=True)),
            target if name == "single" else "", *where,
        )
        for name in ours
    ]  # fmt: skip


def bench_pack(device: torch.device, runs: int = 5, rounds: int = 5, count: int = 400) -> list[Measure]:
    """The step of a pack of seeds against as many single steps, MLET at d=16, k=64, B=128."""
    schema, rows = full_scale_rows(DATASET, ROWS, device)
    spec = make_spec(schema, "mlet", 64)
    alone = make_timed(schema, rows, [spec])
    together = make_timed(schema, rows, [replace(spec, seed=seed) for seed in range(runs)])
    took: dict[str, list[float]] = {"alone": [], "together": []}
    for turn in range(-1, rounds):
        for name, steps in (("alone", alone), ("together", together)):
            found = time_steps(steps, (turn + 1) * count, count)
            if turn >= 0:
                took[name].append(found)
    ratios = [runs * a / b for a, b in zip(took["alone"], took["together"], strict=True)]
    return [
        Measure(
            "pack", f"{runs} seeds, MLET d=16, k=64, B=128, full tables", statistics.median(took["together"]), "ms",
            f"{runs} steps, one after the other", runs * statistics.median(took["alone"]), statistics.median(ratios),
            "3 or more" if device.type == "cuda" else "", device_label(device), software_label(device),
        )
    ]  # fmt: skip


def bench_overhead(
    device: torch.device, widths: list[tuple[int, int]], batch_sizes: list[int], pairs: int = 20
) -> list[Measure]:
    """MLET's step over single's at the same d with Criteo-Kaggle's full table sizes, and beside it the ratio of the
    bytes that the two must move, the limit at large batches.
    """
    schema, rows = full_scale_rows(DATASET, ROWS, device)
    found = []
    measured = measure_overhead(schema, rows, "dlrm", widths, batch_sizes, device, pairs=pairs).to_pandas()
    measured["ratio"] = measured.mlet_ms / measured.single_ms
    for batch, frame in measured.groupby("batch_size"):
        cells = frame.groupby(["dim", "inner_dim"])[["single_ms", "mlet_ms", "ratio"]].median()
        for (dim, inner), cell in cells.iterrows():
            bytes_ratio = step_bytes(schema, dim, inner, batch) / step_bytes(schema, dim, None, batch)
            found.append(
                Measure(
                    "overhead", f"d={dim}, k={inner}, B={batch} (bytes moved: {bytes_ratio - 1:+.0%})", cell.mlet_ms,
                    "ms", "single", cell.single_ms, cell.ratio - 1,
                    "+10% or less" if device.type == "cpu" and (dim, inner, batch) == (16, 64, 128) else "",
                    device_label(device), software_label(device),
                )
            )  # fmt: skip
        if len(cells) > 1:
            target = "+5% or less" if device.type == "cuda" and batch == 128 else ""
            means = cells.mean()
            found.append(
                Measure(
                    "overhead", f"mean over {len(cells)} (d, k), B={batch}", means.mlet_ms, "ms", "single",
                    means.single_ms, means.ratio - 1, target, device_label(device), software_label(device),
                )
            )  # fmt: skip
    return found


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
    return RunSpec(schema.name, schema.fingerprint, "dlrm", arm, 16, inner_dim, seed=0)


def make_timed(schema: DatasetSchema, rows: Rows, specs: list[RunSpec]) -> Steps:
    """Steps of a pack, at the start of an epoch."""
    pack = build_pack(specs, schema, rows.label.device)
    steps = make_steps(TrainStep(pack, specs[0]), rows, specs[0].batch_size)
    steps.start([epoch_order(derive_seed(spec.seed, "bench"), 0, len(rows)) for spec in specs], 0)
    return steps
