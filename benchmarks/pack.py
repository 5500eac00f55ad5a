"""A pack of seeds against the same runs one after the other."""

import statistics
from dataclasses import replace

from mlet_bench.device import device_label, software_label
from mlet_bench.training.timing import time_steps

from .base import Settings, benchmark
from .full_scale import full_scale_rows
from .measure import Measure
from .timed import DATASET, ROWS, make_spec, make_timed


@benchmark("pack")
def bench_pack(settings: Settings, runs: int = 5, rounds: int = 5, count: int = 400) -> list[Measure]:
    """The step of a pack of seeds against as many single steps, MLET at d=16, k=64, B=128."""
    device = settings.device
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
