"""What a process settles before anything else is imported: how it prints, how its threads wait, where its home is."""

import getpass
import io
import os
import sys
from pathlib import Path

from mlet_bench.private import private_folder

# Threads that wait for work by spinning keep the cores from each other as soon as one other process wants one of them,
# and a step takes many times as long (docs/guide.md has the numbers).
WAITING = {"OMP_WAIT_POLICY": "passive"}
SPINNING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")  # whoever has set one of these has decided


def settle_process() -> None:
    """Settle all of it; to be called before torch is imported."""
    print_anything()
    wait_passively()
    have_a_home()


def print_anything() -> None:
    """Let a character that the terminal's or log's encoding lacks be written as \\x.. instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def wait_passively() -> None:
    """Let OpenMP's threads, torch's and the kernels', sleep while they have nothing to do; what the user set stays."""
    if not any(name in os.environ for name in SPINNING):
        os.environ.update(WAITING)


def have_a_home() -> None:
    """Give a user id without an account, as containers have, a home and a name: torch and others ask for both."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(private_folder())
        print(f"note: user id {os.getuid()} has no home: {os.environ['HOME']} holds its caches", file=sys.stderr)
    try:
        getpass.getuser()
    except (KeyError, OSError):  # OSError as of Python 3.13
        os.environ["USER"] = f"uid{os.getuid()}"
