"""Write tables, figures, summary.md, claims.md and report.html."""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=Path, help="results/<profile>")


def run(arguments: argparse.Namespace) -> None:
    from mlet_bench.report.page import write_report

    write_report(arguments.results)
    print(*(f"{arguments.results}/{name}" for name in ("report.html", "summary.md", "claims.md")), sep="\n")
