"""Whether what is served predicts what was trained, on real batches."""

import math
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import nn

from mlet_bench.errors import DeployRefusedError, DivergedError
from mlet_bench.evaluation.deploy import logit_tolerance


@torch.no_grad()
def check_collapsed(trained: nn.Module, served: nn.Module, batches: Iterable[tuple]) -> float:
    """Compare the logits of a factorised model and of the plain one that its tables were loaded into.

    All processes call it together, each with batches of its own, equally many.

    Args:
        batches: the arguments of the models.

    Returns:
        The largest difference over all processes, at most 1e-5 of the largest logit (``logit_tolerance``).

    Raises:
        DeployRefusedError: it is larger.
        DivergedError: a logit of the trained model is not finite.
    """
    differences, magnitudes = [0.0], [0.0]
    for batch in batches:
        expected, found = (model(*batch).double().flatten() for model in (trained, served))
        differences.append((found - expected).abs().max().item())
        magnitudes.append(expected.abs().max().item())
    # max() may pass over a NaN, torch's does not
    worst = torch.tensor([differences, magnitudes]).nan_to_num(nan=math.inf).amax(1)
    if dist.is_initialized():
        dist.all_reduce(worst, dist.ReduceOp.MAX)
    difference, magnitude = worst.tolist()
    if not math.isfinite(magnitude):
        raise DivergedError("the trained model gives logits that are not finite: it diverged; lower the learning rate")
    if difference > (most := logit_tolerance(magnitude)):
        raise DeployRefusedError(
            f"the collapsed model differs from the trained one by {difference:.2e} in logit, more than {most:.2g} "
            f"(its logits go up to {magnitude:.3g}): do not serve it"
        )
    return difference
