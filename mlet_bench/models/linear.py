"""A linear layer that multiplies with oneDNN on the CPU.

torch multiplies float32 matrices with MKL, which leaves AVX-512 unused on processors that are not Intel's: at this
model's sizes oneDNN is about twice as fast there, and equal on Intel's. torch ships oneDNN but gives float32 to it
only through the operator that ``torch.compile`` emits; where a build lacks it, and for small layers, torch's own
product is taken.
"""

import torch
from torch import Tensor, nn

# Below this many weights a call of oneDNN costs more than the product.
ONEDNN_WEIGHTS = 10_000


class Linear(nn.Linear):
    """``nn.Linear``, its products by oneDNN where that pays: the same function, parameters and names.

    Attributes:
        plain: take torch's own product everywhere: ``torch.vmap`` cannot see into oneDNN's.
    """

    plain = False

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, in) → (B, out)."""
        if self.plain or x.device.type != "cpu" or x.dtype != torch.float32 or self.weight.numel() < ONEDNN_WEIGHTS:
            return super().forward(x)
        return _OneDNNLinear.apply(x, self.weight, self.bias) if HAS_ONEDNN else super().forward(x)


class _OneDNNLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        grad_x = _product(grad, weight.t()) if ctx.needs_input_grad[0] else None  # (B, out) @ (out, in)
        return grad_x, _product(grad.t(), x.t()), grad.sum(0)  # (out, B) @ (B, in)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weightᵀ + bias. x: (M, K), weight: (N, K) → (M, N)."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
