"""Run a command that kills itself: python tests/kill_at.py PLACE CALL SIGNAL COMMAND...

PLACE is a function as the module that calls it knows it, ``mlet_bench.files:os.replace``; before its CALL-th call the
process sends itself SIGNAL. The rest is a command of mlet-bench. Tests import ``numbers`` to compare what was left.
"""

import functools
import hashlib
import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

# Times differ from run to run, and so does what is derived from them.
TIMES = {"provenance.json"}


def killed(place: str, call: int, how: str, *words) -> subprocess.CompletedProcess:
    """Run a command of mlet-bench in a process that kills itself; whoever calls this looks at how it ended."""
    command = [sys.executable, __file__, place, str(call), how, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


def numbers(folder: Path) -> dict[str, str]:
    """File → hash of every file below a folder that must be equal between runs; leftovers of a kill included."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in TIMES
    }


def arm(place: str, call: int, how: str) -> None:
    """Make the function at ``place`` send this process a signal before its ``call``-th call."""
    module, _, path = place.partition(":")
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    inner, calls = getattr(owner, name), [0]

    @functools.wraps(inner)
    def counted(*arguments, **options):
        calls[0] += 1
        if calls[0] == call:
            os.kill(os.getpid(), getattr(signal, how))
        return inner(*arguments, **options)

    setattr(owner, name, counted)


if __name__ == "__main__":
    import torch

    from mlet_bench.cli import main

    torch.set_num_threads(1)
    arm(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    sys.exit(main(sys.argv[4:]))
