"""Validation's metrics where the scores are: a GPU sorts millions of them in milliseconds, a host in half a second.

Throughout: label (N,) float32 of 0 and 1, both there; logit (N,) float32, finite.
"""

import math

import torch
from torch import Tensor

from mlet_bench.evaluation.metrics import LEAST_LIKELIHOOD


@torch.inference_mode()
def auc(label: Tensor, logit: Tensor) -> float:
    """Area under the ROC curve, exact, of ranking by the logits; see ``metrics.auc``.

    It counts pairs in whole numbers, so it is that of the host as long as no two logits have one probability: in
    float64 they do not below a logit of 23, where a float32's step moves the sigmoid by less than its last bit.
    """
    clicks, others = logit[label == 1], logit[label == 0].sort().values
    twice = sum(torch.searchsorted(others, clicks, right=right).sum() for right in (False, True))  # ties count half
    return int(twice) / (2 * len(clicks) * len(others))


@torch.inference_mode()
def logloss(label: Tensor, logit: Tensor) -> float:
    """Mean negative log likelihood in nats, of one row at most that of ``metrics.LEAST_LIKELIHOOD``."""
    wrong = torch.where(label == 1, -logit, logit).double()
    loss = torch.nn.functional.softplus(wrong, threshold=40).clamp_(max=-math.log(LEAST_LIKELIHOOD))
    return float(loss.mean())


@torch.inference_mode()
def accuracy(label: Tensor, logit: Tensor) -> float:
    """Share of the rows that a threshold of one half gets right."""
    return float(((logit >= 0) == (label == 1)).double().mean())
