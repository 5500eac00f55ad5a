"""From a run's spec, or from a description of what is served, to a model."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from mlet_bench.arms import unit_w2_std
from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.base import FieldTables
from mlet_bench.embeddings.budget import fitted
from mlet_bench.embeddings.draw import Draws
from mlet_bench.embeddings.formats import Format, ServedTables
from mlet_bench.embeddings.single import SingleTables
from mlet_bench.errors import BenchError
from mlet_bench.models import MODELS
from mlet_bench.models.base import ClickModel, draw_linear, make_hyper
from mlet_bench.spec import DatasetSchema, RunSpec, derive_seed


def build_model(spec: RunSpec, schema: DatasetSchema) -> ClickModel:
    """A run's model with its initial values, on the CPU.

    The model and the embedding have seeds of their own, so that arms with equal seed and d start with equal models.

    Raises:
        BenchError: the model or the precision does not exist.
    """
    model = build_without_tables(spec, schema)
    draw_tables(model, spec)
    return model


def draw_tables(model: ClickModel, spec: RunSpec) -> None:
    """Draw the initial values of a run's tables, where they are: the same on every device."""
    model.embedding.reset_parameters(derive_seed(spec.seed, "embedding"))
    if (linear := model.tables().get("linear")) is not None:
        draw_linear(linear, derive_seed(spec.seed, "linear"))


def build_without_tables(spec: RunSpec, schema: DatasetSchema) -> ClickModel:
    """``build_model`` before the values of its tables are drawn; until then they take no memory of the host.

    Raises:
        BenchError: as ``build_model``.
    """
    if spec.precision != "float32":
        raise BenchError(f"unknown precision {spec.precision!r}: only float32 is there")
    embedding = empty_embedding(spec, schema.table_sizes)
    linear = SingleTables(schema.table_sizes, 1) if MODELS[spec.model].wide else None
    return _assemble(spec.model, embedding, len(schema.dense), spec.hyper, Draws(derive_seed(spec.seed, "mlp")), linear)


def empty_embedding(spec: RunSpec, table_sizes: Sequence[int]) -> FieldTables:
    """The embedding of a run's arm, fitted to its budget, its values not yet drawn.

    Raises:
        OverBudgetError: the method cannot store as little as that.
    """
    embedding = METHODS[spec.settings.method](table_sizes, spec.dim, **embedding_options(spec, table_sizes))
    embedding.w2_std = spec.w2_std
    if spec.settings.unit_step and spec.inner_dim is not None:
        embedding.w2_std = unit_w2_std(spec.optimizer, spec.inner_dim, spec.dim)
    return embedding


def embedding_options(spec: RunSpec, table_sizes: Sequence[int]) -> dict[str, Any]:
    """The options of a run's embedding, the largest within its budget.

    Raises:
        OverBudgetError: the method cannot store as little as that.
    """
    width = {} if spec.inner_dim is None else {"inner_dim": spec.inner_dim}
    return fitted(spec.settings.method, table_sizes, spec.dim, {**width, **spec.settings.options}, spec.budget)


def build_deployed(
    model: str, table_sizes: Sequence[int], dim: int, num_dense: int, hyper: Mapping[str, Any], method: str,
    options: Mapping[str, Any],
) -> ClickModel:  # fmt: skip
    """The model that is served, its values not yet loaded.

    Args:
        method, options: the embedding that is served, ``single`` for a collapsed one.
    """
    embedding = METHODS[method](table_sizes, dim, **options)
    linear = SingleTables(table_sizes, 1) if MODELS[model].wide else None
    return _assemble(model, embedding, num_dense, hyper, Draws(), linear)


def deploy_model(model: ClickModel) -> ClickModel:
    """A copy of ``model`` with the tables that are served; the tables are copied once, not twice."""
    served = _without_tables(model)
    served.embedding = model.embedding.deployed()
    return served


def serve_model(deployed: ClickModel, form: Format) -> ClickModel:
    """A copy of a deployed model whose rows are stored in a format; the float32 rows are not copied.

    Raises:
        FormatRefused: the format is none for its rows.
    """
    served, tables = _without_tables(deployed), deployed.embedding
    served.embedding = ServedTables.of(tables, form)  # pyright: ignore[reportAttributeAccessIssue] - gives the vectors
    return served


def build_served(description: Mapping[str, Any], form: Format, tensors: Mapping[str, Tensor]) -> ClickModel:
    """The model of a file in a format.

    Args:
        description: how it goes together: ``model``, ``hyper``, ``fields`` with their sizes, ``dense`` features, and
            the ``embedding``'s method, dim and options.
        tensors: its state.
    """
    sizes, embedding = list(description["fields"].values()), description["embedding"]
    with torch.device("meta"):  # shapes without memory
        method = METHODS[embedding["method"]](sizes, embedding["dim"], **embedding["options"])
    linear = SingleTables(sizes, 1) if MODELS[description["model"]].wide else None
    served = {
        name.removeprefix("embedding."): value for name, value in tensors.items() if name.startswith("embedding.")
    }
    rows = {name: value for name, value in served.items() if not name.startswith("method.")}
    tables = ServedTables(method, form, rows)
    model = _assemble(description["model"], tables, len(description["dense"]), description["hyper"], Draws(), linear)
    model.load_state_dict({**tensors, "embedding.method.weight": tables.method.weight}, assign=True)
    return model


def _without_tables(model: ClickModel) -> ClickModel:
    """A copy of a model but for its embedding."""
    tables = model.embedding
    try:
        model.embedding = None  # pyright: ignore[reportAttributeAccessIssue] - for as long as the copy takes
        return copy.deepcopy(model)
    finally:
        model.embedding = tables


def _assemble(name: str, embedding, num_dense: int, hyper: Mapping[str, Any], draws: Draws, linear) -> ClickModel:
    model = MODELS[name]
    make = cast(Callable[..., ClickModel], model)
    return make(embedding, num_dense, make_hyper(model, hyper), draws, linear)
