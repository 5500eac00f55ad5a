"""The next batch of an epoch in one launch: its rows by the order of each model, and the place after it."""

import triton
import triton.language as tl
from torch import Tensor

from mlet_bench.kernels.triton.blocks import FUSED, Constants

OPTIONS = {"num_warps": 1, **FUSED}  # a row has some forty values


def next_batch(
    order: Tensor, order_of: Tensor | None, places: Tensor, dense: Tensor, ids: Tensor, label: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of a split for S models: (S, B, D), (S, B, F) and (S, B), contiguous. ``places`` goes on by B.

    Args:
        order: (S or fewer, N) int32, the rows of an epoch in each order.
        order_of: (S,) int64, which order each model takes; None: each its own.
        places: (B,) int64, of the batch in the order; all below N.
        dense, ids, label: (N, D) float32, (N, F) int32, (N,) float32.
    """
    models, batch = len(order) if order_of is None else len(order_of), len(places)
    out = (
        dense.new_empty(models, batch, dense.shape[1]),
        ids.new_empty(models, batch, ids.shape[1]),
        label.new_empty(models, batch),
    )
    sizes = constants(models, order.shape[1], batch, dense.shape[1], ids.shape[1])
    tensors = order, order_of, places, dense, ids, label, *out
    batch_kernel[(batch,)](*tensors, *sizes, **OPTIONS)
    return out


def constants(models: int, rows: int, batch: int, dense: int, fields: int) -> Constants:
    """The constants of the kernel."""
    return models, rows, batch, dense, fields, *(triton.next_power_of_2(max(1, size)) for size in (dense, fields))


@triton.jit
def batch_kernel(
    order, order_of, places, dense, ids, label, out_dense, out_ids, out_label,
    S: tl.constexpr, N: tl.constexpr, B: tl.constexpr, D: tl.constexpr, F: tl.constexpr,
    BLOCK_D: tl.constexpr, BLOCK_F: tl.constexpr,
):  # fmt: skip
    """One row of the batch, of all models: no other program reads its place, so that this one may change it."""
    b, d, f = tl.program_id(0), tl.arange(0, BLOCK_D), tl.arange(0, BLOCK_F)
    place = tl.load(places + b)
    for model in range(S):
        which = model if order_of is None else tl.load(order_of + model)
        row = tl.load(order + tl.cast(which, tl.int64) * N + place).to(tl.int64)
        at = model * B + b
        tl.store(out_label + at, tl.load(label + row))
        tl.store(out_dense + at * D + d, tl.load(dense + row * D + d, mask=d < D), mask=d < D)
        tl.store(out_ids + at * F + f, tl.load(ids + row * F + f, mask=f < F), mask=f < F)
    tl.debug_barrier()  # of the program's threads: all have read the place
    tl.store(places + b, place + B)
