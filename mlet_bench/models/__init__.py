"""Recommendation models: a file each, chosen by name. The contract is ``mlet_bench.models.base.ClickModel``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlet_bench.registry import Registry

if TYPE_CHECKING:
    from mlet_bench.models.base import ClickModel

MODELS: Registry[type[ClickModel]] = Registry(
    "model", __name__, ["dlrm", "dcn", "deepfm", "nfm", "xdeepfm", "autoint", "widedeep", "pnn", "dcnv2"]
)
