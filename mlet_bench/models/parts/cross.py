"""Cross networks: each layer multiplies the input x0 with a function of the layer before."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mlet_bench.embeddings.draw import Draws
from mlet_bench.models.mlp import product


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

    Attributes:
        batched: run by autograd, in operations that ``torch.vmap`` makes one kernel each of.
    """

    batched = False

    def __init__(self, width: int, layers: int, draws: Draws):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(layers, width, width))
        self.bias = nn.Parameter(torch.zeros(layers, width))
        for weight in self.weight:
            draws.normal_(weight, width**-0.5)

    def forward(self, x0: Tensor) -> Tensor:
        """x0: (B, in) → (B, in)."""
        if len(self.weight) and not self.batched:
            return _all_matrices(x0, self.weight, self.bias)
        x = x0
        for weight, bias in zip(self.weight, self.bias, strict=True):
            x = x0 * (x @ weight.t() + bias) + x
        return x


class _AllMatrices(torch.autograd.Function):
    """The layers in one node of the graph: by autograd they read and write (B, in) twice as often, and their gradients
    are made one by one and then stacked.
    """

    @staticmethod
    def forward(ctx, x0: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        inputs, factors = [x0], []  # of each layer: its input, and W x + b, both (B, in)
        for matrix, shift in zip(weight, bias, strict=True):
            factors.append(product(inputs[-1], matrix, shift))
            inputs.append(torch.addcmul(inputs[-1], x0, factors[-1]))
        ctx.save_for_backward(weight, *inputs[:-1], *factors)
        return inputs[-1]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weight, *saved = ctx.saved_tensors
        inputs, factors = saved[: len(weight)], saved[len(weight) :]
        grad_weight, grad_bias = torch.empty_like(weight), weight.new_empty(weight.shape[:2])
        of_x0 = torch.zeros_like(grad)  # but for what reaches it as the first layer's input
        for number in reversed(range(len(weight))):
            of_factor = grad * inputs[0]
            torch.mm(of_factor.t(), inputs[number], out=grad_weight[number])
            torch.sum(of_factor, 0, out=grad_bias[number])
            of_x0.addcmul_(grad, factors[number])
            grad = torch.addmm(grad, of_factor, weight[number])
        return of_x0.add_(grad), grad_weight, grad_bias


_all_matrices: Callable[..., Tensor] = _AllMatrices.apply
