"""From a budget of bytes to the largest configuration of a method that fits, counted from what it would store."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mlet_bench.budgets import budget_bytes
from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.base import FieldTables
from mlet_bench.errors import BenchError, OverBudgetError

DEFAULT = "1/2"  # of a method that has a size, where no budget is given


def fitted(
    method: str, table_sizes: Sequence[int], dim: int, options: Mapping[str, Any], budget: str
) -> dict[str, Any]:
    """The options of a method with its size: the largest that stores no more than a budget.

    Args:
        options: what else makes a module, an inner width say.
        budget: as of ``budget_bytes``; empty: half of the single layer, of a method that has a size.

    Raises:
        OverBudgetError: even the smallest stores more; it says how much.
        BenchError: a budget was given to a method whose size is its width.
    """
    made = METHODS[method]
    name = getattr(made, "size_option", "")
    if not name or name in options:
        if budget:
            raise BenchError(f"method {method!r} has no size to fit to {budget}: its width is its size; leave it out")
        return dict(options)
    most = budget_bytes(budget or DEFAULT, table_sizes, dim)
    choices = made.choices(table_sizes, dim)

    def stores(choice: Any) -> int:
        with torch.device("meta"):  # shapes without memory
            return served_bytes(made(table_sizes, dim, **options, **{name: choice}))

    place = bisect_right(choices, most, key=stores)
    if place == 0:
        raise OverBudgetError(
            f"{method} at d={dim} stores {stores(choices[0]) / 1e6:,.3g} MB at least, more than the budget of "
            f"{most / 1e6:,.3g} MB{f' ({budget})' if '/' in budget else ''}: give a larger budget or a smaller d"
        )
    return {**options, name: choices[place - 1]}


def served_bytes(tables: FieldTables) -> int:
    """Bytes of what is served of a method, in float32; of one on the meta device, whose shapes decide."""
    return sum(value.nbytes for value in tables.deployed().state_dict().values())
