"""mlet-bench: a reproducibility benchmark suite for Multi-Layer Embedding Training (arXiv 2006.05623).

Importing the package is cheap; the names below import torch on first use.

Example::

    from mlet_bench import MLETEmbedding

    table = MLETEmbedding(num_embeddings=10_000, embedding_dim=16, inner_dim=64)
    vectors = table(ids)  # (..., 16), trained as W1[ids] @ W2
    small = table.collapse()  # a plain nn.Embedding(10_000, 16) that gives the same vectors
"""

from mlet_bench.version import __version__

__all__ = ["MLETEmbedding", "__version__"]


def __getattr__(name: str):
    if name == "MLETEmbedding":
        from mlet_bench.embeddings.layer import MLETEmbedding

        return MLETEmbedding
    raise AttributeError(f"module 'mlet_bench' has no attribute {name!r}")
