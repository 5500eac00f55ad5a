"""Files that are either whole or absent, a power cut included, and the canonical JSON that run ids and sums hash.

A system may keep the rename of a file and lose its content when the power goes, so what is renamed is on the disk
first: written, fsync, renamed, fsync of the folder.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlet_bench.errors import BenchError


@contextmanager
def atomic(path: Path | str, needed: int = 0) -> Iterator[Path]:
    """Yield a temporary sibling of ``path`` to write to; rename it on success, remove it on any error.

    Once this has returned the file outlives a power cut. What a killed process left of an earlier attempt is removed
    first.

    Args:
        needed: bytes that will be written, where that is known: refused at once if the disk has no room for them.

    Raises:
        BenchError: the folder cannot be written, or is full; or ``path`` has no name of its own.

    Example::

        with atomic("table.parquet") as partial:
            frame.to_parquet(partial)
    """
    path = Path(path)
    if path.name in ("", ".."):
        raise BenchError(f"{path} is a folder: give the path of a file")
    # The suffix stays last: libraries choose a format by it.
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    with writing(path):
        make_folder(path.parent)
        remove_leftovers(path)
        check_room(path, needed)
        try:
            yield partial
            fsync(partial)
            os.replace(partial, path)
            fsync(path.parent)
        finally:
            partial.unlink(missing_ok=True)


def fsync(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on the disk.

    Raises:
        OSError: the disk did not take them, so they must not be counted on.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder that one may write to and not read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        # A file system that has no such thing, for folders above all, loses nothing by not being asked.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        os.close(descriptor)


def fsync_tree(folder: Path) -> None:
    """``fsync`` of every file and folder below ``folder`` and of itself, before it is renamed as a whole."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            if not (Path(place) / name).is_symlink():
                fsync(Path(place) / name)
        fsync(Path(place))


def rename(source: Path, target: Path) -> None:
    """Rename a folder, so that it stays renamed after a power cut; its content must be on the disk (``fsync_tree``)."""
    os.rename(source, target)
    for folder in {source.parent, target.parent}:
        fsync(folder)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are absent, so that they outlive a power cut."""
    absent = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in absent:
        fsync(each.parent)


def link_or_copy(source: Path, target: Path) -> None:
    """Let ``target`` be the file ``source``, whole or not at all; without a second copy where the system has links."""
    with atomic(target) as partial:
        try:
            os.link(source, partial)
        except OSError:
            shutil.copy2(source, partial)


def remove_leftovers(path: Path) -> None:
    """Remove the temporary siblings of ``path`` whose writers are gone: ``kill -9`` leaves them."""
    for left in path.parent.glob(f".{glob.escape(path.stem)}.*.partial{glob.escape(path.suffix)}"):
        writer = left.name.removeprefix(f".{path.stem}.").partition(".")[0]
        if writer.isdigit() and not _is_alive(int(writer)):
            left.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


# How libraries that raise no OSError word a failed write. torch says no more than that a position is unexpected or, of
# the last bytes of a file, what its stream is called.
_UNWRITTEN = re.compile(r"os error \d+|inline_container|basic_ios::clear|iostream error")
_FULL = re.compile(r"no space left|file too large|quota|unexpected pos|basic_ios::clear|iostream error", re.IGNORECASE)
MAKE_ROOM = "make room, keep less of each run (keep: metrics), or give another folder, and run it again"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write ``path``, a file or a folder, into a sentence, whichever library it comes from.

    Raises:
        BenchError: names the path, what the system says, and what to do.
    """
    try:
        yield
    except BenchError:
        raise
    except Exception as error:
        if not _is_about(error, path):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        if _FULL.search(str(error)):
            raise BenchError(f"{path} cannot be written ({reason}; {_room(path)}): {MAKE_ROOM}") from error
        raise BenchError(f"{path} cannot be written ({reason}): check the folder, or give another one") from error


def _is_about(error: Exception, path: Path) -> bool:
    if not isinstance(error, OSError):
        return _UNWRITTEN.search(str(error)) is not None
    if isinstance(error, FileNotFoundError | ConnectionError | TimeoutError):
        return False  # something to read
    place, named = str(path.parent), str(error.filename or path)
    return named.startswith(place) or place.startswith(named)


def check_room(path: Path, needed: int) -> None:
    """Refuse to begin a file that the disk has no room for.

    Raises:
        BenchError: says how many bytes are needed and how many are free.
    """
    if needed > shutil.disk_usage(path.parent).free:
        raise BenchError(f"{path} needs {needed:,} bytes ({_room(path)}): {MAKE_ROOM}")


def _room(path: Path) -> str:
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    return f"{folder} has {shutil.disk_usage(folder).free:,} bytes free"


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any, length: int = 12) -> str:
    """The first ``length`` hex digits of the sha256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def file_digest(path: Path | str, algorithm: str = "sha256") -> str:
    """The hex digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def write_json(path: Path | str, value: Any) -> None:
    """Write indented JSON, whole or not at all."""
    with atomic(path) as partial:
        partial.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


SEAL = "seal"


def write_sealed(path: Path | str, value: dict[str, Any]) -> None:
    """``write_json`` of ``sealed``."""
    write_json(path, sealed(value))


def sealed(value: dict[str, Any]) -> dict[str, Any]:
    """A JSON object with one more key, a sum over the others: ``read_json`` refuses what was altered since."""
    plain = json.loads(json.dumps(value, allow_nan=False))  # as it will be read: keys are text
    return plain | {SEAL: digest(plain)}


def read_json(path: Path | str, hint: str, damaged: str | None = None) -> Any:
    """Read a JSON file of ours, without its seal if it has one.

    Args:
        hint: what to do when the file is absent, as the second half of a sentence.
        damaged: the same when it is there and unusable; as ``hint`` where nothing is said.

    Raises:
        BenchError: the file is absent, cannot be read, is not JSON (of a crash it may be empty), or its seal is broken.
    """
    path, damaged = Path(path), hint if damaged is None else damaged
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        seal = content.pop(SEAL, None) if isinstance(content, dict) else None
        whole = seal is None or seal == digest(content)
    except (FileNotFoundError, NotADirectoryError):
        raise BenchError(f"{path} does not exist: {hint}") from None
    except OSError as error:
        raise BenchError(f"{path} cannot be read ({error.strerror}): check it and its permissions") from None
    except (ValueError, RecursionError) as error:
        reason = "it is empty" if path.stat().st_size == 0 else str(error)
        raise BenchError(f"{path} is not valid JSON ({reason}): {damaged}") from None
    if not whole:
        raise BenchError(f"{path} was altered since it was written: {damaged}")
    return content
