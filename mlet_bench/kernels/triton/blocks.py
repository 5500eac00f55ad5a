"""What the kernels have in common: how far their blocks reach, and what is said to the compiler outright."""

from typing import Any

import triton

Constants = tuple[Any, ...]  # plain numbers, which Triton declares as a type of its own
# The compiler's default differs between versions of Triton, and with it the last bit.
FUSED = {"enable_fp_fusion": True}


def block_of(size: int) -> int:
    """The power of two that holds ``size``; tl.dot takes no side below 16."""
    return max(16, triton.next_power_of_2(size))
