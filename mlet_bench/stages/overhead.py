"""Time MLET's training steps against the baseline's, paired."""

import argparse
from pathlib import Path

from mlet_bench.arms import with_recipe
from mlet_bench.device import load_average
from mlet_bench.errors import BenchError
from mlet_bench.parquet import write_table
from mlet_bench.stages.common import Source, device_of, device_options, recipe_options
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
    recipe_options(parser)
    hyper_options(parser)
    device_options(parser)


def run(arguments: argparse.Namespace) -> None:
    widths = [(dim, inner) for dim in arguments.dims for inner in arguments.inner_dims if inner >= dim]
    if not widths:
        raise BenchError(f"no pair with k >= d in dims {arguments.dims} and inner dims {arguments.inner_dims}")
    training = with_recipe({name: getattr(arguments, name) for name in ("model", "recipe", "optimizer", "lr")})
    training = {name: value for name, value in training.items() if name != "batch_size"} | {
        "hyper": hyper_of(arguments)
    }
    source = Source.load(arguments.data, ("train",), device_of(arguments))
    timing = Timing(arguments.batch_sizes, arguments.pairs, arguments.steps)
    print(f"before: {load_average()}", flush=True)
    table = measure_overhead(source.schema, source.splits["train"], widths, timing, training)
    print(f"after: {load_average()}", flush=True)
    write_table(arguments.out, table)
    for (dim, inner_dim, batch), extra in median_overheads(table).items():
        print(f"d={dim} k={inner_dim} batch={batch}: median overhead {extra:+.1%}")
