"""Parameter groups for anybody's optimizer: the rows of tables at their own learning rate, sparse ones apart."""

import math
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from mlet_bench.embeddings.layer import FactorizedTable
from mlet_bench.errors import BenchError


class ParameterGroups(list):
    """Groups as ``torch.optim`` takes them: the list itself for SGD and Adagrad, which take both kinds of gradient.

    Each group is a dict with ``params``, ``lr``, ``sparse`` (whether its gradients are sparse) and ``rows`` (whether it
    holds the rows of tables: E, or W1).
    """

    @property
    def sparse(self) -> list[dict[str, Any]]:
        """The groups with sparse gradients, for ``SparseAdam``; empty where no table has ``sparse=True``."""
        return [group for group in self if group["sparse"]]

    @property
    def dense(self) -> list[dict[str, Any]]:
        """The groups with dense gradients, for ``Adam``, ``AdamW`` and their like."""
        return [group for group in self if not group["sparse"]]


def parameter_groups(model: nn.Module, lr: float, embedding_lr: float | None = None) -> ParameterGroups:
    """The parameters of a model that are trained, in groups for an optimizer; call it after ``factorize``.

    The rows of each table, E of an ``nn.Embedding`` or ``nn.EmbeddingBag`` and W1 of a factorised one, get
    ``embedding_lr``; W2 and everything else get ``lr``. That is what the suite's arms do, so a factor that
    ``single-lr-tuned`` has chosen there means the same here.

    Args:
        lr, embedding_lr: above 0; ``embedding_lr`` left out is ``lr``.

    Raises:
        BenchError: a learning rate that is not above 0, or nothing that is trained.

    Example::

        groups = parameter_groups(model, lr=0.001, embedding_lr=0.004)
        optimizers = [torch.optim.Adam(groups.dense)]
        if groups.sparse:
            optimizers.append(torch.optim.SparseAdam(groups.sparse))
    """
    rates = {False: lr, True: lr if embedding_lr is None else embedding_lr}
    for name, value in (("lr", lr), ("embedding_lr", rates[True])):
        if not 0 < value < math.inf:
            raise BenchError(f"{name} is {value}: it must be above 0, and finite")
    kinds = {id(parameter): kind for parameter, *kind in _of_tables(model)}
    found: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            rows, sparse = kinds.get(id(parameter), (False, False))
            found.setdefault((rows, sparse), []).append(parameter)
    if not found:
        raise BenchError(f"{type(model).__name__} has no parameter that is trained")
    return ParameterGroups(
        {"params": parameters, "lr": rates[rows], "sparse": sparse, "rows": rows}
        for (rows, sparse), parameters in sorted(found.items(), reverse=True, key=lambda group: group[0])
    )


def _of_tables(model: nn.Module) -> Iterator[tuple[Tensor, bool, bool]]:
    """Each parameter of a table, whether it holds rows, and whether its gradient is sparse."""
    for module in model.modules():
        if isinstance(module, FactorizedTable):
            yield module.w1, True, module.sparse
            yield module.w2, False, module.sparse
        elif isinstance(module, nn.Embedding | nn.EmbeddingBag):
            yield module.weight, True, module.sparse
