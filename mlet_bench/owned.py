"""Folders that one process at a time works in: a lock that the system drops when the process ends, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlet_bench.errors import BenchError


@contextmanager
def owned(folder: Path, doing: str) -> Iterator[None]:
    """Refuse a folder in which another process works: one that outlived its Snakemake, for instance.

    Args:
        folder: made if it is not there; it may be renamed or removed by the process that owns it.
        doing: "training", in the sentence.

    Raises:
        BenchError: another process has it.
    """
    handle = _open(folder)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            while not _is_there(folder, handle):  # its last owner renamed or removed it meanwhile
                os.close(handle)
                handle = _open(folder)
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BenchError(
                f"another process is {doing} in {folder}, maybe one that a killed snakemake left behind: wait for it "
                "or end it, then run this again"
            ) from None
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(handle)


def _open(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    return os.open(folder, os.O_RDONLY)


def _is_there(folder: Path, handle: int) -> bool:
    return folder.exists() and os.path.samestat(folder.stat(), os.fstat(handle))
