"""Recommendation models, one file each, behind one builder.

A model has ``embedding`` (FieldTables), ``head(dense, vectors)`` and ``forward(dense, ids)``, both giving logits (B,).
"""

import copy
from collections.abc import Sequence

import torch
from torch import nn

from mlet_bench.embeddings import FieldTables, SingleTables, build_embedding
from mlet_bench.errors import BenchError
from mlet_bench.models.dlrm import DLRM
from mlet_bench.spec import DatasetSchema, RunSpec, derive_seed

MODELS = {"dlrm": DLRM}


def build_model(spec: RunSpec, schema: DatasetSchema) -> nn.Module:
    """A run's model with its initial values, on the CPU.

    The MLPs and the embedding draw from generators of their own, so that arms with equal seed and d start with equal
    MLPs. Values are drawn on the CPU: the same seed starts the same run on every device.

    Raises:
        BenchError: the model or the precision does not exist.
    """
    if spec.precision != "float32":
        raise BenchError(f"unknown precision {spec.precision!r}: only float32 is there")
    embedding = build_embedding(spec.settings, schema.table_sizes, spec.dim, spec.inner_dim, _rng(spec, "embedding"))
    return _assemble(spec.model, embedding, len(schema.dense), spec.bottom, spec.top, _rng(spec, "mlp"))


def build_collapsed(
    model: str, table_sizes: Sequence[int], dim: int, num_dense: int, bottom: Sequence[int], top: Sequence[int]
) -> nn.Module:
    """The n×d model of an architecture, its values not yet loaded."""
    return _assemble(model, SingleTables(table_sizes, dim), num_dense, bottom, top, torch.Generator())


def collapse_model(model: nn.Module) -> nn.Module:
    """A copy of ``model`` whose tables are collapsed to n×d; the tables are copied once, not twice."""
    tables = model.embedding
    try:
        model.embedding = None
        collapsed = copy.deepcopy(model)
    finally:
        model.embedding = tables
    collapsed.embedding = tables.collapse()
    return collapsed


def _assemble(name: str, embedding: FieldTables, num_dense: int, bottom, top, generator) -> nn.Module:
    if name not in MODELS:
        raise BenchError(f"unknown model {name!r}: the models are {', '.join(MODELS)}")
    return MODELS[name](embedding, num_dense, bottom, top, generator)


def _rng(spec: RunSpec, axis: str) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(spec.seed, axis))
