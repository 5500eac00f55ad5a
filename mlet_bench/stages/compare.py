"""DeLong intervals of an AUC difference: what other test rows would change."""

import argparse
from pathlib import Path

from mlet_bench.evaluation.compare import compare_cell
from mlet_bench.runs import failure_recorded


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="evaluated run folder")
    parser.add_argument("--baseline", type=Path, nargs="+", required=True, metavar="RUN", help="a run of each seed")


def run(arguments: argparse.Namespace) -> None:
    with failure_recorded(arguments.runs, "compare"):
        cell = compare_cell(arguments.runs, arguments.baseline)
    for folder, found in cell.items():
        print(f"{folder}: test auc {found['difference']:+.5f} [{found['low']:+.5f}, {found['high']:+.5f}] over rows")
