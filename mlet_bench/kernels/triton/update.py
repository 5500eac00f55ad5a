"""The backward pass of a lookup in one launch: the gradient of W2, and the rows' step in place, of SGD or Adagrad."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from mlet_bench.kernels.triton.blocks import FUSED, Constants, block_of
from mlet_bench.kernels.triton.lookup import rows_of

BLOCK_B, BLOCK_K = 32, 16  # batch rows at a time; columns of W1 that a program owns
OPTIONS = {"num_stages": 1, **FUSED}  # loads ahead of their use would not stay in registers at d = 128


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
    return _update(weight, None, w2, ids, starts, grad, rates, 0.0, train_w2)


def lookup_adagrad(
    weight: Tensor, squares: Tensor, w2: Tensor | None, ids: Tensor, starts: Tensor, grad: Tensor, rates: Tensor,
    eps: float, train_w2: bool,
) -> Tensor | None:  # fmt: skip
    """As ``lookup_sgd``, one step of Adagrad: s += g², weight -= lr · g / (sqrt(s) + eps).

    g is the sum of grad w2ᵀ over a row's occurrences, taken as a product with the matrix that says which ids are equal:
    no shape depends on how many are.

    Args:
        squares: s, shaped as ``weight``; changed in place.
    """
    return _update(weight, squares, w2, ids, starts, grad, rates, eps, train_w2)


def _update(
    weight: Tensor, squares: Tensor | None, w2: Tensor | None, ids: Tensor, starts: Tensor, grad: Tensor,
    rates: Tensor, eps: float, train_w2: bool,
) -> Tensor | None:  # fmt: skip
    (models, batch, fields), (width, dim) = ids.shape, (weight.shape[1], grad.shape[3])
    grad_w2 = torch.empty_like(w2) if w2 is not None and train_w2 else None
    grid = (models * fields, triton.cdiv(width, BLOCK_K))
    tensors = weight, squares, w2, ids, starts, grad.contiguous(), grad_w2, rates
    update_kernel[grid](*tensors, *constants(batch, fields, width, dim, eps), **OPTIONS)
    return grad_w2


def constants(batch: int, fields: int, width: int, dim: int, eps: float = 0.0) -> Constants:
    """The constants of the kernel."""
    return batch, fields, width, dim, eps, BLOCK_B, BLOCK_K, block_of(dim)


@triton.jit
def update_kernel(
    weight, squares, w2, ids, starts, grad, grad_w2, rates,
    B: tl.constexpr, F: tl.constexpr, WIDTH: tl.constexpr, D: tl.constexpr, EPS: tl.constexpr,
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
        at, change = row[:, None] * WIDTH + k, tl.zeros((BLOCK_B, BLOCK_K), tl.float32)
        if squares is None:
            change = _slope(grad, w2, entry, known, place, k, d, WIDTH, D)
            tl.atomic_add(weight + at, -lr * change, mask=known[:, None] & owned, sem="relaxed")
        else:
            repeats = tl.zeros((BLOCK_B,), tl.int32)  # whether a row of the batch before this one has its id
            for second in range(0, B, BLOCK_B):
                other, its_row, there = rows_of(ids, starts, place, second, B, F, BLOCK_B)
                equal = known[:, None] & there & (row[:, None] == its_row)  # (BLOCK_B, BLOCK_B)
                part = _slope(grad, w2, other, there, place, k, d, WIDTH, D)
                change = tl.dot(equal.to(tl.float32), part, change, input_precision="ieee")
                repeats = tl.maximum(repeats, tl.max((equal & (other < entry[:, None])).to(tl.int32), axis=1))
            steps = (known & (repeats == 0))[:, None] & owned
            sums = tl.load(squares + at, mask=steps, other=0.0) + change * change
            tl.store(squares + at, sums, mask=steps)
            stored = tl.load(weight + at, mask=steps, other=0.0)
            tl.store(weight + at, stored - lr * (change / (tl.sqrt_rn(sums) + EPS)), mask=steps)


@triton.jit
def _slope(grad, w2, entry, known, place, k, d, WIDTH: tl.constexpr, D: tl.constexpr):
    """The gradients of columns k of the rows of a block's entries, grad w2ᵀ: (BLOCK_B, BLOCK_K), zero outside."""
    if w2 is None:
        return tl.load(grad + entry[:, None] * D + k, mask=known[:, None] & (k < WIDTH), other=0.0)
    else:
        of_w2 = (place.to(tl.int64) * WIDTH + k[:, None]) * D + d
        slope = tl.load(grad + entry[:, None] * D + d, mask=known[:, None] & (d < D), other=0.0)
        factor = tl.load(w2 + of_w2, mask=(k < WIDTH)[:, None] & (d < D), other=0.0)
        return tl.dot(slope, tl.trans(factor), input_precision="ieee")
