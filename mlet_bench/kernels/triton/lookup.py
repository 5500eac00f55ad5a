"""Embedding vectors of all fields in one launch: rows gathered, times W2 where there is one."""

import triton
import triton.language as tl
from torch import Tensor

from mlet_bench.kernels.triton.blocks import FUSED, Constants, block_of

BLOCK_B, BLOCK_K = 32, 32  # batch rows and columns of W1 multiplied at a time


def lookup(weight: Tensor, w2: Tensor | None, ids: Tensor, starts: Tensor) -> Tensor:
    """Embedding vectors of S models of equal shape.

    An id that is not in its table gives NaN, and nothing outside the table is read.

    Args:
        weight: (S · R, width), the tables one below the other; width is k with ``w2``, else d.
        w2: (S, F, k, d), or None for a single layer.
        ids: (S, B, F) int32.
        starts: (F + 1,) int64, the first row of each field in a model, and R.

    Returns:
        (S, B, F, d), contiguous.
    """
    (models, batch, fields), width = ids.shape, weight.shape[1]
    dim = width if w2 is None else w2.shape[3]
    out = weight.new_empty(models, batch, fields, dim)
    grid = (models * fields, triton.cdiv(batch, BLOCK_B))
    lookup_kernel[grid](weight, w2, ids, starts, out, *constants(batch, fields, width, dim), **FUSED)
    return out


def constants(batch: int, fields: int, width: int, dim: int) -> Constants:
    """The constants of the kernel."""
    return batch, fields, width, dim, BLOCK_B, BLOCK_K, block_of(dim)


@triton.jit
def lookup_kernel(
    weight, w2, ids, starts, out,
    B: tl.constexpr, F: tl.constexpr, WIDTH: tl.constexpr, D: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """One field of one model, BLOCK_B rows of its batch."""
    place = tl.program_id(0)  # model · F + field
    entry, row, known = rows_of(ids, starts, place, tl.program_id(1) * BLOCK_B, B, F, BLOCK_B)
    d = tl.arange(0, BLOCK_D)
    inside = d < D
    if w2 is None:
        vectors = tl.load(weight + row[:, None] * WIDTH + d, mask=known[:, None] & inside, other=0.0)
    else:
        vectors = tl.zeros((BLOCK_B, BLOCK_D), tl.float32)
        of_field = w2 + place.to(tl.int64) * WIDTH * D
        for first in range(0, WIDTH, BLOCK_K):
            k = first + tl.arange(0, BLOCK_K)
            left = tl.load(weight + row[:, None] * WIDTH + k, mask=known[:, None] & (k < WIDTH), other=0.0)
            right = tl.load(of_field + k[:, None] * D + d, mask=(k < WIDTH)[:, None] & inside, other=0.0)
            vectors = tl.dot(left, right, vectors, input_precision="ieee")
    vectors = tl.where(known[:, None], vectors, float("nan"))
    tl.store(out + entry[:, None] * D + d, vectors, mask=(entry >= 0)[:, None] & inside)


@triton.jit
def rows_of(ids, starts, place, first, B: tl.constexpr, F: tl.constexpr, BLOCK_B: tl.constexpr):
    """Of batch rows ``first`` and on: their entries in ids (-1 beyond the batch), table rows, and whether those exist.

    All in 64 bits: a table has more than 2^31 values.
    """
    model, field = (place // F).to(tl.int64), place % F
    b = first + tl.arange(0, BLOCK_B)
    entry = tl.where(b < B, (model * B + b) * F + field, -1)
    start, end, stored = tl.load(starts + field), tl.load(starts + field + 1), tl.load(starts + F)
    own = tl.load(ids + entry, mask=b < B, other=-1).to(tl.int64)
    return entry, model * stored + start + own, (own >= 0) & (own < end - start)
