"""FuxiCTR: its metrics on equal predictions, its DLRM with equal weights, and MLET in its DCN.

The package from PyPI has the layers and metrics; DCN and DLRM are in the repository's model_zoo, a checkout.
"""

import importlib.util
import logging
import os
from collections import OrderedDict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from agreements import Agreement, PeerAbsent, comparison
from metric_rows import metric_agreements
from shrunk import DIM, criteo_rows, shrink, take
from torch import Tensor, nn

from mlet_bench.data.dataset import Rows
from mlet_bench.embeddings.draw import Draws
from mlet_bench.embeddings.single import SingleTables
from mlet_bench.models.dlrm import DLRM, DLRMHyper
from mlet_bench.spec import DatasetSchema

PEER, VARIABLE = "FuxiCTR", "MLET_BENCH_FUXICTR"


def package_version() -> str:
    """Its version; raises PeerAbsent."""
    try:
        import fuxictr.pytorch.models  # noqa: F401
    except ImportError as error:
        raise PeerAbsent(f"FuxiCTR is not installed ({error}): pip install fuxictr") from None
    return version("fuxictr")


def model_class(file: str) -> type:
    """A class of its model_zoo, named as its file; raises PeerAbsent."""
    package_version()
    clone = "git clone https://github.com/reczoo/FuxiCTR"
    if not os.environ.get(VARIABLE):
        raise PeerAbsent(f"{VARIABLE} is not set: give it the path of a checkout ({clone})")
    path = Path(os.environ[VARIABLE], "model_zoo", file)
    if not path.is_file():
        raise PeerAbsent(f"{path} does not exist: {VARIABLE} should be a checkout ({clone})")
    spec = importlib.util.spec_from_file_location(f"fuxictr_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, path.stem)


def make(file: str, schema: DatasetSchema, settings: dict) -> nn.Module:
    """One of its models over the data set's columns."""
    from fuxictr.features import FeatureMap

    logging.disable(logging.INFO)
    columns = FeatureMap("criteo", ".")
    numeric = {name: {"type": "numeric", "source": ""} for name in schema.dense}
    fields = {f.name: {"type": "categorical", "source": "", "vocab_size": f.size} for f in schema.fields}
    columns.features = OrderedDict(fields | numeric)
    columns.num_fields, columns.labels, columns.default_emb_dim = len(columns.features), ["label"], DIM
    usual = {"model_root": ".", "verbose": 0, "metrics": ["AUC"], "optimizer": "adam", "loss": "binary_crossentropy"}
    return model_class(file)(columns, embedding_dim=DIM, **usual, **settings)


def predict(model: nn.Module, rows: Rows) -> Tensor:
    """Click probabilities, (N,): it takes a dict of columns."""
    names = list(model.feature_map.features)
    values = [*rows.ids.long().unbind(1), *rows.dense.unbind(1)]
    # As its data loader gives them: ids (N,), numbers (N,) for its embeddings and (N, 1) for DLRM's bottom MLP.
    wide = hasattr(model, "bottom_mlp")
    batch = {name: v[:, None] if wide and v.is_floating_point() else v for name, v in zip(names, values, strict=True)}
    return model(batch)["y_pred"].squeeze(1)


@comparison
def fuxictr_dcn() -> Agreement:
    model_class("DCN/DCN_torch/src/DCN.py")
    settings = {"dnn_hidden_units": [64, 32]}
    return shrink(
        PEER, package_version(), "DCN", lambda schema: make("DCN/DCN_torch/src/DCN.py", schema, settings), predict, None
    )


@comparison
def fuxictr_dlrm() -> list[Agreement]:
    """Its DLRM has the dense vector last and the pairs in another order: equal after a permutation of columns."""
    model_class("DLRM/src/DLRM.py")  # absent: known before any row is prepared
    settings = {"bottom_mlp_units": [256, 64], "top_mlp_units": [512, 256]}
    schema, splits, kind = criteo_rows()
    theirs = make("DLRM/src/DLRM.py", schema, settings)
    ours = DLRM(SingleTables(schema.table_sizes, DIM), len(schema.dense), DLRMHyper(), Draws(0))
    ours.embedding.reset_parameters(seed=0)
    copy_weights(ours, theirs)
    rows = take(splits["val"], slice(128))
    outputs, gradients = [], []
    for model, call in ((ours, lambda m, r: m(r.dense, r.ids).sigmoid()), (theirs, predict)):
        outputs.append(call(model, rows))
        nn.functional.binary_cross_entropy(outputs[-1], rows.label).backward()
    for mine, other in zip(
        linears(ours.bottom) + linears(ours.top)[1:], linears(theirs.bottom_mlp) + linears(theirs.top_mlp)[1:]
    ):
        gradients += [(mine.weight.grad - other.weight.grad), (mine.bias.grad - other.bias.grad)]
    for number, field in enumerate(schema.fields):
        start = sum(schema.table_sizes[:number])
        table = theirs.embedding_layer.embedding_layer.embedding_layers[field.name].weight.grad
        gradients.append(ours.embedding.weight.grad[start : start + field.size] - table)
    shape = f"{kind} Criteo rows, B=128, d={DIM}; columns of its first top layer permuted"
    differences = {
        "predictions": (outputs[0] - outputs[1]).abs().max().item(),
        "gradients": max(difference.abs().max().item() for difference in gradients),
    }
    return [
        Agreement(PEER, package_version(), f"DLRM: {what}", shape, value, 1e-6) for what, value in differences.items()
    ]


def linears(module: nn.Module) -> list[nn.Linear]:
    """Its linear layers in order."""
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]


@torch.no_grad()
def copy_weights(ours: DLRM, theirs: nn.Module) -> None:
    """Give their DLRM our weights. Their vectors are [field 1, ..., field F, dense], ours [dense, field 1, ...]."""
    vectors = len(ours.embedding.table_sizes) + 1
    for number, layer in enumerate(theirs.embedding_layer.embedding_layer.embedding_layers.values()):
        layer.weight.copy_(ours.embedding.table(number))
    pairs = linears(ours.bottom) + linears(ours.top), linears(theirs.bottom_mlp) + linears(theirs.top_mlp)
    for mine, other in zip(*pairs, strict=True):
        other.bias.copy_(mine.bias)
        if mine is not linears(ours.top)[0]:
            other.weight.copy_(mine.weight)
    place = [(vector + 1) % vectors for vector in range(vectors)]  # ours of each of theirs
    columns = []
    for a, b in zip(*np.triu_indices(vectors, 1)):
        i, j = max(place[a], place[b]), min(place[a], place[b])
        columns.append(DIM + i * (i - 1) // 2 + j)
    columns += range(DIM)  # theirs has the dense vector behind the pairs
    linears(theirs.top_mlp)[0].weight.copy_(linears(ours.top)[0].weight[:, columns])


@comparison
def fuxictr_metrics() -> list[Agreement]:
    found = package_version()
    from fuxictr.metrics import evaluate_metrics

    def theirs(label: np.ndarray, probability: np.ndarray) -> dict[str, float]:
        values = evaluate_metrics(label, probability, ["AUC", "logloss"])
        return {"auc": values["AUC"], "logloss": values["logloss"]}

    return metric_agreements(PEER, found, theirs)
