"""Compiles the kernels for this machine, once, into the user's cache."""

import ctypes
import hashlib
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import torch

FLAGS = ("-O3", "-march=native", "-std=c++20", "-fPIC", "-fopenmp")
# The files beside this one, with flags of their own: initial values are rounded after each operation, as torch does.
SOURCES = {"kernels.cpp": (), "draw.cpp": ("-ffp-contract=off",)}
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
            f"note: the kernels were not compiled ({said[0] if said else error}): plain torch is used on the CPU, the "
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
    sources = {Path(__file__).with_name(name): (*FLAGS, *flags) for name, flags in SOURCES.items()}
    parts = (
        *(f"{source.read_text()}{flags}" for source, flags in sources.items()),
        version,
        torch.__version__,
        _processor(),
    )
    name = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "mlet-bench")
    path = folder / f"kernels-{name}.so"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        torch_folder = Path(torch.__file__).parent
        # Several processes may compile at once: each writes a file of its own, and the last to rename wins.
        with tempfile.TemporaryDirectory(dir=folder) as work:
            objects, made = [Path(work, f"{source.stem}.o") for source in sources], Path(work, "kernels.so")
            for (source, flags), compiled in zip(sources.items(), objects):
                _run(compiler, *flags, f"-I{torch_folder / 'include'}", "-c", source, "-o", compiled)
            # Linked without -fopenmp: the threads are those of the OpenMP that torch brings, not of a second one.
            _run(compiler, "-shared", *objects, f"-L{torch_folder / 'lib'}", "-ltorch_cpu", "-lc10", "-o", made)
            made.replace(path)
    return path


def _run(*words: str | Path) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def _processor() -> str:
    """What the code is compiled for: a cache may be shared by machines with other processors."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return "".join(sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))}))
