"""One job a GPU: on a machine with several, each process takes one that no other process of ours has."""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

_HELD: list[FileLock] = []  # until the process ends, however it ends


def claim_gpu(names: Sequence[str], folder: Path | None = None, wait_seconds: float = 1.0) -> int:
    """Take a GPU for this process and give its index; wait while all are taken.

    Args:
        names: what tells each GPU from all others, its UUID, in the order of their indices.
        folder: of the lock files; None for the system's temporary folder.
    """
    folder = Path(tempfile.gettempdir()) if folder is None else folder
    said = False
    while True:
        for index, name in enumerate(names):
            lock = FileLock(folder / f"mlet-bench-gpu-{name}.lock", mode=0o666, blocking=False)
            try:
                lock.acquire()
            except Timeout:
                continue
            _HELD.append(lock)
            return index
        if not said:
            print(f"all {len(names)} GPUs are taken by other jobs of this suite: waiting for one", file=sys.stderr)
            said = True
        time.sleep(wait_seconds)
