"""The device a job runs on."""

import gc
import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import torch

from mlet_bench.errors import BenchError
from mlet_bench.gpus import claim_gpu, release_gpus
from mlet_bench.kernels import in_use

CGROUP, OWN_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
LOAD = Path("/proc/loadavg")


def resolve_device(name: str, threads: int | None = None) -> torch.device:
    """``auto`` is the GPU where there is one, else the CPU; ``threads`` are those of the CPU, the free cores at most.

    The process takes a GPU that no other process of ours has, see ``mlet_bench.gpus``, and waits while there is none:
    each fills the memory of its own.

    Raises:
        BenchError: ``cuda`` was asked for and is not there, or the name is unknown.
    """
    _set_threads(threads)
    if name not in ("auto", "cpu", "cuda"):
        raise BenchError(f"unknown device {name!r}: the devices are auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise BenchError("device 'cuda' was asked for, but torch finds no GPU: use device 'cpu' or 'auto'")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    uuids = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
    device = torch.device("cuda", claim_gpu(uuids))
    torch.cuda.set_device(device)
    return device


def leave(device: torch.device) -> None:
    """Give a GPU back for the next process, once nothing of this one lies on it any more: its memory, then the lock."""
    if device.type == "cuda":
        gc.collect()  # a failure may have left tensors in a cycle
        # 32 MiB a stream, which nothing public lets go; a torch without this function keeps them until the end.
        getattr(torch._C, "_cuda_clearCublasWorkspaces", lambda: None)()
        torch.cuda.empty_cache()
        release_gpus()


def be_deterministic() -> None:
    """From now on only operations that give the same bits each time; one that has no such way raises an error.

    Must come before the first product on a GPU: cuBLAS reads its setting once.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else its streams may share a workspace
    torch.use_deterministic_algorithms(True)
    # The suite reads no memory that it has not written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]


def _set_threads(threads: int | None) -> None:
    """More threads than cores would wait for each other at each step."""
    cores = free_cores()
    if threads is not None and threads > cores:
        print(f"note: {threads} threads were asked for, {cores} are used: as many cores are free here", file=sys.stderr)
    wanted = torch.get_num_threads() if threads is None else threads
    if wanted > cores or threads is not None:
        torch.set_num_threads(min(wanted, cores))


def free_cores() -> int:
    """How many cores this process may use: those of its affinity, and of its cgroup's share of time (containers)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, *(int(share) for share in _cgroup_shares())))


def _cgroup_shares() -> list[float]:
    """How many cores' time the process's cgroup and those around it may use (version 2); no limit is a huge one."""
    try:
        lines = OWN_CGROUP.read_text(encoding="utf-8").splitlines()
        own = PurePosixPath(next((line[3:] for line in lines if line.startswith("0::")), "/"))
    except OSError:
        return [sys.maxsize]
    shares: list[float] = [sys.maxsize]
    for place in (own, *own.parents):
        try:
            quota, period = (CGROUP / place.relative_to("/") / "cpu.max").read_text(encoding="utf-8").split()
            shares.append(int(quota) / int(period))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return shares


def load_average() -> str:
    """How busy the machine is, for the log of a timing: the last minute's load, and a warning where it is too much."""
    load, cores = os.getloadavg()[0], free_cores()
    busy = "; the machine is busy, other jobs take part of what is timed" if load > cores else ""
    return f"load average {load:.2f} on {cores} cores{busy}"


def others_running(looks: int = 20, seconds: float = 2.0) -> float:
    """How many other threads run on the machine at a moment, mean of several looks.

    The load average of before still counts the jobs that have just ended. Where the system does not tell (no Linux), it
    is taken all the same.
    """
    if not LOAD.exists():
        return os.getloadavg()[0]
    found = []
    for _ in range(looks):
        found.append(int(LOAD.read_text(encoding="utf-8").split()[3].partition("/")[0]) - 1)  # without this one
        time.sleep(seconds / looks)
    return sum(found) / looks


def device_label(device: torch.device) -> str:
    """The device in words, for tables: the GPU's name, or the number of CPU threads in use; and whether kernels are in
    use on the GPU, or not on the CPU: then numbers are rounded otherwise.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device) + (", Triton" if in_use(device) else "")
    plain = "" if in_use(device) else ", plain torch"
    return f"CPU, {torch.get_num_threads()} of {os.cpu_count()} threads{plain}"


def software_label(device: torch.device) -> str:
    """What a timing ran on besides the device, for tables: torch's version, on a GPU CUDA's and the clock as well."""
    if device.type == "cuda":
        clock = torch.cuda.clock_rate(device) if find_spec("pynvml") else "unknown"
        return f"torch {torch.__version__}, CUDA {torch.version.cuda}, SM clock {clock} MHz"
    return f"torch {torch.__version__}"


def synchronize(device: torch.device) -> None:
    """Wait for the device's queue: nothing to wait for on the CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
