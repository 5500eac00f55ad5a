"""Embedding methods, one file each, behind one builder."""

from collections.abc import Sequence

import torch

from mlet_bench.embeddings.mlet import PAPER_W2_STD, MLETTables
from mlet_bench.embeddings.single import SingleTables
from mlet_bench.embeddings.tables import FieldTables
from mlet_bench.spec import Arm

__all__ = ["FieldTables", "MLETTables", "SingleTables", "build_embedding"]


def build_embedding(
    arm: Arm, table_sizes: Sequence[int], dim: int, inner_dim: int | None, generator: torch.Generator
) -> FieldTables:
    """The initialised embedding of an arm: (B, F) ids → (B, F, dim)."""
    if arm.method == "single":
        embedding = SingleTables(table_sizes, dim)
        embedding.reset_parameters(generator, arm.variance_factor(inner_dim))
        return embedding
    embedding = MLETTables(table_sizes, dim, inner_dim, train_w2=arm.train_w2)
    embedding.reset_parameters(generator, inner_dim**-0.5 if arm.unit_w2 else PAPER_W2_STD)
    return embedding
