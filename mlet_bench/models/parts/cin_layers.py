"""CIN's layers in one node of the graph, a block of columns at a time.

By autograd the products x_i v_j of a batch of 256 at d=16, with 128 maps and 21 fields, are 44 MB, and go through
memory six times in a step. Here a block's are made once forward and once more backward, and stay in the cache. Those of
the first layer are symmetric in i and j: a half of them is multiplied, by weights W_ij + W_ji.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mlet_bench.models.mlp import product

COLUMNS = 1024  # of a block on a CPU: the products of 128 maps and 21 fields take 11 MB


class SymmetricPairs(nn.Module):
    """The products v_i v_j of each field with itself and those before it: F (F + 1) / 2 of the F² that there are."""

    i: Tensor
    j: Tensor
    place: Tensor
    lower: Tensor
    upper: Tensor
    two: Tensor

    def __init__(self, fields: int):
        super().__init__()
        i, j = torch.tril_indices(fields, fields)  # j <= i, row by row
        place = torch.zeros(fields, fields, dtype=torch.int64)  # of each of all products among these
        place[i, j] = place[j, i] = torch.arange(len(i))
        buffers = {"i": i, "j": j, "place": place.flatten(), "lower": i * fields + j, "upper": j * fields + i}
        for name, buffer in (buffers | {"two": (i != j).float()}).items():
            self.register_buffer(name, buffer, persistent=False)

    def forward(self, v: Tensor) -> Tensor:
        """(n, F) → (n, F (F + 1) / 2)."""
        return v.index_select(1, self.i) * v.index_select(1, self.j)

    def back(self, grad: Tensor, v: Tensor) -> Tensor:
        """The gradient of v from that of the products: G v, where G is symmetric, its diagonal doubled."""
        whole = grad.index_select(1, self.place).unflatten(1, (-1, v.shape[1]))  # (n, F, F)
        whole.diagonal(dim1=1, dim2=2).mul_(2)
        return torch.bmm(v.unsqueeze(1), whole).squeeze(1)

    def fold(self, weight: Tensor) -> Tensor:
        """The weights of these products, W_ij + W_ji, from those of all: (maps, F²) → (maps, F (F + 1) / 2)."""
        return torch.addcmul(weight.index_select(1, self.lower), weight.index_select(1, self.upper), self.two)

    def unfold(self, grad: Tensor) -> Tensor:
        """The gradient of the weights of all products from that of these products' weights."""
        return grad.index_select(1, self.place)


class _AllLayers(torch.autograd.Function):
    @staticmethod
    def forward(ctx, columns: Tensor, pairs: SymmetricPairs, kept: Sequence[int], *parameters: Tensor) -> Tensor:
        weights, biases = [pairs.fold(parameters[0]), *parameters[2::2]], parameters[1::2]
        maps = [columns.new_empty(len(columns), len(bias)) for bias in biases]  # of each layer (N, size)
        for block in _blocks(columns):
            v, x = columns[block], None
            for weight, bias, out, keep in zip(weights, biases, maps, kept, strict=True):
                out[block] = product(pairs(v) if x is None else _products(x, v), weight, bias, relu=True)
                x = out[block, :keep]
        ctx.pairs, ctx.kept = pairs, kept
        ctx.save_for_backward(columns, *weights, *maps)
        return torch.cat([out[:, keep:] for out, keep in zip(maps, kept, strict=True)], dim=1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        layers = len(ctx.kept)
        columns, weights, maps = ctx.saved_tensors[0], ctx.saved_tensors[1:-layers], ctx.saved_tensors[-layers:]
        pairs, of_columns = ctx.pairs, torch.empty_like(columns)
        of_weights = [torch.zeros_like(weight) for weight in weights]
        of_biases = [weight.new_zeros(len(weight)) for weight in weights]
        direct = grad.split([out.shape[1] - keep for out, keep in zip(maps, ctx.kept, strict=True)], dim=1)
        for block in _blocks(columns):
            v = columns[block]
            of_v, of_x = torch.zeros_like(v), v[:, :0]
            for number in reversed(range(layers)):
                out = maps[number][block]
                of_out = torch.ops.aten.threshold_backward(torch.cat([of_x, direct[number][block]], 1), out, 0)
                of_biases[number] += of_out.sum(0)
                of_products = product(of_out, weights[number].t())
                if number:
                    x = maps[number - 1][block, : ctx.kept[number - 1]]
                    of_weights[number].addmm_(of_out.t(), _products(x, v))
                    of_products = of_products.unflatten(1, (-1, v.shape[1]))  # (n, in, F)
                    of_v += torch.bmm(x.unsqueeze(1), of_products).squeeze(1)
                    of_x = of_products.mul_(v.unsqueeze(1)).sum(2)
                else:
                    of_weights[0].addmm_(of_out.t(), pairs(v))
                    of_columns[block] = of_v + pairs.back(of_products, v)
        of_weights[0] = pairs.unfold(of_weights[0])
        both = [part for pair in zip(of_weights, of_biases, strict=True) for part in pair]
        return of_columns, None, None, *both


def _products(x: Tensor, v: Tensor) -> Tensor:
    """(n, in), (n, F) → (n, in · F)."""
    return (x.unsqueeze(2) * v.unsqueeze(1)).flatten(1)


def _blocks(columns: Tensor) -> list[slice]:
    """On a GPU one, for the launches' sake."""
    size = COLUMNS if columns.device.type == "cpu" else len(columns)
    return [slice(first, first + size) for first in range(0, len(columns), size)]


all_layers: Callable[..., Tensor] = _AllLayers.apply
