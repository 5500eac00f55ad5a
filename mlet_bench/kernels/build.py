"""Compiles the kernels for this machine, once, into the user's cache; what is there is loaded if it is whole and ours.

Beside the library stands its sum. One that was cut off, altered or put there by somebody else is compiled again.
"""

import ctypes
import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

from mlet_bench.errors import BenchError
from mlet_bench.files import file_digest
from mlet_bench.private import is_safe, make_safe, private_folder

FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-std=c++20", "-fPIC", "-fopenmp")
# The files beside this one, with flags of their own: initial values are rounded after each operation, as torch does.
SOURCES = {"kernels.cpp": (), "attention.cpp": (), "draw.cpp": ("-ffp-contract=off",)}
HEADER = "vectors.h"  # that they include
SWITCH = "MLET_BENCH_KERNELS"
CHOICES = ("", "off", "triton")  # where it is not set; plain torch everywhere; on a GPU mlet_bench.kernels.triton
WORK = "build-"  # how the folders begin in which it is compiled


def switch() -> str:
    """Which kernels the environment asks for, one of ``CHOICES``.

    Raises:
        BenchError: for something else.
    """
    value = os.environ.get(SWITCH, "")
    if value not in CHOICES:
        raise BenchError(f"{SWITCH}={value!r}: it may be off (plain torch everywhere), triton (on a GPU) or unset")
    return value


@cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels; None where they are switched off or there is no C++ compiler, which stderr is told."""
    if switch() == "off":
        return None
    try:
        loaded = ctypes.CDLL(str(_compiled()))
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        said = [line for line in (getattr(error, "stderr", None) or "").splitlines() if "error" in line]
        print(
            f"note: the kernels were not compiled ({said[0] if said else error}): plain torch is used on the CPU, "
            "slower and rounded otherwise, so that a training ends in other numbers (provenance.json: kernels); "
            f"install g++, or choose plain torch with {SWITCH}=off",
            file=sys.stderr,
        )
        return None
    loaded.lookup.restype = ctypes.c_int64
    return loaded


def _compiled() -> Path:
    """The library's path, compiled if it is not there or is not what was compiled.

    Raises:
        OSError, CalledProcessError: no compiler, or one that fails, or no place to write.
        ValueError: CXX is no command.
    """
    compiler = shlex.split(os.environ.get("CXX", "")) or ["c++"]
    sources: dict[Path, tuple[str, ...]] = {
        Path(__file__).with_name(name): (*FLAGS, *flags) for name, flags in SOURCES.items()
    }
    parts = (
        *(f"{source.read_text(encoding='utf-8')}{flags}" for source, flags in sources.items()),
        Path(__file__).with_name(HEADER).read_text(encoding="utf-8"),
        f"{_run(*compiler, '--version')}{compiler[1:]}",
        torch.__version__,
        _processor(),
    )
    name = f"kernels-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}.so"
    for folder in _folders():
        if is_safe(folder) and _is_whole(folder / name):
            return folder / name
        if make_safe(folder):
            _compile(compiler, sources, folder / name)
            return folder / name
    raise OSError("no folder that this user alone can write")


def _folders() -> Iterator[Path]:
    """Where it may stand: the user's cache, or where that is missing or open to others a temporary folder."""
    cache_home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if os.path.isabs(cache_home):  # it is not where the user has no home
        yield Path(cache_home, "mlet-bench").resolve()
    yield private_folder()


def _is_whole(path: Path) -> bool:
    """Whether a library is as it was compiled, and nobody else could have put it there."""
    noted = _sum_of(path)
    try:
        return is_safe(path) and is_safe(noted) and noted.read_text(encoding="utf-8") == _sum_line(path)
    except (OSError, ValueError):
        return False


def _sum_of(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _sum_line(path: Path, name: str | None = None) -> str:
    return f"{file_digest(path)}  {name or path.name}\n"  # as sha256sum -c reads it


def _compile(compiler: list[str], sources: dict[Path, tuple[str, ...]], path: Path) -> None:
    """Compile and put library and sum in their places, unless another process has while this one waited for it."""
    torch_folder = Path(torch.__file__).parent
    with _alone(path.parent) as alone:
        if _is_whole(path):
            return
        if alone:
            for left in path.parent.glob(f"{WORK}*"):  # by a process that was killed
                shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=WORK, dir=path.parent) as work:
            objects, made = [Path(work, f"{source.stem}.o") for source in sources], Path(work, "kernels.so")
            for (source, flags), compiled in zip(sources.items(), objects):
                _run(*compiler, *flags, f"-I{torch_folder / 'include'}", "-c", source, "-o", compiled)
            # Linked without -fopenmp: the threads are those of the OpenMP that torch brings, not of a second one.
            _run(*compiler, "-shared", *objects, f"-L{torch_folder / 'lib'}", "-ltorch_cpu", "-lc10", "-o", made)
            noted = Path(work, "sum")
            noted.write_text(_sum_line(made, path.name), encoding="utf-8")
            for file, place in ((made, path), (noted, _sum_of(path))):
                file.chmod(0o600)
                file.replace(place)


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Let one process at a time compile; False where the file system has no locks, and several may."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(folder / ".lock", flags, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        alone = True
    except OSError:
        alone = False
    try:
        yield alone
    finally:
        os.close(file)


def _run(*words: str | Path) -> str:
    done = subprocess.run(words, capture_output=True, encoding="utf-8", errors="replace", check=True)
    return done.stdout


def _processor() -> str:
    """What the code is compiled for: a cache may be shared by machines with other processors."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    return "".join(sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))}))
