"""Runs of equal shape side by side: S models that share their storage, so that one step trains them all.

At a batch of 128 a GPU waits for launches, not for arithmetic: S products in one call cost hardly more than one.
"""

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.base import FieldTables
from mlet_bench.models.base import ClickModel
from mlet_bench.models.build import build_without_tables, draw_tables, embedding_options
from mlet_bench.spec import DatasetSchema, RunSpec

# Fields of a run that may differ within a pack: they decide initial values and the embedding's learning rate, and where
# they decide the embedding's shape as well, its options do.
OWN = ("seed", "arm", "inner_dim", "embedding_lr_factor", "w2_std")


class PackedTables:
    """One embedding of each model of a pack, their stored rows one model below the other.

    Attributes:
        name: of the embedding in the model.
        weight: (S · R, width), R stored rows a model.
        first: the first model's embedding.
        parameters: the embeddings' other parameters by name, each (S, ...); as in ``Pack.trained`` of a pack of one
            without the leading axis.
    """

    def __init__(self, name: str, tables: Sequence[FieldTables], weight: Tensor, parameters: Mapping[str, Tensor]):
        self.name, self.weight, self.first, self.count = name, weight, tables[0], len(tables)
        prefix = f"{name}."
        self.parameters = {n.removeprefix(prefix): p for n, p in parameters.items() if n.startswith(prefix)}
        offsets = torch.arange(self.count, device=weight.device) * sum(self.first.stored)
        self._offsets = offsets.view(-1, 1, 1, 1)  # (S, 1, 1, 1) first row of each model

    def slots(self, ids: Tensor) -> Tensor:
        """The rows of ``weight`` that each id reads. ids: (S, B, F) int → (S, F, B, slots of an id) int64."""
        slots = self.first.slots(ids.flatten(0, 1))  # (F, S·B, slots)
        slots = slots.unflatten(1, ids.shape[:2]).transpose(0, 1)
        return slots + self._offsets if self.count > 1 else slots


class Pack:
    """S models of equal shape whose parameters are views of shared storage; each stays a whole model of its own.

    Args:
        models: on one device.
        weights: by name of the embedding, the rows of all models, one model below the other; each model's ``weight`` is
            a view of it.

    Attributes:
        tables: each embedding of the models, packed.
        trained: the parameters other than those rows that are trained, each (S, ...); of a pack of one the model's
            own, without the leading axis.
        still: beside each of ``trained``, which models do not train it, (S, 1, ...) bool; None where all do.

    Example::

        pack = build_pack([replace(spec, seed=seed) for seed in range(5)], schema, torch.device("cuda"))
        pack.models[0](dense, ids)  # logits of the first seed
    """

    def __init__(self, models: Sequence[ClickModel], weights: Mapping[str, Tensor]):
        self.models = list(models)
        rows = {f"{name}.weight" for name in weights}
        named = [{name: p for name, p in model.named_parameters() if name not in rows} for model in self.models]
        if len(self) == 1:
            self.trained = [p for p in named[0].values() if p.requires_grad]
            self.still: list[Tensor | None] = [None] * len(self.trained)
            self.tables = self._packed(weights, named[0])
            return
        layers = self.models[0].named_modules()
        weights_of_layers = {f"{name}.weight" for name, layer in layers if isinstance(layer, nn.Linear)}
        stacks, self.trained, self.still = {}, [], []
        for name in named[0]:
            of_each = [parameters[name].detach() for parameters in named]
            if name in weights_of_layers:
                # Lying in memory as their gradients do, xᵀ g, so that one call updates all parameters.
                stacks[name] = torch.stack([weight.t() for weight in of_each]).mT  # (S, out, in)
            else:
                stacks[name] = torch.stack(of_each)  # (S, ...)
            for parameters, mine in zip(named, stacks[name], strict=True):
                parameters[name].data = mine
            stays = torch.tensor([not parameters[name].requires_grad for parameters in named])
            if not stays.all():
                self.trained.append(stacks[name].requires_grad_())
                axes = (-1, *[1] * (stacks[name].ndim - 1))
                self.still.append(stays.view(axes).to(stacks[name].device) if stays.any() else None)
        self.tables = self._packed(weights, stacks)
        self._stacks = {f"model.{name}": stack for name, stack in stacks.items()}
        self._one = self._template()

    def __len__(self) -> int:
        return len(self.models)

    def logits(self, dense: Tensor, gathered: Sequence[Tensor], combined: Sequence[bool]) -> Tensor:
        """Logits of each model on its own batch.

        Args:
            dense: (S, B, D).
            gathered: of each embedding its rows (S, F, B, slots, width), or its vectors (S, B, F, d) if ``combined``.

        Returns:
            (S, B).
        """
        if len(self) == 1:
            # squeeze, not [0]: the gradient of an element is a tensor of zeros with the element copied in.
            parts = [part.squeeze(0) for part in gathered]
            return _head(self.models[0], dense.squeeze(0), parts, combined).unsqueeze(0)
        return torch.vmap(partial(self._one, combined))(self._stacks, dense, list(gathered))

    def _packed(self, weights: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> list[PackedTables]:
        return [
            PackedTables(name, [model.tables()[name] for model in self.models], weight, parameters)
            for name, weight in weights.items()
        ]

    def _template(self):
        """One model's logits as a function of ``combined`` and its parameters, for ``vmap`` to make S of."""
        tables = [table.weight for table in self.models[0].tables().values()]
        module = _Head(copy.deepcopy(self.models[0], {id(table): table for table in tables}))  # tables are not copied
        for layer in module.modules():
            if "batched" in dir(type(layer)):  # it has a way of its own to run under vmap
                vars(layer)["batched"] = True
        return lambda combined, parameters, *batch: functional_call(module, parameters, (*batch, combined))


class _Head(nn.Module):
    """``_head`` as a module, whose parameters ``functional_call`` can replace."""

    def __init__(self, model: ClickModel):
        super().__init__()
        self.model = model

    def forward(self, dense: Tensor, gathered: Sequence[Tensor], combined: Sequence[bool]) -> Tensor:
        return _head(self.model, dense, gathered, combined)


def _head(model: ClickModel, dense: Tensor, gathered: Sequence[Tensor], combined: Sequence[bool]) -> Tensor:
    """A model as a function of gathered rows, or of vectors. dense: (B, D) → logits (B,)."""
    tables = model.tables().values()
    vectors = [
        part if ready else table.combine(part) for table, part, ready in zip(tables, gathered, combined, strict=True)
    ]
    return model.head(dense, *vectors)


def in_common(spec: RunSpec, schema: DatasetSchema) -> dict[str, Any]:
    """What the runs of a pack have in common, by name: equal shapes, and equal settings but for ``OWN``.

    So arms that differ in their learning rate, their initial values, or in whether W2 is trained go together.
    """
    method = METHODS[spec.settings.method]
    initial = vars(method).get("initial_options", ())
    options = embedding_options(spec, schema.table_sizes).items()
    shape = {name: value for name, value in options if name not in initial}
    settings = {name: value for name, value in vars(spec).items() if name not in OWN}
    scale = spec.settings.lr_frequency_power
    return settings | {"method": spec.settings.method, "options": shape, "lr_frequency_power": scale}


def build_pack(specs: Sequence[RunSpec], schema: DatasetSchema, device: torch.device) -> Pack:
    """The models of runs that have everything ``in_common``, with their initial values, on ``device``.

    Tables are drawn where they are trained: the host never holds one, and the device never more than the pack's own.

    Raises:
        ValueError: the runs differ in more than a pack allows.
    """
    shared = in_common(specs[0], schema)
    for spec in specs[1:]:
        other = in_common(spec, schema)
        if differing := [name for name in shared if other[name] != shared[name]]:
            raise ValueError(f"runs of a pack have equal shapes and settings, these differ in {', '.join(differing)}")
    models, weights = [], {}
    for number, spec in enumerate(specs):
        model = build_without_tables(spec, schema)
        for name, table in model.tables().items():
            rows, width = table.weight.shape
            if name not in weights:
                weights[name] = torch.empty(len(specs) * rows, width, device=device)
            table.weight.data = weights[name][number * rows : (number + 1) * rows]
        draw_tables(model.to(device), spec)
        models.append(model)
    return Pack(models, weights)
