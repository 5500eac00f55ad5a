"""Swap the embedding tables of any PyTorch model for factorised ones, and back."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from mlet_bench.embeddings.layer import FactorizedTable, MLETEmbedding, MLETEmbeddingBag
from mlet_bench.errors import BenchError

PLAIN = (nn.Embedding, nn.EmbeddingBag)


def factorize(
    model: nn.Module,
    inner_dim: int,
    only: Sequence[str] | Callable[[str, nn.Module], bool] | None = None,
    generator: torch.Generator | None = None,
) -> nn.Module:
    """Replace ``nn.Embedding`` and ``nn.EmbeddingBag`` modules by ``MLETEmbedding`` and ``MLETEmbeddingBag``.

    In place, before training: the tables start anew from the paper's initial law, their present values are dropped.
    A module that stands in several places (tied) is replaced in all of them by one new module. Make afterwards what
    holds parameters: the optimizer, a list of weights to penalise.

    Args:
        inner_dim: k.
        only: which tables: names or patterns (``"user.*"``), or a function of name and module; None for all. Of a tied
            module one name is enough.
        generator: draws the initial values.

    Returns:
        ``model``, or the new module where ``model`` itself is a table.

    Raises:
        BenchError: nothing matches, or not every pattern does, or a matching table cannot be factorised without
            changing what it does; the model is then as it was.

    Example::

        factorize(model, inner_dim=64, only=["user_table", "item_table"])
    """
    chosen = _chosen(model, only)
    owners = _owners(model)
    for name, module in chosen.items():
        reason = _obstacle(module, owners)
        if reason:
            raise BenchError(f"embedding {name!r} cannot be factorised: {reason}; leave it out with only=")
    return _replace(model, chosen, lambda module: _factorized(module, inner_dim, generator))


def collapse(model: nn.Module) -> nn.Module:
    """Replace every factorised table by the plain torch module that gives the same vectors; idempotent.

    Names, shapes and attributes are those from before ``factorize``: the state loads ``strict=True`` into the
    original architecture.

    Returns:
        ``model``, or the new module where ``model`` itself is a table.
    """
    return _replace(model, dict(_places(model, (FactorizedTable,))), lambda module: module.collapse())


def _places(model: nn.Module, kinds: tuple[type, ...]) -> list[tuple[str, nn.Module]]:
    """Every place of every such module, the same module at several places included."""
    return [(name, module) for name, module in model.named_modules(remove_duplicate=False) if isinstance(module, kinds)]


def _chosen(model: nn.Module, only) -> dict[str, nn.Module]:
    """The tables that ``only`` names, at each of their places; BenchError where it, or a pattern in it, names none."""
    places = _places(model, PLAIN)
    if only is None or callable(only):
        unmatched = []
        fitting = [(name, module) for name, module in places if only is None or only(name, module)]
    else:
        patterns = [only] if isinstance(only, str) else list(only)
        unmatched = [pattern for pattern in patterns if not any(_fits(name, pattern) for name, _ in places)]
        fitting = [(name, module) for name, module in places if any(_fits(name, pattern) for pattern in patterns)]
    if unmatched or not fitting:
        found = ", ".join(repr(name) for name, _ in places) or "none"
        factorised = ", ".join(repr(name) for name, _ in _places(model, (FactorizedTable,)))
        raise BenchError(
            f"no embedding to factorise{'' if only is None else f' matches {unmatched or only!r}'}: the model's "
            f"nn.Embedding and nn.EmbeddingBag are {found}"
            + (f"; factorised already: {factorised}" if factorised else "")
        )
    modules = {id(module) for _, module in fitting}
    return {name: module for name, module in places if id(module) in modules}


def _fits(name: str, pattern: str) -> bool:
    """A name that itself holds ``[`` or ``*`` fits as it stands."""
    return name == pattern or fnmatchcase(name, pattern)


def _owners(model: nn.Module) -> dict[int, set[int]]:
    """Which modules hold each parameter."""
    owners: dict[int, set[int]] = {}
    for module in model.modules():
        for parameter in module._parameters.values():
            owners.setdefault(id(parameter), set()).add(id(module))
    return owners


def _obstacle(module: nn.Module, owners: dict[int, set[int]]) -> str | None:
    """Why a table cannot be factorised without changing what it does, or None."""
    if type(module) not in PLAIN:
        return f"it is a {type(module).__module__}.{type(module).__name__}, a subclass whose behaviour is not known"
    if set(module._parameters) != {"weight"} or module._buffers or type(module.weight.data) is not Tensor:
        return "its weight is no plain parameter or not all it holds (weight norm, pruning, quantisation)"
    if module.max_norm is not None:
        return "max_norm rescales rows of the table, which W1 and W2 do not have"
    if module.scale_grad_by_freq:
        return "scale_grad_by_freq scales the gradient of rows, which W2 does not have"
    if isinstance(module, nn.EmbeddingBag) and module.mode == "max":
        return "a bag of mode 'max' does not commute with the product"
    if not module.weight.requires_grad:
        return "it is frozen, and its values would be lost"
    if len(owners[id(module.weight)]) > 1:
        return "its weight is shared with another module, which would keep the old one"
    if _has_hooks(module) or "forward" in vars(module):
        return "it has hooks or a forward of its own, which would be lost"
    return None


def _has_hooks(module: nn.Module) -> bool:
    """Of any kind: on the module, or on its weight."""
    of_module = any(value for name, value in vars(module).items() if name.endswith("_hooks"))
    return of_module or bool(module.weight._backward_hooks or module.weight._post_accumulate_grad_hooks)


def _factorized(
    module: nn.Embedding | nn.EmbeddingBag, inner_dim: int, generator: torch.Generator | None
) -> FactorizedTable:
    settings = {
        "padding_idx": module.padding_idx,
        "sparse": module.sparse,
        "device": module.weight.device,
        "dtype": module.weight.dtype,
        "generator": generator,
    }
    if isinstance(module, nn.EmbeddingBag):
        settings |= {"mode": module.mode, "include_last_offset": module.include_last_offset}
    kind = MLETEmbeddingBag if isinstance(module, nn.EmbeddingBag) else MLETEmbedding
    return kind(module.num_embeddings, module.embedding_dim, inner_dim, **settings).train(module.training)


def _replace(model: nn.Module, chosen: dict[str, nn.Module], make: Callable[[Any], nn.Module]) -> nn.Module:
    made = {id(module): make(module) for module in {id(module): module for module in chosen.values()}.values()}
    for name, module in chosen.items():
        if name == "":
            return made[id(module)]
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, made[id(module)])
    return model
