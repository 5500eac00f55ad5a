"""The seeds of one cell side by side: S models that share their storage, so that one step trains them all.

At a batch of 128 a GPU waits for launches, not for arithmetic: S products in one call cost hardly more than one.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mlet_bench.models import build_model
from mlet_bench.models.interaction import Interaction
from mlet_bench.models.mlp import MLP
from mlet_bench.spec import DatasetSchema, RunSpec

TABLES = "embedding.weight"


class Pack:
    """S models of equal shape whose parameters are views of shared storage; each stays a whole model of its own.

    Args:
        models: on one device.
        weight: (S · sum n, width), the models' table rows, one model below the other; each model's
            ``embedding.weight`` is a view of it.

    Attributes:
        trained: the parameters other than ``weight`` that are trained, each (S, ...); of a pack of one the model's
            own, without the leading axis.

    Example::

        pack = build_pack([replace(spec, seed=seed) for seed in range(5)], schema, torch.device("cuda"))
        pack.models[0](dense, ids)  # logits of the first seed
    """

    def __init__(self, models: Sequence[nn.Module], weight: Tensor):
        self.models, self.weight = list(models), weight
        first = self.models[0].embedding
        offsets = torch.arange(len(self), device=weight.device) * sum(first.table_sizes)
        self._starts = offsets.view(-1, 1, 1) + first.starts  # (S, 1, F) first row of each model's fields
        self._shape = (len(self), len(first.table_sizes), -1, weight.shape[1])
        named = [{name: p for name, p in model.named_parameters() if name != TABLES} for model in self.models]
        if len(self) == 1:
            self.trained = [p for p in named[0].values() if p.requires_grad]
            return
        stacks = {}
        for name, first_of_them in named[0].items():
            stacks[name] = torch.stack([parameters[name].detach() for parameters in named])  # (S, ...)
            for parameters, mine in zip(named, stacks[name], strict=True):
                parameters[name].data = mine
            stacks[name].requires_grad_(first_of_them.requires_grad)
        self.trained = [stack for stack in stacks.values() if stack.requires_grad]
        self._stacks = {f"model.{name}": stack for name, stack in stacks.items()}
        self._batched = torch.vmap(self._template())

    def __len__(self) -> int:
        return len(self.models)

    def row_index(self, ids: Tensor) -> Tensor:
        """Row of ``weight`` for each id. ids: (S, B, F) int → (S·F·B,) int64."""
        return (ids + self._starts).transpose(1, 2).reshape(-1)

    def rows(self, index: Tensor) -> Tensor:
        """Gather stored rows. index: (S·F·B,) → (S, F, B, width)."""
        return self.weight.index_select(0, index).view(self._shape)

    def logits(self, dense: Tensor, rows: Tensor) -> Tensor:
        """Logits of each model on its own batch. dense: (S, B, D), rows: (S, F, B, width) → (S, B)."""
        if len(self) == 1:
            # squeeze, not [0]: the gradient of an element is a tensor of zeros with the element copied in.
            return _head(self.models[0], dense.squeeze(0), rows.squeeze(0)).unsqueeze(0)
        return self._batched(self._stacks, dense, rows)

    def _template(self):
        """One model's logits as a function of its parameters, for ``vmap`` to make S of."""
        tables = self.models[0].embedding.weight
        module = _Head(copy.deepcopy(self.models[0], {id(tables): tables}))  # the tables are not copied
        for layer in module.modules():
            if isinstance(layer, MLP | Interaction):
                layer.batched = True
        return lambda parameters, dense, rows: functional_call(module, parameters, (dense, rows))


class _Head(nn.Module):
    """``_head`` as a module, whose parameters ``functional_call`` can replace."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, dense: Tensor, rows: Tensor) -> Tensor:
        return _head(self.model, dense, rows)


def _head(model: nn.Module, dense: Tensor, rows: Tensor) -> Tensor:
    """A model as a function of gathered rows. dense: (B, D), rows: (F, B, width) → logits (B,)."""
    return model.head(dense, model.embedding.project(rows))


def build_pack(specs: Sequence[RunSpec], schema: DatasetSchema, device: torch.device) -> Pack:
    """The models of runs that differ in their seed alone, with their initial values, on ``device``.

    On the host there is one model's tables at a time, on the device never more than the pack's own.

    Raises:
        ValueError: the runs differ in more than their seed.
    """
    if any(vars(spec) | {"seed": 0} != vars(specs[0]) | {"seed": 0} for spec in specs):
        raise ValueError("the runs of a pack differ in their seed alone")
    if len(specs) == 1:
        model = build_model(specs[0], schema).to(device)
        return Pack([model], model.embedding.weight.detach())
    models, weight, rows = [], None, sum(schema.table_sizes)
    for number, spec in enumerate(specs):
        model = build_model(spec, schema)
        drawn = model.embedding.weight
        if weight is None:
            weight = torch.empty(len(specs) * rows, drawn.shape[1], device=device)
        mine = weight[number * rows : (number + 1) * rows]
        drawn.data = mine.copy_(drawn.detach())
        models.append(model.to(device))
    return Pack(models, weight)
