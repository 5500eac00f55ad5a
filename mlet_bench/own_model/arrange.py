"""What an arm does to the tables of a model that somebody else wrote."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from mlet_bench.arms import ARMS, BASELINE, TREATED, Arm, unit_w2_std
from mlet_bench.embeddings.factorize import factorize
from mlet_bench.embeddings.layer import FactorizedTable
from mlet_bench.errors import BenchError
from mlet_bench.spec import RunSpec, derive_seed


def check_arm(arm: Arm) -> None:
    """Refuse an arm that only the suite's own models can have.

    Raises:
        BenchError: says which arms there are.
    """
    if not _possible(arm):
        able = ", ".join(other.name for other in ARMS.values() if _possible(other))
        raise BenchError(f"arm {arm.name!r} needs one of the suite's own models: arms for any model are {able}")


def arrange(model: nn.Module, spec: RunSpec, tables: Mapping[str, Any]) -> None:
    """Give a model, just built, the tables of a run's arm, in place.

    A single layer keeps the initial values that ``build`` drew; W1 and W2 are drawn from the paper's law, by the run's
    seed.

    Args:
        tables: which tables, as keyword arguments of ``factorize``: ``only``, ``min_rows``, ``at_most_rows``.
    """
    arm = spec.settings
    generator = torch.Generator().manual_seed(derive_seed(spec.seed, "embedding"))
    WAYS[arm.method](model, spec.inner_dim, generator, tables, **arm.options)
    if arm.unit_step:
        for table in _factorized(model):
            std = unit_w2_std(spec.optimizer, table.inner_dim, spec.dim)
            nn.init.normal_(table.w2, std=std, generator=generator)


def table_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters of all tables of a model, factorised or not, each once."""
    found = (module for module in model.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag))
    return list({id(each): each for module in found for each in module.parameters()}.values())


def _keep(model, inner_dim, generator, tables, *, variance_like_k: bool = False) -> None:
    if variance_like_k:
        with torch.no_grad():
            for weight in table_parameters(model):
                weight.mul_((inner_dim / 16) ** 0.5)


def _factorize(model, inner_dim, generator, tables, *, train_w2: bool = True) -> None:
    factorize(model, inner_dim, generator=generator, **tables)
    for table in _factorized(model):
        table.w2.requires_grad_(train_w2)


def _factorized(model: nn.Module) -> list[FactorizedTable]:
    return [module for module in model.modules() if isinstance(module, FactorizedTable)]


# Method → what it does to a model, with the options of its arms as keywords.
WAYS: dict[str, Callable[..., None]] = {ARMS[BASELINE].method: _keep, ARMS[TREATED].method: _factorize}


def _possible(arm: Arm) -> bool:
    way = WAYS.get(arm.method)
    if arm.lr_frequency_power:  # how often rows are read is not known here
        return False
    return way is not None and arm.options.keys() <= inspect.signature(way).parameters.keys()
