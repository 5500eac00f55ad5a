"""Where a training was: everything that is needed to end in the same numbers."""

import zipfile
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_map

from mlet_bench.errors import BenchError
from mlet_bench.files import atomic, remove_leftovers
from mlet_bench.runs import CHECKPOINT


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write ``folder/checkpoint.pt``, whole or not at all.

    Raises:
        BenchError: there is no room for it.
    """
    with atomic(folder / CHECKPOINT, sum(tensor.nbytes for tensor in state["model"].values())) as partial:
        torch.save(tree_map(_own, state), partial)


def _own(value: Any) -> Any:
    """A tensor with storage of its own: torch stores the whole of the storage that a view looks into."""
    if isinstance(value, torch.Tensor) and value.untyped_storage().nbytes() != value.nbytes:
        return value.clone()
    return value


def load_checkpoint(folder: Path, run_id: str, code: str) -> dict[str, Any] | None:
    """The state stored for a run, or None where there is none, or it belongs to another run or was made by other code.

    Raises:
        BenchError: the file is damaged.
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
    if not isinstance(state, dict) or not {"run_id", "code", "model", "step", "progress"} <= state.keys():
        raise BenchError(f"{path} is no checkpoint of ours: delete it to train the run from the start")
    return state if (state["run_id"], state["code"]) == (run_id, code) else None


def drop_checkpoint(folder: Path) -> None:
    """Delete the checkpoint of a finished run, and what killed writers left of one."""
    (folder / CHECKPOINT).unlink(missing_ok=True)
    remove_leftovers(folder / CHECKPOINT)
