"""One job a GPU: on a machine with several, each process takes one that no other process of ours has."""

import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

_HELD: list[IO] = []  # a lock is held as long as its file is open: until the process ends, however it ends


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
            file = os.fdopen(os.open(folder / f"mlet-bench-gpu-{name}.lock", os.O_RDWR | os.O_CREAT, 0o666), "r+")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                continue
            _HELD.append(file)
            return index
        if not said:
            print(f"all {len(names)} GPUs are taken by other jobs of this suite: waiting for one", file=sys.stderr)
            said = True
        time.sleep(wait_seconds)
