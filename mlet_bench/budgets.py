"""Budgets of bytes: how they are written, and what they come to."""

import re
from collections.abc import Sequence
from fractions import Fraction

from mlet_bench.errors import BenchError

UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9}
PATTERN = r"^([1-9][0-9]*/[1-9][0-9]*|[0-9]+(\.[0-9]+)?(kB|MB|GB))$"


def budget_bytes(budget: str, table_sizes: Sequence[int], dim: int) -> int:
    """What a budget comes to in bytes.

    Args:
        budget: ``270MB``, or ``1/16``, of the single layer's float32 tables at ``dim``.

    Raises:
        BenchError: it is neither.
    """
    found = re.match(PATTERN, budget)
    if not found:
        raise BenchError(f"budget {budget!r} is neither a size such as 270MB nor a share of the single layer as 1/16")
    if found[3]:
        return int(Fraction(budget.removesuffix(found[3])) * UNITS[found[3]])
    return int(Fraction(budget) * 4 * sum(table_sizes) * dim)
