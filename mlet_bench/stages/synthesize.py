"""Make a raw file of planted rows with a known best AUC."""

import argparse
from pathlib import Path

from mlet_bench.data import DATASETS
from mlet_bench.data.worlds import WORLDS
from mlet_bench.stages.numbers import count, whole


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "dataset", help=f"whose form the file has: {', '.join(n for n, d in DATASETS.items() if d.planted)}"
    )
    parser.add_argument("--rows", type=count, required=True)
    parser.add_argument("--seed", type=whole, default=0)
    parser.add_argument(
        "--plant", choices=WORLDS, default="none", help="; ".join(f"{w.name}: {w.purpose}" for w in WORLDS.values())
    )
    parser.add_argument("--out", type=Path, required=True, help="raw file to write; .gz is compressed")


def run(arguments: argparse.Namespace) -> None:
    from mlet_bench.data.generate import synthesize

    planted = synthesize(arguments.dataset, arguments.rows, arguments.seed, arguments.out, arguments.plant)
    best = "".join(f", {auc:.4f} on test of split {name}" for name, auc in planted["test_best_auc"].items())
    print(f"{arguments.out}: {planted['rows']:,} rows, best possible AUC {planted['best_auc']:.4f}{best}")
