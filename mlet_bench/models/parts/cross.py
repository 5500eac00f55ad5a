"""Cross networks: each layer multiplies the input x0 with a function of the layer before."""

import torch
from torch import Tensor, nn

from mlet_bench.embeddings.draw import Draws


class VectorCross(nn.Module):
    """DCN's (Wang et al., arXiv 1708.05123): x' = x0 (x · w) + b + x.

    w has Xavier's normal law, N(0, 2/(in+1)); b starts at 0.

    Example::

        VectorCross(337, 2, Draws(0))(x)  # (B, 337) → (B, 337)
    """

    def __init__(self, width: int, layers: int, draws: Draws):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(layers, width))
        self.bias = nn.Parameter(torch.zeros(layers, width))
        draws.normal_(self.weight, (2 / (width + 1)) ** 0.5)

    def forward(self, x0: Tensor) -> Tensor:
        """x0: (B, in) → (B, in)."""
        x = x0
        for weight, bias in zip(self.weight, self.bias, strict=True):
            x = x0 * (x @ weight).unsqueeze(1) + bias + x
        return x


class MatrixCross(nn.Module):
    """DCNv2's (Wang et al., arXiv 2008.13535): x' = x0 * (W x + b) + x, element by element.

    W has Xavier's normal law, N(0, 2/(in+in)); b starts at 0.
    """

    def __init__(self, width: int, layers: int, draws: Draws):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(layers, width, width))
        self.bias = nn.Parameter(torch.zeros(layers, width))
        for weight in self.weight:
            draws.normal_(weight, width**-0.5)

    def forward(self, x0: Tensor) -> Tensor:
        """x0: (B, in) → (B, in)."""
        x = x0
        for weight, bias in zip(self.weight, self.bias, strict=True):
            x = x0 * (x @ weight.t() + bias) + x
        return x
