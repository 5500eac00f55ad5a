"""AutoInt's self-attention between fields (Song et al., arXiv 1810.11921)."""

import torch
from torch import Tensor, nn

from mlet_bench.embeddings.draw import Draws

WEIGHT_STD = 0.05  # as in DeepCTR and the authors' copy of it


class FieldAttention(nn.Module):
    """Each field's vector becomes a mixture of all fields', head by head: ReLU(softmax(Q Kᵀ) V + R).

    Q, K, V and the residual R are x times a matrix each, with weights from N(0, .05²). The products Q Kᵀ are **not**
    divided by the root of the head's width: neither the paper nor the authors' code does it.

    Args:
        width: of the vectors that come in.
        heads, head_dim: heads · head_dim is the width of the vectors that go out, whatever d.

    Example::

        FieldAttention(16, heads=2, head_dim=8, draws=Draws(0))(vectors)  # (B, 21, 16) → (B, 21, 16)
    """

    def __init__(self, width: int, heads: int, head_dim: int, draws: Draws):
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.weight = nn.Parameter(torch.empty(4, width, heads * head_dim))  # of Q, K, V and R
        for weight in self.weight:
            draws.normal_(weight, WEIGHT_STD)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, F, in) → (B, F, heads · head_dim)."""
        width = self.heads * self.head_dim
        parts = x @ self.weight.transpose(0, 1).flatten(1)  # (B, F, 4 · heads · head_dim): one product for all four
        *qkv, residual = parts.split(width, dim=2)
        q, k, v = (part.unflatten(2, (self.heads, self.head_dim)).transpose(1, 2) for part in qkv)  # (B, heads, F, dim)
        mixed = torch.softmax(q @ k.transpose(2, 3), dim=3) @ v  # (B, heads, F, dim)
        return (mixed.transpose(1, 2).flatten(2) + residual).relu()
