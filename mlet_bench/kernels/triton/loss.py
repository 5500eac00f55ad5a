"""Binary cross-entropy with its slope, in one launch."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from mlet_bench.kernels.triton.blocks import FUSED, Constants

MOST = 1024  # rows of a batch at a time


def cross_entropy(logits: Tensor, label: Tensor, mean: bool) -> tuple[Tensor, Tensor]:
    """Mean losses (S,), and the slope of each model's loss, mean or sum over its batch, by its logits (S, B).

    Args:
        logits, label: (S, B).
    """
    losses, slope = logits.new_empty(len(logits)), torch.empty_like(logits)
    sizes = constants(logits.shape[1], mean)
    loss_kernel[(len(logits),)](logits.contiguous(), label.contiguous(), losses, slope, *sizes, **FUSED)
    return losses, slope


def constants(batch: int, mean: bool) -> Constants:
    """The constants of the kernel."""
    return batch, mean, min(MOST, triton.next_power_of_2(batch))


@triton.jit
def loss_kernel(logits, label, losses, slope, B: tl.constexpr, MEAN: tl.constexpr, BLOCK: tl.constexpr):
    """One model's batch: max(z, 0) - y z + log(1 + e) with e = exp(-|z|), and 1 / (1 + exp(-z)) - y."""
    model, total = tl.program_id(0), tl.zeros((BLOCK,), tl.float32)
    for first in range(0, B, BLOCK):
        b = first + tl.arange(0, BLOCK)
        inside, place = b < B, model * B + b
        z, y = tl.load(logits + place, mask=inside, other=0.0), tl.load(label + place, mask=inside, other=0.0)
        e = tl.exp(-tl.abs(z))
        u = 1.0 + e
        # log(1 + e) whose relative error stays small as e does: what u rounds off, the quotient puts back.
        log1p = tl.where(u == 1.0, e, tl.log(u) * (e / tl.where(u == 1.0, 1.0, u - 1.0)))
        total += tl.where(inside, tl.maximum(z, 0.0) - y * z + log1p, 0.0)
        difference = tl.where(z < 0, e, 1.0) / u - y
        tl.store(slope + place, difference / B if MEAN else difference, mask=inside)
    tl.store(losses + model, tl.sum(total) / B)
