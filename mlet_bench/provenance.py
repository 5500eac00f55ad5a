"""Where a number comes from: the code's commit, versions, device, time and memory."""

import platform
import resource
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from mlet_bench.device import device_label
from mlet_bench.kernels import in_use
from mlet_bench.version import __version__

STATUS = Path("/proc/self/status")
PACKAGES = ("torch", "numpy", "pandas", "pyarrow", "polars", "safetensors", "triton")


def provenance(device: torch.device, started: datetime, seconds: float, rows: int | None) -> dict[str, Any]:
    """The ``provenance.json`` of a job.

    Args:
        started: UTC.
        seconds: time spent training, over all resumed parts.
        rows: rows trained on in that time; None where nobody counted them.

    Returns:
        among others ``kernels``: whether the device's kernels were used, where they fit; without them a step differs by
        rounding, and a whole training by what becomes of it.
    """
    commit, dirty = _git()
    return {
        "commit": commit,
        "dirty": dirty,
        "versions": {"python": platform.python_version(), "mlet_bench": __version__, **_versions()},
        "device": device_label(device),
        "threads": torch.get_num_threads(),
        "kernels": in_use(device),
        "deterministic": device.type == "cpu" or torch.are_deterministic_algorithms_enabled(),
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "rows_per_second": None if rows is None else round(rows / seconds, 1),
        "peak_memory_bytes": _peak_memory(device),
    }


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def _git() -> tuple[str | None, bool | None]:
    """Commit and dirty flag of the checkout the package runs from; None without one (a wheel, a ZIP) or without git."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return None, None
    try:
        return _run_git(root, "rev-parse", "HEAD"), bool(_run_git(root, "status", "--porcelain", "-uno"))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _run_git(root: Path, *words: str) -> str:
    # safe.directory: git reads a checkout of another user, as containers have them, only where it is told to.
    command = ["git", "-c", "safe.directory=*", "-C", root, *words]
    return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=True).stdout.strip()


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_resident_bytes()


def peak_resident_bytes() -> int:
    """The most memory this process has had resident. On Linux from its own map: what getrusage says there begins with
    what the process that started it had.
    """
    if STATUS.exists():
        lines = dict(line.split(":", 1) for line in STATUS.read_text(encoding="utf-8").splitlines())
        if "VmHWM" in lines:
            return 1024 * int(lines["VmHWM"].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
