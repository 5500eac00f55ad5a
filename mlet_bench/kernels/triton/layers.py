"""What stands between the products of an MLP: bias and ReLU in one launch, and their backward pass in one."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from mlet_bench.kernels.triton.blocks import FUSED, Constants

MOST, BLOCK_B, BLOCK_N = 1024, 64, 32  # values at a time forward; rows and columns at a time backward


def bias_relu_(x: Tensor, bias: Tensor) -> Tensor:
    """The positive part of x + bias, in place. x: (S, B, N) contiguous, bias: (S, N)."""
    (models, batch, width) = x.shape
    grid = (models, triton.cdiv(batch * width, MOST))
    bias_relu_kernel[grid](x, bias.contiguous(), *bias_constants(batch, width), **FUSED)
    return x


def bias_relu_back(grad: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of x, (S, B, N), and of bias, (S, N), from that of ``bias_relu_``'s result ``out``, (S, B, N)."""
    (models, batch, width), of_x = out.shape, torch.empty_like(out)
    of_bias = out.new_empty(models, width)
    grid = (models, triton.cdiv(width, BLOCK_N))
    bias_relu_back_kernel[grid](grad.contiguous(), out, of_x, of_bias, *back_constants(batch, width), **FUSED)
    return of_x, of_bias


def bias_constants(batch: int, width: int) -> Constants:
    """The constants of the kernel forward."""
    return batch, width, MOST


def back_constants(batch: int, width: int) -> Constants:
    """The constants of the kernel backward."""
    return batch, width, BLOCK_B, BLOCK_N


@triton.jit
def bias_relu_kernel(x, bias, B: tl.constexpr, N: tl.constexpr, BLOCK: tl.constexpr):
    """BLOCK values of one model."""
    model, place = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside, x = place < B * N, x + model * B * N
    value = tl.load(x + place, mask=inside) + tl.load(bias + model * N + place % N, mask=inside)
    tl.store(x + place, tl.where(value < 0, 0.0, value), mask=inside)  # NaN stays, as with torch


@triton.jit
def bias_relu_back_kernel(
    grad, out, of_x, of_bias, B: tl.constexpr, N: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_N: tl.constexpr
):
    """BLOCK_N columns of one model, the whole batch."""
    model, n = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    total = tl.zeros((BLOCK_N,), tl.float32)
    for first in range(0, B, BLOCK_B):
        b = first + tl.arange(0, BLOCK_B)
        inside, place = (b < B)[:, None] & (n < N), (model * B + b[:, None]) * N + n
        stopped = tl.load(out + place, mask=inside, other=0.0) <= 0
        slope = tl.where(stopped, 0.0, tl.load(grad + place, mask=inside, other=0.0))
        tl.store(of_x + place, slope, mask=inside)
        total += tl.sum(slope, axis=0)
    tl.store(of_bias + model * N + n, total, mask=n < N)
