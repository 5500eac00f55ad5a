"""A pack of seeds against the same runs one after the other."""

import statistics
from dataclasses import replace

import torch

from mlet_bench.device import device_label, software_label
from mlet_bench.training.timing import time_steps

from .base import Settings, benchmark
from .full_scale import full_scale_rows
from .measure import Measure
from .timed import ROWS, make_spec, make_timed

# Data set, runs and steps of a timing, by what the device has room for.
ON = {"cuda": ("criteo-kaggle", 5, 400), "cpu": ("avazu", 2, 50)}


@benchmark("pack")
def bench_pack(settings: Settings, rounds: int = 9) -> list[Measure]:
    """The step of a pack of seeds against as many single steps, d=16, B=128: the single layer and MLET, k=64."""
    dataset, runs, count = ON[settings.device.type]
    return [_measure(settings.device, dataset, runs, count, rounds, *arm) for arm in (("single", None), ("mlet", 64))]


def _measure(
    device: torch.device, dataset: str, runs: int, count: int, rounds: int, arm: str, inner_dim: int | None
) -> Measure:
    schema, rows = full_scale_rows(dataset, ROWS, device)
    spec = make_spec(schema, arm, inner_dim)
    alone = make_timed(schema, rows, [spec])
    together = make_timed(schema, rows, [replace(spec, seed=seed) for seed in range(runs)])
    took: dict[str, list[float]] = {"alone": [], "together": []}
    for turn in range(-1, rounds):
        for name, steps in (("alone", alone), ("together", together)):
            found = time_steps(steps, (turn + 1) * count, count)
            if turn >= 0:
                took[name].append(found)
    ratios = [runs * a / b for a, b in zip(took["alone"], took["together"], strict=True)]
    what = f"{runs} seeds, {'single' if inner_dim is None else f'MLET k={inner_dim}'}, d=16, B=128, {dataset}'s tables"
    return Measure(
        "pack", what, statistics.median(took["together"]), "ms",
        f"{runs} steps, one after the other", runs * statistics.median(took["alone"]), statistics.median(ratios),
        "3 or more" if device.type == "cuda" else "", device_label(device), software_label(device),
    )  # fmt: skip
