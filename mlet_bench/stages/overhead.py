"""Time MLET's training steps against the baseline's, paired."""

import argparse
import os
from pathlib import Path

from mlet_bench.arms import with_recipe
from mlet_bench.device import load_average, others_running
from mlet_bench.errors import BenchError
from mlet_bench.parquet import table_of_records, write_table
from mlet_bench.runs import NOT_TIMED, OVERHEAD
from mlet_bench.stages.common import RECIPE, Source, device_of, device_options, recipe_options
from mlet_bench.stages.hyper import hyper_of, hyper_options
from mlet_bench.stages.numbers import count
from mlet_bench.training.timing import Timing, measure_overhead, median_overheads


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="prepared data set")
    parser.add_argument("--dims", type=count, nargs="+", required=True, help="d")
    parser.add_argument("--inner-dims", type=count, nargs="+", required=True, help="k; every pair with k >= d is timed")
    parser.add_argument("--batch-sizes", type=count, nargs="+", default=[128])
    parser.add_argument("--pairs", type=count, default=50, help="timings of each arm")
    parser.add_argument("--steps", type=count, default=20, help="training steps per timing")
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    parser.add_argument(
        "--when-busy", choices=("time", "skip"), default="time",
        help="what to do where other programs take all cores: time all the same, or write no timings and the reason",
    )  # fmt: skip
    recipe_options(parser)
    hyper_options(parser)
    device_options(parser)


def run(arguments: argparse.Namespace) -> None:
    widths = [(dim, inner) for dim in arguments.dims for inner in arguments.inner_dims if inner >= dim]
    if not widths:
        raise BenchError(f"no pair with k >= d in dims {arguments.dims} and inner dims {arguments.inner_dims}")
    training = with_recipe({name: getattr(arguments, name) for name in ("model", *RECIPE)})
    training = {name: value for name, value in training.items() if name != "batch_size"} | {
        "hyper": hyper_of(arguments)
    }
    if arguments.when_busy == "skip" and (reason := busy()):
        print(f"not timed: {reason}")
        write_table(arguments.out, table_of_records([], OVERHEAD.columns), notes={NOT_TIMED: reason})
        return
    source = Source.load(arguments.data, ("train",), device_of(arguments))
    timing = Timing(arguments.batch_sizes, arguments.pairs, arguments.steps)
    print(f"before: {load_average()}", flush=True)
    table = measure_overhead(source.schema, source.splits["train"], widths, timing, training)
    print(f"after: {load_average()}", flush=True)
    write_table(arguments.out, table)
    for (dim, inner_dim, batch), extra in median_overheads(table).items():
        print(f"d={dim} k={inner_dim} batch={batch}: median overhead {extra:+.1%}")


def busy() -> str:
    """Why step times would say nothing now: others leave less than half a core; empty where they would."""
    others, cores = others_running(), os.cpu_count() or 1
    if others <= cores - 0.5:
        return ""
    return f"the machine was busy, {others:.1f} other threads ran on its {cores} cores; time it again when it is quiet"
