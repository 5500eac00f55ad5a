"""The device a job runs on."""

import os
from importlib.util import find_spec

import torch

from mlet_bench.errors import BenchError
from mlet_bench.gpus import claim_gpu


def resolve_device(name: str, threads: int | None = None) -> torch.device:
    """``auto`` is the GPU where there is one, else the CPU; ``threads`` sets torch's CPU threads.

    Of several GPUs the process takes one that no other process of ours has, see ``mlet_bench.gpus``.

    Raises:
        BenchError: ``cuda`` was asked for and is not there, or the name is unknown.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if name not in ("auto", "cpu", "cuda"):
        raise BenchError(f"unknown device {name!r}: the devices are auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise BenchError("device 'cuda' was asked for, but torch finds no GPU: use device 'cpu' or 'auto'")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    count = torch.cuda.device_count()
    # With one GPU in sight (CUDA_VISIBLE_DEVICES, a cluster's job) the choice is made, and sharing it is up to others.
    uuids = [str(torch.cuda.get_device_properties(index).uuid) for index in range(count)] if count > 1 else []
    device = torch.device("cuda", claim_gpu(uuids) if uuids else 0)
    torch.cuda.set_device(device)
    return device


def device_label(device: torch.device) -> str:
    """The device in words, for tables: the GPU's name, or the number of CPU threads in use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} of {os.cpu_count()} threads"


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
