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
from mlet_bench.kernels import triton

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
    """

    plain = False

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
        if self.plain or x.dtype != torch.float32:
            return super().forward(x)
        return _fast_mlp(x, self._last_relu, *self.parameters())[0]


class _Undrawn(nn.Linear):
    """Draws nothing, so that the global generator stays as it is; ``nn.utils.skip_init`` imports sympy for that."""

    def reset_parameters(self) -> None:
        """Leave the parameters as memory has them: ``MLP`` draws them."""


class _FastMLP(torch.autograd.Function):
    """All layers in one node of the graph: at a batch of 128 a node of its own costs a small layer's time.

    Under ``torch.vmap``, which by itself takes a linear layer apart into a product, a multiplication by one and a sum,
    values have an axis of models: (S, B, out). The output, then what the backward pass needs: the layers' values.
    """

    @staticmethod
    def forward(x: Tensor, last_relu: bool, *parameters: Tensor) -> tuple[Tensor, ...]:
        weights, biases = parameters[::2], parameters[1::2]
        values = [x]  # the input of each layer, then the output
        for weight, bias, relu in zip(weights, biases, _relus(weights, last_relu), strict=True):
            values.append(_layer(values[-1], weight, bias, relu))
        return values[-1], *values[1:-1]

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: tuple[Tensor, ...]) -> None:
        (x, last_relu, *parameters), (out, *between) = inputs, output
        weights = parameters[::2]
        ctx.relus = _relus(weights, last_relu)
        ctx.mark_non_differentiable(*between)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, *between, out, *weights)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        count = len(ctx.relus)
        values, weights = ctx.saved_tensors[: count + 1], ctx.saved_tensors[count + 1 :]
        grads: list[Tensor] = []
        for number in reversed(range(count)):
            grad, of_bias = _layer_back(grad, values[number + 1], ctx.relus[number])
            grads += [of_bias, _of_weight(grad, values[number])]
            if number or ctx.needs_input_grad[0]:
                grad = product(grad, weights[number].mT)  # (B, out) @ (out, in)
        return grad if ctx.needs_input_grad[0] else None, None, *reversed(grads)

    @staticmethod
    def vmap(info, in_dims: tuple, x: Tensor, last_relu: bool, *parameters: Tensor) -> tuple[tuple, tuple]:
        """x, parameters: with an axis of models, wherever ``in_dims`` says."""
        parts = [
            part.expand(info.batch_size, *part.shape) if axis is None else part.movedim(axis, 0)
            for part, axis in zip((x, *parameters), (in_dims[0], *in_dims[2:]), strict=True)
        ]
        values = _fast_mlp(parts[0], last_relu, *parts[1:])
        return values, (0,) * len(values)


_fast_mlp: Callable[..., tuple[Tensor, ...]] = _FastMLP.apply


def _relus(weights: Sequence[Tensor], last_relu: bool) -> list[bool]:
    """Whether a ReLU follows each layer."""
    return [*[True] * (len(weights) - 1), last_relu]


def _layer(x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
    """x weightᵀ + bias, and the positive part of it. x: (B, in), weight: (out, in) → (B, out); or with models."""
    if x.ndim == 2:
        return product(x, weight, bias, relu)
    result = product(x, weight)
    if relu and triton.wanted(result):
        from mlet_bench.kernels.triton import layers

        return layers.bias_relu_(result, bias)
    result.add_(bias.unsqueeze(1))
    return result.relu_() if relu else result


def _layer_back(grad: Tensor, out: Tensor, relu: bool) -> tuple[Tensor, Tensor]:
    """The gradients of x weightᵀ and of bias, from that of ``_layer``'s result ``out``."""
    if relu and triton.wanted(out):
        from mlet_bench.kernels.triton import layers

        of_product, of_bias = layers.bias_relu_back(grad.view(-1, *grad.shape[-2:]), out.view(-1, *out.shape[-2:]))
        return of_product.view_as(out), of_bias.view(*out.shape[:-2], -1)
    of_product = torch.ops.aten.threshold_backward(grad, out, 0) if relu else grad
    return of_product, of_product.sum(-2)


def _of_weight(grad: Tensor, x: Tensor) -> Tensor:
    """gradᵀ x, (out, in): of a model's own laid out as its weight, of a pack as the pack stores them."""
    return product(grad.mT, x.mT) if x.ndim == 2 else torch.bmm(x.mT, grad).mT


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None, relu: bool = False) -> Tensor:
    """x weightᵀ + bias, and the positive part of it. x: (M, K), weight: (N, K) → (M, N); or both with models."""
    if x.ndim == 3:
        return torch.bmm(x, weight.mT)
    if x.is_cuda and relu and bias is not None:
        return _with_relu(bias, x, weight.t())
    if x.device.type == "cpu" and x.dtype == torch.float32 and HAS_ONEDNN and weight.numel() >= ONEDNN_WEIGHTS:
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "relu" if relu else "none", [], "")
    result = nn.functional.linear(x, weight, bias)
    return result.relu_() if relu else result
