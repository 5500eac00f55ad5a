"""Compiles kernels.cpp for this machine, once, into the user's cache."""

import ctypes
import hashlib
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import torch

SOURCE = Path(__file__).with_name("kernels.cpp")
FLAGS = ("-O3", "-march=native", "-std=c++20", "-fPIC", "-fopenmp")
SWITCH = "MLET_BENCH_KERNELS"  # "off": plain torch


@cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels; None where they are switched off or there is no C++ compiler, which stderr is told."""
    if os.environ.get(SWITCH) == "off":
        return None
    try:
        loaded = ctypes.CDLL(str(_compiled()))
    except (OSError, subprocess.CalledProcessError) as error:
        said = [line for line in (getattr(error, "stderr", None) or "").splitlines() if "error" in line]
        print(
            f"note: {SOURCE.name} was not compiled ({said[0] if said else error}): plain torch is used on the CPU, the "
            f"same numbers to rounding, slower; install g++, or silence this with {SWITCH}=off",
            file=sys.stderr,
        )
        return None
    loaded.lookup.restype = ctypes.c_int64
    return loaded


def _compiled() -> Path:
    """The library's path, compiled if it is not there.

    Raises:
        OSError, CalledProcessError: no compiler, or one that fails, or no place to write.
    """
    compiler = os.environ.get("CXX", "c++")
    version = _run(compiler, "--version")
    parts = (SOURCE.read_text(), " ".join(FLAGS), version, torch.__version__, _processor())
    name = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "mlet-bench")
    path = folder / f"kernels-{name}.so"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        torch_folder = Path(torch.__file__).parent
        # Several processes may compile at once: each writes a file of its own, and the last to rename wins.
        with tempfile.TemporaryDirectory(dir=folder) as work:
            compiled, made = Path(work, "kernels.o"), Path(work, "kernels.so")
            _run(compiler, *FLAGS, f"-I{torch_folder / 'include'}", "-c", SOURCE, "-o", compiled)
            # Linked without -fopenmp: the threads are those of the OpenMP that torch brings, not of a second one.
            _run(compiler, "-shared", compiled, f"-L{torch_folder / 'lib'}", "-ltorch_cpu", "-lc10", "-o", made)
            made.replace(path)
    return path


def _run(*words: str | Path) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def _processor() -> str:
    """What the code is compiled for: a cache may be shared by machines with other processors."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return "".join(sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))}))
