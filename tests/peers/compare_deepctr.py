"""DeepCTR-Torch, from PyPI: its metrics on equal predictions, and MLET in its DCN and DeepFM."""

import numpy as np
import torch
from agreements import Agreement, comparison
from deepctr import DEEPCTR
from metric_rows import metric_agreements
from shrunk import DIM, shrink
from torch import Tensor, nn

from mlet_bench.data.dataset import Rows
from mlet_bench.spec import DatasetSchema

PEER = DEEPCTR.name


def make(name: str, schema: DatasetSchema) -> nn.Module:
    """One of its models over the data set's columns.

    Without its penalties: the list of what they apply to is made with the model, so it would keep the plain tables and
    never reach W1 and W2.
    """
    inputs, models = DEEPCTR.module.inputs, DEEPCTR.module.models
    fields = [inputs.SparseFeat(field.name, vocabulary_size=field.size, embedding_dim=DIM) for field in schema.fields]
    columns = fields + [inputs.DenseFeat(dense, 1) for dense in schema.dense]
    penalties = {"l2_reg_linear": 0, "l2_reg_embedding": 0}
    return getattr(models, name)(columns, columns, dnn_hidden_units=(64, 32), **penalties)


def predict(model: nn.Module, rows: Rows) -> Tensor:
    """Click probabilities, (N,): it takes ids and dense values as one float matrix."""
    return model(torch.cat([rows.ids.float(), rows.dense], dim=1)).squeeze(1)


@comparison
def deepctr_dcn() -> Agreement:
    return shrink(PEER, _version(), "DCN", lambda schema: make("DCN", schema), predict, ["embedding_dict.*"])


@comparison
def deepctr_deepfm() -> Agreement:
    return shrink(PEER, _version(), "DeepFM", lambda schema: make("DeepFM", schema), predict, ["embedding_dict.*"])


@comparison
def deepctr_metrics() -> list[Agreement]:
    """Those that its `compile` makes of the names "auc" and "binary_crossentropy" ("logloss")."""
    model_class = DEEPCTR.module.models.basemodel.BaseModel
    probe = model_class.__new__(model_class)
    nn.Module.__init__(probe)
    probe.metrics_names = []
    made = probe._get_metrics(["auc", "binary_crossentropy"])

    def theirs(label: np.ndarray, probability: np.ndarray) -> dict[str, float]:
        return {"auc": made["auc"](label, probability), "logloss": made["binary_crossentropy"](label, probability)}

    return metric_agreements(PEER, _version(), theirs)


def _version() -> str:
    return DEEPCTR.module.__version__
