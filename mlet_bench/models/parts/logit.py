"""What becomes the logit: the linear part that most models share, and the last layer over their own features."""

import torch
from torch import Tensor, nn

from mlet_bench.embeddings.draw import Draws

LINEAR_STD = 1e-4  # of the linear part's initial values, as in DeepCTR and the authors' copy of it


class LinearPart(nn.Module):
    """b + sum of the categories' numbers + dense · w: logistic regression.

    The categories' numbers are an embedding of width 1 that the model asks for (``ClickModel.wide``); here are the
    dense features' weights, w ~ N(0, 1e-4²), and the bias, which starts at 0.

    Example::

        LinearPart(13, Draws(0))(dense, linear)  # (B, 13), (B, 26, 1) → (B,)
    """

    def __init__(self, num_dense: int, draws: Draws):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_dense))
        self.bias = nn.Parameter(torch.zeros(1))
        draws.normal_(self.weight, LINEAR_STD)

    def forward(self, dense: Tensor, linear: Tensor) -> Tensor:
        """dense: (B, D), linear: (B, F, 1) → (B,)."""
        return linear.sum((1, 2)) + dense @ self.weight + self.bias


class Output(nn.Module):
    """x · w, the last layer: w ~ U(±1/sqrt(in)), torch's law for a layer, which DeepCTR leaves as it is.

    Args:
        bias: add a number that starts at 0; a model with a linear part has it there.
    """

    def __init__(self, width: int, draws: Draws, bias: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.bias = nn.Parameter(torch.zeros(1)) if bias else None
        draws.uniform_(self.weight, width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, in) → (B,)."""
        score = x @ self.weight
        return score if self.bias is None else score + self.bias
