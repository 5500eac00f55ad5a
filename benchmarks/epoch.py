"""One epoch of Criteo-Kaggle, and the two limits below which no step can go: launches and bytes."""

import time

import torch

from mlet_bench.device import device_label, software_label, synchronize
from mlet_bench.errors import BenchError
from mlet_bench.training.captured import make_steps
from mlet_bench.training.timing import time_steps

from .base import Settings, benchmark
from .full_scale import full_scale_rows
from .measure import Measure
from .timed import DATASET, ROWS, make_spec, make_timed, step_bytes

EPOCH_ROWS = 39_291_958
COPY_FLOATS = 2**28  # 1 GB: larger than any cache


@benchmark("epoch")
def bench_epoch(settings: Settings, count: int = 2000) -> list[Measure]:
    """Hours for 39.3M rows at B=128, d=16, k=64, beside what its kernels cost empty and what its bytes cost.

    Raises:
        BenchError: no GPU: the first limit is one of a GPU.
    """
    device = settings.device
    if device.type != "cuda":
        raise BenchError("the limit of an epoch is that of a graph of empty kernels: it needs a GPU (--device cuda)")
    schema, rows = full_scale_rows(DATASET, ROWS, device)
    spec = make_spec(schema, "mlet", 64)
    steps = make_timed(schema, rows, [spec])
    time_steps(steps, 0, 100)
    step_ms = time_steps(steps, 100, count)
    kernels = _kernels_of_a_step(steps)
    empty_ms = _empty_graph_ms(kernels, device)
    bytes_ms = 1000 * step_bytes(schema, 16, 64, spec.batch_size) / _bandwidth(device)
    hours = EPOCH_ROWS / spec.batch_size / 3.6e6
    where = device_label(device), software_label(device)
    case = f"39,291,958 rows, B=128, d=16, k=64, {kernels} kernels a step"
    return [
        Measure("epoch", case, step_ms * hours, "h", against, limit * hours, limit / step_ms, "", *where)
        for against, limit in (
            ("the same number of empty kernels in a graph", empty_ms),
            ("its bytes over the bandwidth of a copy", bytes_ms),
        )
    ]


def _kernels_of_a_step(steps) -> int:
    from torch.profiler import ProfilerActivity, profile

    # Step by step: a profiler that comes after a capture may see nothing of its replays.
    eager = make_steps(steps.step, steps.rows, steps.batch_size, eager=True)
    eager.start(steps.order, 0)
    time_steps(eager, 0, 3)
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        time_steps(eager, 3, 20)
    kernels = sum(event.count for event in found.key_averages() if not event.key.startswith(("Mem", "cuda")))
    return round(kernels / 20)


def _empty_graph_ms(kernels: int, device: torch.device, replays: int = 200) -> float:
    """Milliseconds for a graph of kernels that add to one number."""
    number = torch.zeros((), device=device)
    number.add_(1)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(kernels):
            number.add_(1)
    graph.replay()
    synchronize(device)
    clock = time.perf_counter()
    for _ in range(replays):
        graph.replay()
    synchronize(device)
    return 1000 * (time.perf_counter() - clock) / replays


def _bandwidth(device: torch.device, repeats: int = 20) -> float:
    """Bytes per second, read and written, of a large copy."""
    source = torch.ones(COPY_FLOATS, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    synchronize(device)
    clock = time.perf_counter()
    for _ in range(repeats):
        target.copy_(source)
    synchronize(device)
    return repeats * 2 * source.nbytes / (time.perf_counter() - clock)
