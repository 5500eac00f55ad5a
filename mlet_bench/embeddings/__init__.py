"""Embedding methods, a file each: an arm names the method, and its module has that name (``mlet_hash``: mlet-hash).

So a method is added by its file and the line of its arm in ``mlet_bench.arms``. The contract is
``mlet_bench.embeddings.base.FieldTables``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlet_bench.arms import ARMS
from mlet_bench.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlet_bench.embeddings.base import FieldTables

METHODS: Registry[Callable[..., FieldTables]] = Registry(
    "embedding method", __name__, {arm.method: arm.method.replace("-", "_") for arm in ARMS.values()}
)
