"""AutoInt's self-attention between fields (Song et al., arXiv 1810.11921)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mlet_bench import kernels
from mlet_bench.embeddings.draw import Draws

WEIGHT_STD = 0.05  # as in DeepCTR and the authors' copy of it


class FieldAttention(nn.Module):
    """Each field's vector becomes a mixture of all fields', head by head: ReLU(softmax(Q Kᵀ) V + R).

    Q, K, V and the residual R are x times a matrix each, with weights from N(0, .05²). The products Q Kᵀ are **not**
    divided by the root of the head's width: neither the paper nor the authors' code does it.

    Args:
        width: of the vectors that come in.
        heads, head_dim: heads · head_dim is the width of the vectors that go out, whatever d.

    Attributes:
        batched: run in plain torch everywhere: ``torch.vmap`` cannot see into the CPU's kernels.

    Example::

        FieldAttention(16, heads=2, head_dim=8, draws=Draws(0))(vectors)  # (B, 21, 16) → (B, 21, 16)
    """

    batched = False

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
        if not self.batched and kernels.can_attend(parts, self.head_dim):
            return _attend(parts, self.heads)
        *qkv, residual = parts.split(width, dim=2)
        q, k, v = (part.unflatten(2, (self.heads, self.head_dim)).transpose(1, 2) for part in qkv)  # (B, heads, F, dim)
        mixed = torch.softmax(q @ k.transpose(2, 3), dim=3) @ v  # (B, heads, F, dim)
        return (mixed.transpose(1, 2).flatten(2) + residual).relu()


class _Attend(torch.autograd.Function):
    """What follows the products, in the CPU's kernels."""

    @staticmethod
    def forward(ctx, parts: Tensor, heads: int) -> Tensor:
        parts = parts.contiguous()
        out, weights = kernels.attend(parts, heads)
        ctx.save_for_backward(parts, weights, out)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        parts, weights, out = ctx.saved_tensors
        return kernels.attend_back(parts, weights, out, grad), None


_attend: Callable[..., Tensor] = _Attend.apply
