"""mlet-bench: a reproducibility benchmark suite for Multi-Layer Embedding Training (arXiv 2006.05623).

Importing the package is cheap; the names below import torch on first use.

Example::

    import mlet_bench

    mlet_bench.factorize(model, inner_dim=64)  # every nn.Embedding and nn.EmbeddingBag becomes W1 W2
    ...  # train
    mlet_bench.collapse(model)  # plain tables of the original shapes again
"""

from importlib import import_module

from mlet_bench.version import __version__

__all__ = [
    "MLETEmbedding",
    "MLETEmbeddingBag",
    "__version__",
    "collapse",
    "factorize",
    "parameter_groups",
    "sweep",
]

_HOMES = {
    "MLETEmbedding": "mlet_bench.embeddings.layer",
    "MLETEmbeddingBag": "mlet_bench.embeddings.layer",
    "collapse": "mlet_bench.embeddings.factorize",
    "factorize": "mlet_bench.embeddings.factorize",
    "parameter_groups": "mlet_bench.embeddings.groups",
    "sweep": "mlet_bench.own_model.grid",
}


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'mlet_bench' has no attribute {name!r}")
