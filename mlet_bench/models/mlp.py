"""Linear layers with ReLU between them: on a GPU the product has the ReLU in it, on a CPU oneDNN multiplies.

torch multiplies float32 matrices with MKL, which leaves AVX-512 unused on processors that are not Intel's: at DLRM's
sizes oneDNN is about twice as fast there, and no faster without AVX-512. torch ships oneDNN but gives float32 to it
only through the operator that ``torch.compile`` emits; where a build lacks it, and for small layers, torch's own
product is taken.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from mlet_bench.embeddings.draw import Draws

# Below this many weights a call of oneDNN costs more than the product.
ONEDNN_WEIGHTS = 10_000
HAS_ONEDNN = (
    torch.backends.mkldnn.is_available()
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    and torch.backends.cpu.get_cpu_capability().startswith("AVX512")
)
_with_relu = torch.ops.aten._addmm_activation  # relu(bias + x w): on a GPU one kernel of cuBLASLt


def dlrm_law(layer: nn.Linear, draws: Draws) -> None:
    """W ~ N(0, 2/(in+out)), b ~ N(0, 1/out) (facebookresearch/dlrm, and the authors' code for both papers)."""
    draws.normal_(layer.weight, (2 / (layer.in_features + layer.out_features)) ** 0.5)
    draws.normal_(layer.bias, (1 / layer.out_features) ** 0.5)


def torch_law(layer: nn.Linear, draws: Draws) -> None:
    """W and b from U(±1/sqrt(in)): what torch gives a layer, and what a code that says nothing leaves it with."""
    draws.uniform_(layer.weight, layer.in_features**-0.5)
    draws.uniform_(layer.bias, layer.in_features**-0.5)


class MLP(nn.Sequential):
    """An ``nn.Sequential`` of ``nn.Linear`` and ``nn.ReLU``: the same function, parameters and names, faster.

    Args:
        widths: inputs of the first layer, then outputs of each.
        draws: gives the initial values.
        last_relu: whether a ReLU follows the last layer.
        law: draws those of a layer.

    Attributes:
        out_features: outputs of the last layer; of no layers, its inputs.
        plain: run the modules one by one everywhere: hooks cannot see into the fast path.
        batched: run in operations that ``torch.vmap`` makes one kernel each of: it takes a linear layer apart into a
            product, a multiplication by one and a sum.
    """

    plain, batched = False, False

    def __init__(
        self,
        widths: Sequence[int],
        draws: Draws,
        last_relu: bool,
        law: Callable[[nn.Linear, Draws], None] = dlrm_law,
    ):
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            layer = _Undrawn(fan_in, fan_out)
            law(layer, draws)
            layers += [layer, nn.ReLU()]
        super().__init__(*(layers if last_relu else layers[:-1]))
        self._last_relu, self.out_features = last_relu, widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, in) → (B, out)."""
        if not len(self):  # no hidden layers
            return x
        if self.batched:
            for layer in self:
                x = x @ layer.weight.t() + layer.bias if isinstance(layer, nn.Linear) else layer(x)
            return x
        if self.plain or x.dtype != torch.float32:
            return super().forward(x)
        return _FastMLP.apply(x, self._last_relu, *self.parameters())


class _Undrawn(nn.Linear):
    """Draws nothing, so that the global generator stays as it is; ``nn.utils.skip_init`` imports sympy for that."""

    def reset_parameters(self) -> None:
        """Leave the parameters as memory has them: ``MLP`` draws them."""


class _FastMLP(torch.autograd.Function):
    """All layers in one node of the graph: at a batch of 128 a node of its own costs a small layer's time."""

    @staticmethod
    def forward(ctx, x: Tensor, last_relu: bool, *parameters: Tensor) -> Tensor:
        weights, biases = parameters[::2], parameters[1::2]
        ctx.relus = [*[True] * (len(weights) - 1), last_relu]
        values = [x]  # the input of each layer, then the output
        for weight, bias, relu in zip(weights, biases, ctx.relus, strict=True):
            values.append(product(values[-1], weight, bias, relu))
        ctx.save_for_backward(*values, *weights)
        return values[-1]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        count = len(ctx.relus)
        values, weights = ctx.saved_tensors[: count + 1], ctx.saved_tensors[count + 1 :]
        grads: list[Tensor] = []
        for number in reversed(range(count)):
            if ctx.relus[number]:
                grad = torch.ops.aten.threshold_backward(grad, values[number + 1], 0)
            grads += [grad.sum(0), product(grad.t(), values[number].t())]  # of b; of W: (out, B) @ (B, in)
            if number or ctx.needs_input_grad[0]:
                grad = product(grad, weights[number].t())  # (B, out) @ (out, in)
        return grad if ctx.needs_input_grad[0] else None, None, *reversed(grads)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None, relu: bool = False) -> Tensor:
    """x weightᵀ + bias, and the positive part of it. x: (M, K), weight: (N, K) → (M, N)."""
    if x.is_cuda and relu and bias is not None:
        return _with_relu(bias, x, weight.t())
    if x.device.type == "cpu" and x.dtype == torch.float32 and HAS_ONEDNN and weight.numel() >= ONEDNN_WEIGHTS:
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "relu" if relu else "none", [], "")
    result = nn.functional.linear(x, weight, bias)
    return result.relu_() if relu else result
