"""Where a training was: everything that is needed to end in the same numbers."""

import zipfile
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_map

from mlet_bench.errors import BenchError
from mlet_bench.files import atomic, remove_leftovers
from mlet_bench.kernels.build import SWITCH, library
from mlet_bench.runs import CHECKPOINT

CPU = torch.device("cpu")


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write ``folder/checkpoint.pt``, whole or not at all.

    Raises:
        BenchError: there is no room for it.
    """
    tensors = state["model"].values()
    path = {"kernels": _takes_kernels(next(iter(tensors)).device)}
    with atomic(folder / CHECKPOINT, sum(tensor.nbytes for tensor in tensors)) as partial:
        torch.save(tree_map(_own, state | path), partial)


def _takes_kernels(device: torch.device) -> bool | None:
    """Whether a training on a CPU has the compiled kernels; None on a GPU, where no two trainings are rounded alike."""
    return library() is not None if device.type == "cpu" else None


def _own(value: Any) -> Any:
    """A tensor with storage of its own: torch stores the whole of the storage that a view looks into.

    It is made on the host: on a GPU the tables of a pack may leave no room for a copy of one model's.
    """
    if isinstance(value, torch.Tensor) and value.untyped_storage().nbytes() != value.nbytes:
        return torch.empty_like(value, device=CPU).copy_(value)
    return value


def load_checkpoint(folder: Path, run_id: str, code: str, device: torch.device = CPU) -> dict[str, Any] | None:
    """The state stored for a run, or None where there is none, or it belongs to another run or was made by other code.

    Args:
        device: that the training goes on on.

    Raises:
        BenchError: the file is damaged, or the run began with the CPU's kernels and would go on without them, or the
            other way round: it would end in numbers that neither path has.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as parts:  # torch's own reading does not look at the sums
            if altered := parts.testzip():
                raise zipfile.BadZipFile(f"{altered} was altered")
        # weights_only: a checkpoint holds tensors and plain values, nothing that runs code when it is read.
        # mmap: tensors are read when they are copied to where they belong, and never stand in memory as a whole.
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        # torch's own message advises to switch the safe reading off: not passed on.
        reason = f"{path} is damaged or no checkpoint of ours ({type(error).__name__})"
        raise BenchError(f"{reason}: delete it to train the run from the start") from error
    if not isinstance(state, dict) or not {"run_id", "code", "model", "step", "progress", "kernels"} <= state.keys():
        raise BenchError(f"{path} is no checkpoint of ours: delete it to train the run from the start")
    if (state["run_id"], state["code"]) != (run_id, code):
        return None
    began, now = state["kernels"], _takes_kernels(device)
    if None not in (began, now) and began != now:
        how, switch = ("with the CPU's kernels", "without") if began else ("in plain torch", "with")
        again = "install g++ or unset" if began else "set"
        value = "" if began else "=off"
        raise BenchError(
            f"{path} is of a training that began {how} and would go on {switch} them, which ends in other numbers: "
            f"{again} {SWITCH}{value}, or delete it to train the run from the start"
        )
    return state


def drop_checkpoint(folder: Path) -> None:
    """Delete the checkpoint of a finished run, and what killed writers left of one."""
    (folder / CHECKPOINT).unlink(missing_ok=True)
    remove_leftovers(folder / CHECKPOINT)
