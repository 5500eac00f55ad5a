"""Fetch a raw data set, resuming and checking it."""

import argparse
from pathlib import Path

from mlet_bench.data import DATASETS


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", help=f"one of {', '.join(n for data in DATASETS.values() for n in data.downloads)}")
    parser.add_argument("--out", type=Path, required=True, help="folder; a file already there is used in place")


def run(arguments: argparse.Namespace) -> None:
    from mlet_bench.data.download import download

    print(download(arguments.source, arguments.out))
