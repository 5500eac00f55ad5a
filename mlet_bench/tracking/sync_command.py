"""Bring finished runs into MLflow; safe to repeat and while jobs run."""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=Path, help="results/<profile>")


def run(arguments: argparse.Namespace) -> None:
    from mlet_bench.tracking import sync

    done = sync(arguments.results)
    failed = f", {done.failed} failed" if done.failed else ""
    print(f"{done.created} runs created, {done.updated} updated, {done.unchanged} unchanged{failed}")
