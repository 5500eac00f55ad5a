"""One job a GPU: each process takes one that no other process of ours has, and gives it back when it can."""

import errno
import fcntl
import os
import stat
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from mlet_bench.errors import BenchError
from mlet_bench.private import private_folder

_HELD: list[int] = []  # descriptors, until they are released or the process ends, however it ends


def claim_gpu(names: Sequence[str], folder: Path | None = None, wait_seconds: float = 1.0) -> int:
    """Take a GPU for this process and give its index; wait while all are taken.

    Args:
        names: what tells each GPU from all others, its UUID, in the order of their indices.
        folder: of the lock files; None for the system's temporary folder, which all users of the machine share.

    Raises:
        BenchError: no lock file can be opened.
    """
    folder = Path(tempfile.gettempdir()) if folder is None else folder
    files = [_open_lock(folder, f"mlet-bench-gpu-{name}.lock") for name in names]
    said = False
    while True:
        for index, file in enumerate(files):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            _HELD.append(file)
            for other in files[:index] + files[index + 1 :]:
                os.close(other)
            return index
        if not said:
            print(f"all {len(names)} GPUs are taken by other jobs of this suite: waiting for one", file=sys.stderr)
            said = True
        time.sleep(wait_seconds)


def release_gpus() -> None:
    """Let other processes take what this one has taken."""
    while _HELD:
        os.close(_HELD.pop())


def _open_lock(folder: Path, name: str) -> int:
    """A lock file for all users: whoever comes first makes it, and to lock it everybody need only read it.

    Nothing is ever written to it, links are not followed, and it is never taken for a file of another kind. Where
    somebody has put something else there, this user's jobs still keep off each other's GPUs.
    """
    try:
        return _open_plain(folder / name)
    except OSError as error:
        own = private_folder() / name
        print(
            f"note: {folder / name} is no lock file that this user can read ({os.strerror(error.errno or 0)}): GPUs "
            f"are shared out among this user's jobs alone, by {own}",
            file=sys.stderr,
        )
    try:
        return _open_plain(own)
    except OSError as error:
        raise BenchError(f"{own} cannot be opened ({error.strerror}): name one GPU in CUDA_VISIBLE_DEVICES") from error


def _open_plain(path: Path) -> int:
    # A file of another user in a sticky folder must be opened without O_CREAT (Linux's fs.protected_regular); a pipe
    # would wait for its other end without O_NONBLOCK.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = os.open(path, flags)
    except FileNotFoundError:
        try:
            file = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
            os.fchmod(file, 0o666)  # whatever the umask
        except FileExistsError:  # another job was faster
            file = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
    return file
