"""The same weights in our model and in a peer's, and the same batches through both."""

import contextlib
import io
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from mlet_bench.data.dataset import Rows
from mlet_bench.models.base import resolve_hyper
from mlet_bench.models.build import build_model
from mlet_bench.models.dlrm import DLRM
from mlet_bench.spec import DatasetSchema, RunSpec
from mlet_bench.training.pack import Pack
from mlet_bench.training.step import TrainStep

# How the peer holds W2: nn.Linear layers that are trained, the same with requires_grad off, or constant matrices
# (its random-projection option); None for single-layer tables.
W2_KINDS = (None, "trained", "frozen", "constant")


def ours(
    schema: DatasetSchema, arm: str, dim: int, inner_dim: int | None, dtype: torch.dtype, lr: float = 0.2, **hyper
) -> tuple:
    """Our model with its initial values, and its training step. hyper: those of DLRM that differ from the authors'."""
    hyper = resolve_hyper(DLRM, hyper, "authors")
    spec = RunSpec(schema.name, schema.fingerprint, "dlrm", arm, dim, inner_dim, seed=0, hyper=hyper, lr=lr)
    model = build_model(spec, schema).to(dtype)
    step = TrainStep(Pack([model], {"embedding": model.embedding.weight.detach()}), spec)
    return model, lambda *batch: step(*(part.unsqueeze(0) for part in batch))[0]


def peer_net(script, model: DLRM, w2: str | None) -> nn.Module:
    """A peer's DLRM_Net in the shape of one of our models, with the initial values that the peer draws.

    Args:
        script: the peer's dlrm_s_pytorch.
        w2: one of W2_KINDS.
    """
    embedding = model.embedding
    extra = {}
    if w2 in ("trained", "frozen"):
        extra = {"enable_linp": True, "linp_init": "normal"}
    elif w2 == "constant":
        extra = {"enable_rp": True, "rp_mats": list(embedding.w2.detach().clone())}
    top = widths(model.top)
    with contextlib.redirect_stdout(io.StringIO()):
        return script.DLRM_Net(
            embedding.weight.shape[1],
            np.array(embedding.table_sizes),
            np.array(widths(model.bottom)),
            np.array(top),
            arch_interaction_op="dot",
            sigmoid_top=len(top) - 2,
            **extra,
        )


class PeerModel:
    """A peer's DLRM_Net with the weights of one of our models, trained as the peer's script does.

    Args:
        script: the peer's dlrm_s_pytorch.
        model: ours; its values are copied.
        w2: one of W2_KINDS.
        lr: learning rate of its torch.optim.SGD.
    """

    def __init__(self, script, model: DLRM, w2: str | None, lr: float):
        embedding = model.embedding
        self.w2 = w2
        self.net = peer_net(script, model, w2).to(embedding.weight.dtype)
        with torch.no_grad():
            for field, bag in enumerate(self.net.emb_l):
                bag.weight.copy_(embedding.field_rows(field))
            for field, layer in enumerate(self.net.emb_linp if w2 in ("trained", "frozen") else ()):
                layer.weight.copy_(embedding.w2[field].T)
                layer.weight.requires_grad_(w2 == "trained")
            for mlp, source in ((self.net.bot_l, model.bottom), (self.net.top_l, model.top)):
                for target, value in zip(mlp.parameters(), source.parameters(), strict=True):
                    target.copy_(value)
        self.optimizer = torch.optim.SGD([p for p in self.net.parameters() if p.requires_grad], lr=lr)

    def predict(self, dense: Tensor, ids: Tensor) -> Tensor:
        """Click probabilities. dense: (B, D), ids: (B, F) → (B,)."""
        offsets = torch.arange(len(ids))
        return self.net(dense, [offsets] * ids.shape[1], list(ids.long().T)).squeeze(1)

    def backward(self, dense: Tensor, ids: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Fill the gradients; probabilities (B,) and the mean loss, both detached."""
        self.optimizer.zero_grad()
        probability = self.predict(dense, ids)
        loss = torch.nn.BCELoss(reduction="mean")(probability, label)
        loss.backward()
        return probability.detach(), loss.detach()

    def step(self, dense: Tensor, ids: Tensor, label: Tensor) -> Tensor:
        """One optimisation step; the loss before it."""
        _, loss = self.backward(dense, ids, label)
        self.optimizer.step()
        return loss


def peer_tensors(net: nn.Module, w2: str | None, grad: bool = False) -> dict[str, list[Tensor]]:
    """Values (or gradients) of a peer's net by part, in our shapes: W2 is k×d here, d×k in an nn.Linear."""
    parts = {"tables": [_take(bag.weight, grad) for bag in net.emb_l]}
    parts["mlps"] = [_take(p, grad) for mlp in (net.bot_l, net.top_l) for p in mlp.parameters()]
    if w2 == "trained" or (w2 == "frozen" and not grad):
        parts["w2"] = [_take(layer.weight, grad).T for layer in net.emb_linp]
    elif w2 == "constant" and not grad:
        parts["w2"] = net.rp_mats
    return parts


def our_tensors(model: DLRM, grad: bool = False) -> dict[str, list[Tensor]]:
    """Values (or gradients) of our model by part, as ``peer_tensors``."""
    embedding = model.embedding
    parts = {"tables": list(_take(embedding.weight, grad).split(embedding.table_sizes))}
    parts["mlps"] = [_take(p, grad) for mlp in (model.bottom, model.top) for p in mlp.parameters()]
    if hasattr(embedding, "w2") and (embedding.w2.requires_grad or not grad):
        parts["w2"] = list(_take(embedding.w2, grad))
    return parts


def our_backward(model: DLRM, dense: Tensor, ids: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Fill our gradients; probabilities (B,) and the mean loss, both detached."""
    model.zero_grad()
    logits = model(dense, ids)
    loss = binary_cross_entropy_with_logits(logits, label)
    loss.backward()
    return logits.detach().sigmoid(), loss.detach()


def relu_signs(*mlps: nn.Sequential) -> list[Tensor]:
    """A list to which each forward pass adds, for every ReLU, which units it lets through; ours run plain for it."""
    signs: list[Tensor] = []
    for mlp in mlps:
        mlp.plain = True
    for layer in (layer for mlp in mlps for layer in mlp if isinstance(layer, nn.ReLU)):
        layer.register_forward_hook(lambda _module, _inputs, output: signs.append(output.detach() > 0))
    return signs


def largest(a: dict[str, list[Tensor]], b: dict[str, list[Tensor]]) -> dict[str, float]:
    """The largest absolute difference of each part. The parts and shapes must be the same."""
    assert a.keys() == b.keys(), f"{sorted(a)} against {sorted(b)}"
    return {part: max(difference(x, y) for x, y in zip(a[part], b[part], strict=True)) for part in a}


def difference(a: Tensor, b: Tensor) -> float:
    """The largest absolute difference of two tensors of one shape; NaN if there is one."""
    assert a.shape == b.shape, f"{tuple(a.shape)} against {tuple(b.shape)}"
    return (a.double() - b.double()).abs().max().item()


def batches(rows: Rows, count: int, size: int, dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """`count` batches (dense, ids, label) of consecutive rows, from the start again where they end."""
    for number in range(count):
        chosen = torch.arange(number * size, (number + 1) * size) % len(rows)
        yield rows.dense[chosen].to(dtype), rows.ids[chosen], rows.label[chosen].to(dtype)


def widths(mlp: nn.Sequential) -> list[int]:
    """Inputs of the first layer, then outputs of each."""
    layers = [layer for layer in mlp if isinstance(layer, nn.Linear)]
    return [layers[0].in_features, *(layer.out_features for layer in layers)]


def _take(parameter: nn.Parameter, grad: bool) -> Tensor:
    value = parameter.grad if grad else parameter.detach()
    return value.to_dense() if value.is_sparse else value
