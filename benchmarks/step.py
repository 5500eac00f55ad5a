"""A training step against that of facebookresearch/dlrm's script."""

import statistics

import torch

from mlet_bench.device import device_label, software_label
from mlet_bench.training.timing import time_steps

from .base import Settings, benchmark
from .full_scale import full_scale_rows
from .measure import Measure
from .timed import DATASET, ROWS, make_spec, make_timed


@benchmark("step")
def bench_step(settings: Settings, rounds: int = 3, batches: int = 300) -> list[Measure]:
    """One model at B=128, d=16 and Criteo-Kaggle's full table sizes, in turn with the script on equal settings.

    Ids are uniform for both, as the script's generator has them. Our time has the selection of the batch in it, the
    script's own clock leaves its data loading out.
    """
    device, script = settings.device, settings.peer()
    against = f"facebookresearch/dlrm {script.version}, dlrm_s_pytorch.py, single"  # first: it may be no checkout
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
