"""Parts of a training step as Triton kernels, for a GPU: fewer launches than torch's. Taken only where asked for.

``batch.py`` a batch's rows, ``lookup.py`` embedding rows and their product with W2, ``update.py`` dW2 and the rows'
step, ``interaction.py`` DLRM's pairs and ``layers.py`` bias and ReLU of an MLP, both in both directions, ``loss.py``
cross-entropy with its slope. Beside each stands a path in plain torch that gives the same numbers to rounding;
``chosen`` says which one a step takes. Products are of float32, without TF32. Sizes and blocks are constants of a
kernel, chosen by shape and never by trying, so that a CUDA graph can hold its launch.

On a CPU the kernels run in Triton's interpreter, with TRITON_INTERPRET=1: right, and slow.
"""

import os
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from mlet_bench.errors import BenchError
from mlet_bench.kernels.build import SWITCH, switch

MOST_DIM = 128  # d; wider vectors would not stay in registers
MOST_BATCH = 1024  # of Adagrad, which compares each id of a field with all others


def wanted(tensor: Tensor) -> bool:
    """Whether what is computed of this tensor takes these kernels: ``chosen``, and it is of float32."""
    return tensor.dtype == torch.float32 and chosen(tensor.device)


def chosen(device: torch.device) -> bool:
    """Whether steps on this device take these kernels: with MLET_BENCH_KERNELS=triton, on a GPU or in the interpreter.

    Not where bits must repeat: rows that a batch repeats are added in no fixed order.

    Raises:
        BenchError: they are asked for on a GPU, and Triton is not installed.
    """
    asked = switch() == "triton" and (device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1")
    if not asked or torch.are_deterministic_algorithms_enabled():
        return False
    if not _installed():
        raise BenchError(f"{SWITCH}=triton, but Triton is not installed: pip install triton, or unset {SWITCH}")
    return True


@cache
def _installed() -> bool:
    return find_spec("triton") is not None
