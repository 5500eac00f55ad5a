"""The papers' claims, a file each: what is claimed, what these runs say of it, and the rule of the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlet_bench.registry import Registry

if TYPE_CHECKING:
    from mlet_bench.claims.claim import Claim

CLAIMS: Registry[type[Claim]] = Registry(
    "claim",
    __name__,
    {
        "C1": "c1_reduction",
        "C2": "c2_gain",
        "C3": "c3_deployed",
        "C4": "c4_rank",
        "C5": "c5_overhead",
        "C6": "c6_models",
        "C7": "c7_rare",
        "C8": "c8_hashing",
        "C9": "c9_quantized",
    },
)
