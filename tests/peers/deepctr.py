"""DeepCTR-Torch: 0.2.1 under the authors' files (paper B), and 0.3.0; its models with the weights of ours."""

import contextlib
import importlib
import io
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import torch
from agreements import PeerAbsent
from checkouts import commit_of, empty_module, first_on_path
from planted_rows import folder
from torch import Tensor, nn

from mlet_bench.models.base import ClickModel

OVERLAY, COMMIT = "MLET_BENCH_MLET_DEEPCTR", "03243b8"
# Where the authors' script copies its files to.
FILES = {
    **{f"models/MLET{name}.py": f"models/{name}.py" for name in ("dcn", "deepfm", "nfm", "xdeepfm", "autoint")},
    **{"utils/MLETbasemodel.py": "models/basemodel.py", "utils/MLETcore.py": "layers/core.py"},
    **{"utils/MLETinputs.py": "inputs.py"},
}
Take = Callable[[nn.Parameter], Tensor]


@dataclass(frozen=True)
class Package:
    """An installed DeepCTR-Torch, alone in a folder; with the authors' files over it where ``overlaid``."""

    name: str
    version: str
    variable: str
    overlaid: bool = False

    @property
    def module(self) -> ModuleType:
        """The package, imported; raises PeerAbsent."""
        return _imported(self)

    def path(self) -> Path:
        """The folder that holds it; raises PeerAbsent."""
        found = Path(os.environ.get(self.variable, "unset"))
        if not (found / "deepctr_torch").is_dir():
            install = f"pip install --no-deps --target FOLDER deepctr-torch=={self.version}"
            raise PeerAbsent(f"{self.variable} is not set to a folder that has deepctr_torch: {install}")
        return found.resolve()


THEIRS = Package("JamesTuna/MLET-DeepCTR", "0.2.1", "MLET_BENCH_DEEPCTR_021", overlaid=True)
DEEPCTR = Package("DeepCTR-Torch", "0.3.0", "MLET_BENCH_DEEPCTR_030")


def overlay() -> Path:
    """The checkout of the authors' files; raises PeerAbsent."""
    clone = "git clone https://github.com/JamesTuna/MLET-DeepCTR"
    if not os.environ.get(OVERLAY):
        raise PeerAbsent(f"{OVERLAY} is not set: give it the path of a checkout ({clone})")
    path = Path(os.environ[OVERLAY])
    if not commit_of(path).startswith(COMMIT):
        raise PeerAbsent(f"{OVERLAY}={path} is at {commit_of(path)[:7]}: git checkout {COMMIT}")
    return path


@cache
def _imported(package: Package) -> ModuleType:
    path = package.path()
    if package.overlaid:
        files, path = overlay(), folder() / "deepctr"
        shutil.copytree(package.path() / "deepctr_torch", path / "deepctr_torch")
        for source, target in FILES.items():
            shutil.copy(files / source, path / "deepctr_torch" / target)
    # On import it asks the network whether there is a newer one.
    quiet = {"deepctr_torch.utils": empty_module(check_version=lambda version: None)}
    with first_on_path(path, quiet), contextlib.redirect_stdout(io.StringIO()):
        module = importlib.import_module("deepctr_torch")
        for part in ("models", "inputs"):
            setattr(module, part, importlib.import_module(f"deepctr_torch.{part}"))
    if module.__version__ != package.version:
        raise PeerAbsent(f"{package.variable} has DeepCTR-Torch {module.__version__}, not {package.version}")
    return module


def make_net(package: Package, kind: str, model: ClickModel, num_dense: int, **settings) -> nn.Module:
    """One of its models in the shape of one of ours, with the initial values that it draws.

    Args:
        kind: the class; settings: its arguments that have no default of the shape wanted.
    """
    inputs, tables = package.module.inputs, model.embedding
    d = tables.embedding_dim
    inner = tables.width if hasattr(tables, "w2") else None
    columns = [inputs.SparseFeat(f"f{i}", size, embedding_dim=d) for i, size in enumerate(tables.table_sizes)]
    columns += [inputs.DenseFeat(f"x{i}", 1) for i in range(num_dense)]
    if package.overlaid:
        settings["embd_inner_dim"] = inner
    net = getattr(package.module.models, kind)(*([columns] if kind == "PNN" else [columns, columns]), **settings)
    if inner and not package.overlaid:  # as the authors' files do it
        for name, table in net.embedding_dict.items():
            pair = nn.Embedding(table.num_embeddings, inner), nn.Linear(inner, d, bias=False)
            net.embedding_dict[name] = nn.Sequential(*pair)
    return net.to(tables.weight.dtype)


class PeerNet:
    """One of its models with the weights of ours, trained as the authors' code does: Adagrad on the sum of the loss.

    The loss is taken from the logit. Theirs is taken from the probability, which rounds to 1 beyond a logit of 37, or
    of 17 in float32: such a row has no gradient there. MLET's first step by this recipe makes logits of 100, and DeepFM
    with MLET has them before it.
    """

    def __init__(self, package: Package, kind: str, model: ClickModel, num_dense: int, **settings):
        self.net = make_net(package, kind, model, num_dense, **settings)
        with torch.no_grad():
            for part, values in our_parts(model, value).items():
                for target, source in zip(their_parts(self.net, value)[part], values, strict=True):
                    target.copy_(source)
        self.optimizer = torch.optim.Adagrad(self.net.parameters(), lr=0.02)

    def predict(self, dense: Tensor, ids: Tensor) -> Tensor:
        """Click probabilities: it takes ids and dense values as one matrix. dense: (B, D), ids: (B, F) → (B,)."""
        return self.net(torch.cat([ids.to(dense.dtype), dense], dim=1)).squeeze(1)

    def backward(self, dense: Tensor, ids: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Fill the gradients of their mean loss; probabilities (B,) and the loss, both detached."""
        logits, loss = self._loss(dense, ids, label, "mean")
        return logits.detach().sigmoid(), loss

    def step(self, dense: Tensor, ids: Tensor, label: Tensor) -> Tensor:
        """One optimisation step; the mean loss before it."""
        _, loss = self._loss(dense, ids, label, "sum")
        self.optimizer.step()
        return loss / len(label)

    def _loss(self, dense: Tensor, ids: Tensor, label: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
        """Logits, and the loss, whose gradients are filled."""
        self.optimizer.zero_grad()
        self.net.out.task = "regression"  # without the sigmoid
        logits = self.predict(dense, ids)
        self.net.out.task = "binary"
        loss = nn.functional.binary_cross_entropy_with_logits(logits, label, reduction=reduction)
        loss.backward()
        return logits, loss.detach()


def value(parameter: nn.Parameter) -> Tensor:
    """A parameter's value."""
    return parameter.detach()


def gradient(parameter: nn.Parameter) -> Tensor:
    """A parameter's gradient, dense."""
    grad = parameter.grad
    assert grad is not None
    return grad.to_dense() if grad.is_sparse else grad


def our_parts(model: ClickModel, take: Take) -> dict[str, list[Tensor]]:
    """Values or gradients of our model, by part, each in the order of ``their_parts``."""
    tables = model.embedding
    parts = {"tables": list(take(tables.weight).split(tables.table_sizes))}
    if hasattr(tables, "w2"):
        parts["w2"] = list(take(tables.w2))
    if model.wide:
        first = model.first_order
        parts["linear"] = [*take(model.linear.weight).split(tables.table_sizes), take(first.weight), take(first.bias)]
    else:
        parts["linear"] = [take(model.output.bias)]
    layers = [take(parameter) for parameter in model.deep.parameters()]
    if hasattr(model, "products"):
        layers[0] = layers[0][:, _as_theirs(len(tables.table_sizes), tables.embedding_dim, layers[0].shape[1])]
    layers.append(take(model.output.weight))
    if hasattr(model, "cross"):
        layers += [*take(model.cross.weight), *take(model.cross.bias)]
    if hasattr(model, "cin"):
        layers += [take(model.cin_output.weight), *(take(p) for layer in model.cin.layers for p in layer.parameters())]
    if hasattr(model, "attention"):
        layers += [matrix for layer in model.attention for matrix in take(layer.weight)]
    return parts | {"layers": layers}


def their_parts(net: nn.Module, take: Take) -> dict[str, list[Tensor]]:
    """Values or gradients of its model in the shapes of ours: views."""
    tables = list(net.embedding_dict.values())
    rows = [table[0] if isinstance(table, nn.Sequential) else table for table in tables]
    parts = {"tables": [take(table.weight) for table in rows]}
    if isinstance(tables[0], nn.Sequential):
        parts["w2"] = [take(table[1].weight).T for table in tables]
    wide = net.linear_model
    parts["linear"] = [take(table.weight) for table in wide.embedding_dict.values()]
    parts["linear"] += [take(wide.weight).squeeze(1)] if hasattr(wide, "weight") else []
    parts["linear"] += [take(net.out.bias)]
    layers = [take(parameter) for layer in net.dnn.linears for parameter in (layer.weight, layer.bias)]
    layers.append(take(net.dnn_linear.weight).squeeze(0))
    if hasattr(net, "crossnet"):
        for found in (net.crossnet.kernels, net.crossnet.bias):  # a list of vectors, or one tensor
            each = take(found) if isinstance(found, nn.Parameter) else [take(one) for one in found]
            layers += [one.squeeze(1) if one.shape[1] == 1 else one for one in each]
    if hasattr(net, "cin"):
        layers.append(take(net.cin_linear.weight).squeeze(0))
        for layer in net.cin.conv1ds:
            layers += [take(layer.weight).squeeze(2), take(layer.bias)]
    if hasattr(net, "int_layers"):
        layers += [
            take(p) for layer in net.int_layers for p in (layer.W_Query, layer.W_key, layer.W_Value, layer.W_Res)
        ]
    return parts | {"layers": layers}


def _as_theirs(fields: int, d: int, width: int) -> list[int]:
    """PNN's inputs in its order: its pairs are (0, 1), (0, 2), ..., ours (1, 0), (2, 0), (2, 1), ..."""
    first = fields * d
    pairs = [first + j * (j - 1) // 2 + i for i in range(fields) for j in range(i + 1, fields)]
    return [*range(first), *pairs, *range(first + len(pairs), width)]
