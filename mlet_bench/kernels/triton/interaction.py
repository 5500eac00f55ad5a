"""DLRM's interaction in one launch forward and one backward: see ``mlet_bench.models.interaction``."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from mlet_bench.kernels.triton.blocks import FUSED, Constants, block_of

MOST_VECTORS = 64  # more would not stay in registers


def interact(bottom: Tensor, vectors: Tensor) -> Tensor:
    """(M, d), (M, V - 1, d) → (M, d + V(V-1)/2): bottom, then the dot products of all pairs of the V vectors."""
    (rows, dim), count = bottom.shape, vectors.shape[1] + 1
    out = bottom.new_empty(rows, dim + count * (count - 1) // 2)
    interact_kernel[(rows,)](bottom.contiguous(), vectors.contiguous(), out, *constants(count, dim), **options(count))
    return out


def interact_back(bottom: Tensor, vectors: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of ``bottom`` and ``vectors``, shaped as they and contiguous, from that of ``interact``'s result."""
    bottom, vectors, count = bottom.contiguous(), vectors.contiguous(), vectors.shape[1] + 1
    grads = torch.empty_like(bottom), torch.empty_like(vectors)
    tensors = bottom, vectors, grad.contiguous(), *grads
    interact_back_kernel[(len(bottom),)](*tensors, *constants(count, bottom.shape[1]), **options(count))
    return grads


def constants(count: int, dim: int) -> Constants:
    """The constants of both kernels: a matrix of pairs stays in registers, d is taken in parts beside it."""
    return count, dim, block_of(count), 32 if count <= 32 else 16


def options(count: int) -> dict[str, Any]:
    """What the compiler is told: loads ahead of their use (more stages) take 165 registers backward, not 48."""
    return {"num_warps": 4 if count <= 32 else 8, "num_stages": 1, **FUSED}


@triton.jit
def interact_kernel(
    bottom, vectors, out, V: tl.constexpr, D: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr
):
    """One row: the lower triangle of Z = T Tᵀ."""
    row, i = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK_V)
    out += row * (D + V * (V - 1) // 2)
    z = tl.zeros((BLOCK_V, BLOCK_V), tl.float32)
    for first in range(0, D, BLOCK_D):
        d = first + tl.arange(0, BLOCK_D)
        stacked = _stacked(bottom, vectors, row, i, d, V, D)
        z = tl.dot(stacked, tl.trans(stacked), z, input_precision="ieee")
        tl.store(out + d, tl.load(bottom + row * D + d, mask=d < D), mask=d < D)
    lower = (i[None, :] < i[:, None]) & (i[:, None] < V)
    tl.store(out + D + i[:, None] * (i[:, None] - 1) // 2 + i, z, mask=lower)


@triton.jit
def interact_back_kernel(
    bottom, vectors, grad, grad_bottom, grad_vectors,
    V: tl.constexpr, D: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """One row: G T, with G the gradients of the pairs as a symmetric matrix of zero diagonal."""
    row, i = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK_V)
    grad += row * (D + V * (V - 1) // 2)
    upper, lower = tl.minimum(i[:, None], i), tl.maximum(i[:, None], i)
    pairs = (upper < lower) & (lower < V)
    symmetric = tl.load(grad + D + lower * (lower - 1) // 2 + upper, mask=pairs, other=0.0)
    for first in range(0, D, BLOCK_D):
        d = first + tl.arange(0, BLOCK_D)
        slope = tl.dot(symmetric, _stacked(bottom, vectors, row, i, d, V, D), input_precision="ieee")
        of_bottom = (i[:, None] == 0) & (d < D)
        direct = tl.load(grad + d + i[:, None] * 0, mask=of_bottom, other=0.0)
        tl.store(grad_bottom + row * D + d + i[:, None] * 0, slope + direct, mask=of_bottom)
        of_vectors = (i[:, None] > 0) & (i[:, None] < V) & (d < D)
        tl.store(grad_vectors + (row * (V - 1) + i[:, None] - 1) * D + d, slope, mask=of_vectors)


@triton.jit
def _stacked(bottom, vectors, row, i, d, V: tl.constexpr, D: tl.constexpr):
    """T = [bottom, field 1, ..., field V - 1] of one row, columns d: (BLOCK_V, BLOCK_D), zero outside."""
    first, rest = i[:, None] == 0, (i[:, None] > 0) & (i[:, None] < V)
    top = tl.load(bottom + row * D + d + i[:, None] * 0, mask=first & (d < D), other=0.0)
    return top + tl.load(vectors + (row * (V - 1) + i[:, None] - 1) * D + d, mask=rest & (d < D), other=0.0)
