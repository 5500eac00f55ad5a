"""Make the folder that a report reads from an MLflow store alone."""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("profile", help="the profile that was synced")
    parser.add_argument("--out", type=Path, required=True, help="folder to make; report it with 'mlet-bench report'")


def run(arguments: argparse.Namespace) -> None:
    from mlet_bench.tracking import restore

    print(f"{arguments.out}: {restore(arguments.profile, arguments.out)} runs restored")
