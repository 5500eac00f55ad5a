"""Turn the embedding tables of any PyTorch model into factorised ones, and back.

A module is changed where it stands (its class and its parameters), so that whatever refers to it follows: parents,
lists, closures, hooks. What refers to the old parameters cannot follow: an optimizer, a list of weights. The old
parameters are left as ``Replaced``, which raise at the first use.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mlet_bench.embeddings.layer import FactorizedTable, MLETEmbedding, MLETEmbeddingBag, whole_number
from mlet_bench.errors import BenchError

PLAIN = (nn.Embedding, nn.EmbeddingBag)


class Replaced(nn.Parameter):
    """A parameter that its module no longer has: any use but a look at its shape or old values raises BenchError.

    An optimizer reads ``grad`` of each of its parameters, in ``zero_grad`` and in ``step``, and is stopped there.
    """

    caller: ClassVar[str]
    harmless: ClassVar = [Tensor.detach, Tensor.size, Tensor.dim, Tensor.numel]
    harmless += [getattr(Tensor, name).__get__ for name in ("data", "shape", "ndim", "dtype", "device", "layout")]

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func not in cls.harmless:
            raise BenchError(
                f"a weight is used that {cls.caller} has replaced: make optimizers, lists of weights, tied weights and "
                f"wrappers after {cls.caller}, from the model's present parameters (its old values: weight.detach())"
            )
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **kwargs or {})

    def __repr__(self) -> str:  # debuggers print it
        return f"a parameter of shape {tuple(self.shape)} that {self.caller} has replaced"


class ReplacedByFactorize(Replaced):
    caller = "factorize"


class ReplacedByCollapse(Replaced):
    caller = "collapse"


def factorize(
    model: nn.Module,
    inner_dim: int | Mapping[str, int],
    only: Sequence[str] | Callable[[str, nn.Module], bool] | None = None,
    generator: torch.Generator | None = None,
    min_rows: int = 0,
    at_most_rows: bool | None = None,
) -> nn.Module:
    """Turn ``nn.Embedding`` and ``nn.EmbeddingBag`` modules into ``MLETEmbedding`` and ``MLETEmbeddingBag``.

    In place, before training: the tables start again from the paper's initial law, their present values are dropped.
    The modules stay the same objects, so that every reference to one follows, also from outside the module tree.
    References to a table's ``weight`` do not: make the optimizer afterwards, and lists of weights, EMA copies and
    wrappers such as DistributedDataParallel. An optimizer made before raises BenchError at its next ``zero_grad`` or
    ``step``, as does any other use of an old weight.

    Args:
        inner_dim: k, for every table, also for those with fewer than k rows; or k for each table by name or pattern,
            ``{"user": 64, "item.*": 32}``, and then the tables that none of them names stay as they are. A name goes
            before a pattern, a pattern before those after it.
        only: which tables: names or patterns (``"user.*"``), or a function of name and module; None for all. Of a tied
            module one name is enough.
        generator: draws the initial values.
        min_rows: leave tables with fewer rows as they are. The default, 0, is the paper's: all tables are factorised,
            the small ones too. A table of 3 rows and d=16 then trains 64·(3 + 16) values in place of 48 with k=64;
            collapsed it is 3×16 again.
        at_most_rows: True gives a table of n rows min(k, n): no product of it has a rank above n, so no table is lost
            that a larger k would reach; the initial law and the step sizes do change with k. False gives every table
            k, as the paper does; so does None, with a warning that names the tables of fewer than k rows.

    Returns:
        ``model``.

    Warns:
        UserWarning: a table has fewer than k rows, and ``at_most_rows`` does not say what is wanted there; or a tensor
            outside the module tree shares memory with a table: it keeps the old values.

    Raises:
        BenchError: nothing matches, or not every pattern does, or a matching table cannot be factorised without
            changing what it does, or an argument makes no sense; the model is then as it was.

    Example::

        factorize(model, inner_dim=64, only=["user_table", "item_table"])
    """
    _check_model(model, "factorize")
    widths = dict(inner_dim) if isinstance(inner_dim, Mapping) else {"*": inner_dim}
    widths = {name: whole_number(width, "inner dim k", least=1) for name, width in widths.items()}
    if only is None and isinstance(inner_dim, Mapping):
        only = list(widths)
    chosen = _chosen(model, only, whole_number(min_rows, "min_rows", least=0))
    width_of = _widths(chosen, widths, at_most_rows)
    holders = _holders(model)
    for name, module in chosen.items():
        reason = _obstacle(module, holders)
        if reason:
            raise BenchError(f"embedding {name!r} cannot be factorised: {reason}; leave it out with only=")
    wrapped = [name for name, module in model.named_modules() if isinstance(module, DistributedDataParallel)]
    if wrapped:
        raise BenchError(
            f"module {wrapped[0]!r} is wrapped in DistributedDataParallel, which would not average the gradients of "
            f"new parameters: factorise the model first, then wrap it"
        )
    aliased = [name for name, module in chosen.items() if _tensors_of_memory(module.weight) > 1]
    made = [(module, _factorized(module, width_of[id(module)], generator)) for module in _distinct(chosen)]
    if aliased:
        warnings.warn(
            f"tensors outside the model share memory with the weight of {', '.join(map(repr, aliased))} (a kept "
            f"state_dict, weight.data or a view): they keep the old values and do not follow the factorised table",
            stacklevel=2,
        )
    if at_most_rows is None and (small := _of_few_rows(chosen, width_of)):
        warnings.warn(small, stacklevel=2)
    for module, new in made:
        module.weight.__class__ = ReplacedByFactorize
        _become(module, new)
    return model


def collapse(model: nn.Module) -> nn.Module:
    """Turn every factorised table into the plain torch module that gives the same vectors; in place, idempotent.

    Names, shapes and attributes are those from before ``factorize``: the state loads ``strict=True`` into the
    original architecture. The modules stay the same objects and keep their hooks. The optimizer that trained W1 and W2
    has nothing left to train: it raises BenchError at its next ``zero_grad`` or ``step``.

    Returns:
        ``model``.

    Warns:
        UserWarning: W1 of a table holds the very values that ``factorize`` drew: no optimizer has moved it, though it
            is no frozen one.

    Raises:
        BenchError: W1 or W2 has a hook, or the table more than W1 and W2, or a forward of its own, all of which would
            be lost; the model is then as it was.
    """
    _check_model(model, "collapse")
    tables = dict(_places(model, (FactorizedTable,)))
    for name, table in tables.items():
        reason = _obstacle_to_collapse(table)
        if reason:
            raise BenchError(f"table {name!r} cannot be collapsed: {reason}")
    if unmoved := [name for name, table in tables.items() if table.is_untrained]:
        warnings.warn(
            f"W1 of {', '.join(map(repr, unmoved))} is as factorize drew it: nothing has trained it. Make the "
            "optimizer after factorize, from the model's present parameters (mlet_bench.parameter_groups)",
            stacklevel=2,
        )
    made, products = [], {}
    for table in _distinct(tables):
        plain = table.collapse()
        # Tables that share both factors are one table, and go on sharing.
        plain._parameters["weight"] = products.setdefault((id(table.w1), id(table.w2)), plain.weight)
        made.append((table, plain))
    factors = [factor for table, _ in made for factor in (table.w1, table.w2)]
    for table, plain in made:
        _become(table, plain)
    kept = {id(parameter) for parameter in model.parameters()}  # a factor may serve another module, too
    for factor in factors:
        if id(factor) not in kept:
            factor.__class__ = ReplacedByCollapse
    return model


def _check_model(model: nn.Module, caller: str) -> None:
    if not isinstance(model, nn.Module):
        raise BenchError(f"{caller} got a {type(model).__name__}: it takes a torch.nn.Module")


def _distinct(places: dict[str, Any]) -> list[Any]:
    """The modules of several places, each once."""
    return list({id(module): module for module in places.values()}.values())


def _places(model: nn.Module, kinds: tuple[type, ...]) -> list[tuple[str, Any]]:
    """Every place of every such module, the same module at several places included."""
    return [(name, module) for name, module in model.named_modules(remove_duplicate=False) if isinstance(module, kinds)]


def _chosen(model: nn.Module, only, min_rows: int) -> dict[str, Any]:
    """The tables that ``only`` names, at each of their places; BenchError where it, or a pattern in it, names none."""
    places = [(name, module) for name, module in _places(model, PLAIN) if not isinstance(module, FactorizedTable)]
    if only is None or callable(only):
        unmatched = []
        fitting = [(name, module) for name, module in places if only is None or only(name, module)]
    else:
        patterns = [only] if isinstance(only, str) else list(only) if isinstance(only, Iterable) else [only]
        if not all(isinstance(pattern, str) for pattern in patterns):
            raise BenchError(f"only={only!r}: it must be names or patterns of tables, or a function of name and module")
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
    modules = {id(module) for _, module in fitting if module.num_embeddings >= min_rows}
    if not modules:
        most = max(module.num_embeddings for _, module in fitting)
        raise BenchError(f"no embedding to factorise has min_rows={min_rows} rows: the largest has {most}")
    return {name: module for name, module in places if id(module) in modules}


def _widths(chosen: dict[str, Any], widths: dict[str, int], at_most_rows: bool | None) -> dict[int, int]:
    """k of each table, by the module's id; of a tied module any of its names counts."""
    found: dict[int, int] = {}
    for fits in (str.__eq__, _fits):  # names before patterns
        for pattern, width in widths.items():
            for name, module in chosen.items():
                if fits(name, pattern):
                    found.setdefault(id(module), min(width, module.num_embeddings) if at_most_rows else width)
    if unnamed := [name for name, module in chosen.items() if id(module) not in found]:
        raise BenchError(f"inner_dim={widths} names no k for {', '.join(map(repr, unnamed))}: add it, or leave it out")
    return found


def _of_few_rows(chosen: dict[str, Any], width_of: dict[int, int]) -> str:
    """A sentence on the tables of fewer than k rows, the smallest first; empty where there is none."""
    grown = []  # (rows, what is said of the table)
    for name, module in {id(module): (name, module) for name, module in chosen.items()}.values():
        n, k, d = module.num_embeddings, width_of[id(module)], module.embedding_dim
        if n < k:
            grown.append((n, f"{name!r} ({n} rows: {n * d:,} -> {k * (n + d):,} values at k={k})"))
    if not grown:
        return ""
    told = [said for _, said in sorted(grown)]
    more = f" and {len(told) - 3} more" if len(told) > 3 else ""
    return (
        f"tables of fewer than k rows take more to train than their rank can use: {', '.join(told[:3])}{more}. "
        "min_rows= leaves small tables plain, at_most_rows=True gives them k = rows, and at_most_rows=False, the "
        "paper's way, keeps k without this warning"
    )


def _fits(name: str, pattern: str) -> bool:
    """A name that itself holds ``[`` or ``*`` fits as it stands."""
    return name == pattern or fnmatchcase(name, pattern)


def _holders(model: nn.Module) -> dict[tuple[str, int], set[int]]:
    """Which modules hold each parameter, and which parameters and buffers lie in each memory."""
    holders: dict[tuple[str, int], set[int]] = {}
    for module in model.modules():
        for tensor in [*module._parameters.values(), *module._buffers.values()]:
            if tensor is not None:
                holders.setdefault(("owners", id(tensor)), set()).add(id(module))
                holders.setdefault(("memory", _memory(tensor)), set()).add(id(tensor))
    return holders


def _memory(tensor: Tensor) -> int:
    """Where a tensor's storage begins, the same for views of one storage; 0 for none."""
    try:
        return tensor.untyped_storage().data_ptr()
    except RuntimeError:  # sparse, or not yet initialised
        return 0


def _tensors_of_memory(weight: Tensor) -> int:
    """How many tensors there are on a weight's storage, anywhere in the process; 1 where torch does not tell."""
    count = getattr(torch._C, "_storage_Use_Count", None)
    return 1 if count is None else count(weight.untyped_storage()._cdata) - 1  # without this storage object itself


def _obstacle(module: Any, holders: dict[tuple[str, int], set[int]]) -> str | None:
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
    weight, memory = module.weight, _memory(module.weight)
    if len(holders["owners", id(weight)]) > 1 or (memory and len(holders["memory", memory]) > 1):
        return (
            "its weight is shared with another module, which would keep the old one (a tied output layer can be "
            "written as F.linear(hidden, table.weight))"
        )
    if memory and weight.untyped_storage().nbytes() > weight.numel() * weight.element_size():
        return "its weight is part of a larger tensor, which would keep the old values"
    if _has_hooks(module) or "forward" in vars(module):
        return "it has hooks or a forward of its own, which would be lost"
    return None


def _obstacle_to_collapse(table: FactorizedTable) -> str | None:
    """Why a table cannot be collapsed without losing something, or None."""
    held = {**table._parameters, **table._buffers, **table._modules}
    if set(held) != {"w1", "w2"} or any(type(factor.data) is not Tensor for factor in (table.w1, table.w2)):
        return (
            "its w1 and w2 are no plain parameters or not all it holds (weight norm, pruning, sharding): undo that "
            "first, as with torch.nn.utils.prune.remove"
        )
    if _has_weight_hooks(table.w1) or _has_weight_hooks(table.w2):
        return "there is a hook on its w1 or w2, which the plain weight would not have: remove the hook first"
    if "forward" in vars(table):
        return "it has a forward of its own, written for w1 and w2: remove it first"
    return None


def _has_hooks(module: Any) -> bool:
    """Of any kind: on the module, or on its weight."""
    of_module = any(value for name, value in vars(module).items() if name.endswith("_hooks"))
    return of_module or _has_weight_hooks(module.weight)


def _has_weight_hooks(weight: Tensor) -> bool:
    return bool(weight._backward_hooks or weight._post_accumulate_grad_hooks)


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


def _become(module: nn.Module, other: nn.Module) -> None:
    """Make ``module``, where it stands, what ``other`` is; its hooks, and attributes that others gave it, stay."""
    for name in ("inner_dim", "drawn"):  # of a factorised table alone
        vars(module).pop(name, None)
    vars(module)["_parameters"] = other._parameters
    vars(module).update({name: value for name, value in vars(other).items() if not name.startswith("_")})
    module.__class__ = type(other)
