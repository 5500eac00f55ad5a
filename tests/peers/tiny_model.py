"""A model small enough to keep its numbers in a file: weights and data by formula, 20 SGD steps."""

from collections.abc import Callable

import torch
from formula import batch, fill
from paired_models import our_tensors, ours
from torch import Tensor

from mlet_bench.models.dlrm import DLRM
from mlet_bench.spec import DatasetSchema, Field

SIZES = (5, 7, 3)
DENSE = ("I1", "I2", "I3", "I4")
DIM, INNER_DIM, BATCH, STEPS, LR = 4, 8, 8, 20, 0.2


def tiny(arm: str, dtype: torch.dtype) -> tuple[DLRM, Callable[..., Tensor]]:
    """Our model and its training step, d=4, k=8, every weight from a sine."""
    fields = tuple(Field(f"C{number}", size) for number, size in enumerate(SIZES))
    schema = DatasetSchema("criteo-kaggle", fields, DENSE, {}, {}, {}, {}, 1)
    inner_dim = None if arm == "single" else INNER_DIM
    model, step = ours(schema, arm, DIM, inner_dim, dtype, lr=LR, bottom=(6,), top=(8,))
    fill([tensor for part in our_tensors(model).values() for tensor in part], scale=0.5)
    return model, step


def numbers(
    predict: Callable[..., Tensor],
    step: Callable[..., Tensor],
    tensors: Callable[[], dict[str, list[Tensor]]],
    dtype: torch.dtype = torch.float64,
) -> dict:
    """What a fixture holds of a model: probabilities of 8 rows before and after training, each step's loss, and the sum
    of every weight tensor after it.

    Args:
        predict: (dense, ids) → (B,); step: (dense, ids, label) → loss; tensors: weights by part.
    """
    batches = [batch(number, BATCH, len(DENSE), SIZES) for number in range(STEPS)]
    batches = [(dense.to(dtype), ids, label.to(dtype)) for dense, ids, label in batches]
    before = predict(*batches[0][:2]).tolist()
    losses = [float(step(*one)) for one in batches]
    after = predict(*batches[0][:2]).tolist()
    sums = {part: [tensor.sum().item() for tensor in values] for part, values in tensors().items()}
    return {"before": before, "losses": losses, "after": after, "weight_sums": sums}
