"""The models of paper B small enough to keep their numbers in a file: weights and data by formula, 20 Adagrad steps."""

import torch
from compare_backbones import CLASSES, ours
from deepctr import PeerNet
from formula import fill
from tiny_model import DENSE, DIM, INNER_DIM, SIZES

from mlet_bench.models.base import ClickModel
from mlet_bench.spec import DatasetSchema, Field

# Hyper-parameters of ours, and the same in the peer's words.
SMALL = {name: ({"hidden": [6, 5]}, {"dnn_hidden_units": (6, 5)}) for name in CLASSES}
SMALL["xdeepfm"] = ({"hidden": [6, 5], "cin": [4, 3]}, {"dnn_hidden_units": (6, 5), "cin_layer_size": (4, 3)})
SMALL["autoint"] = (
    {"hidden": [6, 5], "layers": 2, "heads": 2, "head_dim": 3},
    {"dnn_hidden_units": (6, 5), "att_layer_num": 2, "att_head_num": 2, "att_embedding_size": 3},
)
ARMS = {"single": None, "mlet": INNER_DIM}


SCHEMA = DatasetSchema("avazu", tuple(Field(f"C{i}", size) for i, size in enumerate(SIZES)), DENSE, {}, {}, {}, {}, 1)


def tiny(name: str, arm: str, dtype: torch.dtype) -> tuple:
    """Our model and its training step, d=4, k=8, every weight from a sine."""
    model, step = ours(SCHEMA, name, DIM, ARMS[arm], dtype, **SMALL[name][0])
    fill(list(model.parameters()), scale=0.3)
    return model, step


def tiny_peer(name: str, model: ClickModel) -> PeerNet:
    """The peer's net with the weights of one of these."""
    package, kind, settings = CLASSES[name]
    return PeerNet(package, kind, model, len(DENSE), **settings, **SMALL[name][1])
