"""Recommendation models: a file each, chosen by name. The contract is ``mlet_bench.models.base.ClickModel``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlet_bench.registry import Registry

if TYPE_CHECKING:
    from mlet_bench.models.base import ClickModel

# Each module of this package, with its model's name as it is written in prose.
TITLES = {
    "dlrm": "DLRM",
    "dcn": "DCN",
    "deepfm": "DeepFM",
    "nfm": "NFM",
    "xdeepfm": "xDeepFM",
    "autoint": "AutoInt",
    "widedeep": "Wide & Deep",
    "pnn": "PNN",
    "dcnv2": "DCNv2",
}
MODELS: Registry[type[ClickModel]] = Registry("model", __name__, list(TITLES))


def model_title(name: str) -> str:
    """A model's name for tables and figures; a plugin's or a reader's own in capitals."""
    return TITLES.get(name, name.upper())
