"""A command that kills itself at a chosen moment, and what it leaves.

The moment is a place, a function as the module that calls it knows it, ``mlet_bench.files:os.replace``, and a number:
before its ``call``-th call the process sends itself the signal.
"""

import functools
import hashlib
import importlib
import os
import signal
import subprocess
from pathlib import Path

import forked

# Times differ from run to run.
TIMES = {"provenance.json"}


def killed(place: str, call: int, how: str, *words) -> subprocess.CompletedProcess:
    """Run a command of mlet-bench in a process that kills itself; whoever calls this looks at how it ended."""
    imported = forked.STORE if words[0] == "sync" else forked.TRAINING
    return forked.run(*words, imported=imported, kill=(place, call, how))


def numbers(folder: Path) -> dict[str, str]:
    """File → hash of every file below a folder that must be equal between runs; leftovers of a kill included.

    A lock stays where it was, an empty file: to remove it would let two processes have it.
    """
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in TIMES and not (file.suffix == ".lock" and not file.stat().st_size)
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
