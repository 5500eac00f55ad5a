"""The backward pass of a lookup in one launch: the gradient of W2, and the SGD step of the rows in place."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from mlet_bench.kernels.triton.blocks import FUSED, Constants, block_of
from mlet_bench.kernels.triton.lookup import rows_of

BLOCK_B, BLOCK_K = 32, 16  # batch rows at a time; columns of W1 that a program owns


def lookup_sgd(
    weight: Tensor, w2: Tensor | None, ids: Tensor, starts: Tensor, grad: Tensor, rates: Tensor, train_w2: bool
) -> Tensor | None:
    """One SGD step of the rows of ``ids`` in place, and the gradient of ``w2`` before it: (S, F, k, d), or None.

    weight -= lr · grad w2ᵀ for each occurrence of a row, repeats included: exact, as SGD is linear in the gradient. The
    order in which the occurrences are added is not fixed, nor is the last bit.

    Args:
        weight, w2, ids, starts: as of ``lookup``.
        grad: (S, B, F, d), of the vectors that ``lookup`` gave.
        rates: (S,) the learning rate lr of each model's rows.
    """
    (models, batch, fields), (width, dim) = ids.shape, (weight.shape[1], grad.shape[3])
    grad_w2 = torch.empty_like(w2) if w2 is not None and train_w2 else None
    grid = (models * fields, triton.cdiv(width, BLOCK_K))
    tensors = weight, w2, ids, starts, grad.contiguous(), grad_w2, rates
    update_kernel[grid](*tensors, *constants(batch, fields, width, dim), **FUSED)
    return grad_w2


def constants(batch: int, fields: int, width: int, dim: int) -> Constants:
    """The constants of the kernel."""
    return batch, fields, width, dim, BLOCK_B, BLOCK_K, block_of(dim)


@triton.jit
def update_kernel(
    weight, w2, ids, starts, grad, grad_w2, rates,
    B: tl.constexpr, F: tl.constexpr, WIDTH: tl.constexpr, D: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """BLOCK_K columns of one field of one model, the whole batch.

    No other program reads or writes these columns of the field's rows, so that this one may change them once it has
    read them.
    """
    place = tl.program_id(0)  # model · F + field
    k, d = tl.program_id(1) * BLOCK_K + tl.arange(0, BLOCK_K), tl.arange(0, BLOCK_D)
    owned, inside = k < WIDTH, d < D
    of_w2 = (place.to(tl.int64) * WIDTH + k[:, None]) * D + d  # (BLOCK_K, BLOCK_D)
    if grad_w2 is not None:
        total = tl.zeros((BLOCK_K, BLOCK_D), tl.float32)
        for first in range(0, B, BLOCK_B):
            entry, row, known = rows_of(ids, starts, place, first, B, F, BLOCK_B)
            rows = tl.load(weight + row * WIDTH + k[:, None], mask=known & owned[:, None], other=0.0)
            slope = tl.load(grad + entry[:, None] * D + d, mask=known[:, None] & inside, other=0.0)
            total = tl.dot(rows, slope, total, input_precision="ieee")
        tl.store(grad_w2 + of_w2, total, mask=owned[:, None] & inside)
        tl.debug_barrier()  # of the program's threads: none writes a row that another has yet to read
    lr = tl.load(rates + place // F)
    for first in range(0, B, BLOCK_B):
        entry, row, known = rows_of(ids, starts, place, first, B, F, BLOCK_B)
        if w2 is None:
            change = tl.load(grad + entry[:, None] * D + k, mask=known[:, None] & owned, other=0.0)
        else:
            slope = tl.load(grad + entry[:, None] * D + d, mask=known[:, None] & inside, other=0.0)
            factor = tl.load(w2 + of_w2, mask=owned[:, None] & inside, other=0.0)
            change = tl.dot(slope, tl.trans(factor), input_precision="ieee")  # (BLOCK_B, BLOCK_K)
        tl.atomic_add(weight + row[:, None] * WIDTH + k, -lr * change, mask=known[:, None] & owned, sem="relaxed")
