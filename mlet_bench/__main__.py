"""``mlet-bench``, or ``python -m mlet_bench``: the command line as a process of its own."""

import gc
import sys

from mlet_bench.cli import main


def run() -> int:
    """``main``, without searching the million objects that importing torch makes for garbage.

    They live until the end, and the collector goes through them some hundred times while they come and once more at
    the end: 0.5 of 2.2 s that a short command takes.
    """
    gc.set_threshold(100_000)
    try:
        return main()
    finally:
        gc.freeze()


if __name__ == "__main__":
    sys.exit(run())
