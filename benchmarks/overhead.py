"""What MLET adds to a training step at full scale."""

from mlet_bench.device import device_label, software_label
from mlet_bench.training.timing import Timing, measure_overhead

from .base import Settings, benchmark
from .full_scale import full_scale_rows
from .measure import Measure
from .timed import DATASET, ROWS, make_spec, step_bytes

GRID = [(d, k) for d in (4, 8, 16, 32, 64) for k in (16, 32, 64, 128) if k >= d]


@benchmark("overhead")
def bench_overhead(settings: Settings, pairs: int = 20) -> list[Measure]:
    """MLET's step over single's at the same d with Criteo-Kaggle's full table sizes, and beside it the ratio of the
    bytes that the two must move, the limit at large batches.
    """
    device = settings.device
    widths = GRID if settings.whole_grid else [(16, 64)]
    schema, rows = full_scale_rows(DATASET, ROWS, device)
    timing = Timing(settings.batch_sizes, pairs)
    training = {"model": "dlrm", "hyper": make_spec(schema, "single", None).hyper}
    found = []
    measured = measure_overhead(schema, rows, widths, timing, training).to_pandas()
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
