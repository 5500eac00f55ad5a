"""``python -m benchmarks NAME``: run a benchmark, print its table, and store it with ``--out``."""

import argparse
import sys
from pathlib import Path

from mlet_bench.device import resolve_device
from mlet_bench.errors import BenchError

from . import BENCHMARKS
from .base import Settings
from .dlrm_script import DlrmScript
from .measure import as_markdown, write_measures
from .page import PAGE, TABLES, update_page


def main(argv: list[str] | None = None) -> int:
    """Run one benchmark, or put the stored tables into the page. Returns 0, or 2 after an error with its sentence."""
    arguments = build_parser().parse_args(argv)
    try:
        if arguments.benchmark == "page":
            update_page(PAGE, arguments.out or TABLES)
            return 0
        dlrm = DlrmScript(arguments.dlrm, arguments.dlrm_python) if arguments.dlrm else None
        settings = Settings(
            resolve_device(arguments.device, arguments.threads),
            dlrm,
            arguments.whole_grid,
            tuple(arguments.batch_sizes),
            tuple(arguments.rows) if arguments.rows else None,
            arguments.deepctr,
        )
        measures = BENCHMARKS[arguments.benchmark](settings)
        print(as_markdown(measures))
        if arguments.out:
            write_measures(measures, arguments.out)
    except BenchError as error:
        print(f"benchmarks {arguments.benchmark}: error: {error}", file=sys.stderr)
        return 2
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of the one command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time our code against a peer or a limit and print the table with its ratio.",
        epilog=f"example:\n  python -m benchmarks step --dlrm ../dlrm --device cpu --out {TABLES}/step-cpu.csv",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("benchmark", choices=[*BENCHMARKS, "page"], help=f"page puts the stored tables into {PAGE}")
    parser.add_argument("--dlrm", type=Path, help="step, preparation: a checkout of facebookresearch/dlrm")
    parser.add_argument(
        "--dlrm-python", type=Path, default=Path(sys.executable), help="a Python with 'numpy<2', torch, tensorboard"
    )
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[128], help="overhead")
    parser.add_argument("--whole-grid", action="store_true", help="overhead: d 4..64, k 16..128, not d=16, k=64 alone")
    parser.add_argument("--deepctr", type=Path, help="models: a folder with DeepCTR-Torch 0.3.0 alone in it")
    parser.add_argument("--rows", type=int, nargs="+", help="preparation, preparation-memory: rows of each file")
    parser.add_argument("--out", type=Path, help=f"CSV file to write; of page the folder to read ({TABLES})")
    parser.add_argument("--device", default="auto", help="auto (cuda where there is a GPU), cpu or cuda")
    parser.add_argument("--threads", type=int, help="CPU threads")
    return parser


if __name__ == "__main__":
    sys.exit(main())
