"""A model over a split: logits, predicted probabilities and their metrics."""

import numpy as np
import torch
from torch import nn

from mlet_bench.data.dataset import Rows
from mlet_bench.evaluation.metrics import all_metrics
from mlet_bench.evaluation.scores import probabilities

EVALUATION_BATCH = 16_384


def predict(model: nn.Module, rows: Rows, batch_size: int = EVALUATION_BATCH) -> np.ndarray:
    """Click probabilities of N rows: (N,) float64. The model and the rows are on one device."""
    return probabilities(logits(model, rows, batch_size))


def logits(model: nn.Module, rows: Rows, batch_size: int = EVALUATION_BATCH) -> np.ndarray:
    """What the model gives for N rows before the sigmoid: (N,) float32."""
    return logits_on_device(model, rows, batch_size).cpu().numpy()


@torch.inference_mode()
def logits_on_device(model: nn.Module, rows: Rows, batch_size: int = EVALUATION_BATCH) -> torch.Tensor:
    """``logits`` where the model and the rows are: (N,) float32."""
    parts = [
        model(rows.dense[start : start + batch_size], rows.ids[start : start + batch_size])
        for start in range(0, len(rows), batch_size)
    ]
    return torch.cat(parts)


def score(model: nn.Module, rows: Rows) -> dict[str, float]:
    """Every metric of a model over a split."""
    return all_metrics(rows.label.cpu().numpy(), predict(model, rows))
