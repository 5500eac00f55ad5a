"""The benchmarks by name."""

import torch

from mlet_bench.bench.auc import bench_auc
from mlet_bench.bench.dlrm_script import DlrmScript
from mlet_bench.bench.epoch import bench_epoch
from mlet_bench.bench.kernels import bench_kernels
from mlet_bench.bench.measure import Measure
from mlet_bench.bench.preparation import bench_preparation, bench_preparation_memory
from mlet_bench.bench.step import GRID, bench_overhead, bench_pack, bench_step
from mlet_bench.errors import BenchError


def measure(
    name: str,
    device: torch.device,
    script: DlrmScript | None,
    whole_grid: bool,
    batch_sizes: list[int],
    rows: list[int] | None,
) -> list[Measure]:
    """Run one benchmark.

    Args:
        script: the peer that ``step`` and ``preparation`` are compared with.
        whole_grid, batch_sizes: of ``overhead``; d=16, k=64 alone, or all (d, k) of the full reproduction.
        rows: sizes of the files that ``preparation`` and ``preparation-memory`` prepare.

    Raises:
        BenchError: no peer where one is needed, or the benchmark's own.
    """
    if name in ("step", "preparation") and script is None:
        raise BenchError("this benchmark needs a peer: give --dlrm, a checkout of github.com/facebookresearch/dlrm")
    return {
        "step": lambda: bench_step(device, script),
        "pack": lambda: bench_pack(device),
        "overhead": lambda: bench_overhead(device, GRID if whole_grid else [(16, 64)], batch_sizes),
        "epoch": lambda: bench_epoch(device),
        "preparation": lambda: bench_preparation(script, rows or [500_000]),
        "preparation-memory": lambda: bench_preparation_memory(rows or [100_000, 1_000_000]),
        "evaluation": lambda: bench_auc(),
        "kernels": lambda: bench_kernels(),
    }[name]()
