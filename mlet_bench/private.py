"""Places that no other user can write: what is read from them was put there by this user, or by root."""

import os
import stat
import tempfile
from pathlib import Path


def is_safe(path: Path) -> bool:
    """Whether a file or folder, no link, belongs to this user or to root, and nobody else can write it."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    others_write = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return found.st_uid in (0, os.geteuid()) and not others_write and not stat.S_ISLNK(found.st_mode)


def make_safe(folder: Path) -> bool:
    """Make a folder that this user alone can write; False where that cannot be, as it is somebody else's.

    One that is this user's and that others could write is closed to them: what they left in it is checked when it is
    read (``is_safe``).
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        found = os.lstat(folder)
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not is_safe(folder):
            folder.chmod(0o700)
    except OSError:
        return False
    return is_safe(folder) and os.access(folder, os.W_OK)


def private_folder() -> Path:
    """A folder of this user's own in the system's temporary folder; a fresh one where somebody else took its name.

    Raises:
        OSError: the temporary folder cannot be written.
    """
    folder = Path(tempfile.gettempdir(), f"mlet-bench-{os.geteuid()}")
    return folder if make_safe(folder) else Path(tempfile.mkdtemp(prefix=f"{folder.name}-"))
