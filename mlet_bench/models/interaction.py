"""DLRM's interaction: the dot products of all pairs of vectors, and a backward pass of one product."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mlet_bench import kernels
from mlet_bench.kernels import triton


class Interaction(nn.Module):
    """[bottom, Z[i, j] for i, for j < i], Z the dot products of [bottom, field 1, ..., field F].

    Args:
        vectors: F + 1.

    Attributes:
        plain: run in plain torch everywhere.

    Example::

        Interaction(27)(bottom, vectors)  # (B, d), (B, 26, d) → (B, d + 351)
    """

    plain = False

    def __init__(self, vectors: int):
        super().__init__()
        self.products = PairProducts(vectors)

    def forward(self, bottom: Tensor, vectors: Tensor) -> Tensor:
        """bottom: (B, d), vectors: (B, F, d) → (B, d + (F+1)F/2)."""
        if not self.plain and (own := _kernels(vectors)):
            return _interact(bottom, vectors, *own)
        stacked = torch.cat([bottom.unsqueeze(1), vectors], dim=1)  # (B, F+1, d)
        return torch.cat([bottom, self.products(stacked)], dim=1)


class PairProducts(nn.Module):
    """Z[i, j] for i, for j < i: the dot products of all pairs of vectors, in plain torch.

    Z is symmetric: with the gradients of its lower half laid out as a symmetric matrix G of zero diagonal, the gradient
    of the vectors is G times the vectors. Autograd's own way through the chosen pairs adds them into a matrix of
    zeros and takes two products.

    Args:
        vectors: V.

    Example::

        PairProducts(26)(vectors)  # (B, 26, d) → (B, 325)
    """

    def __init__(self, vectors: int):
        super().__init__()
        i, j = torch.tril_indices(vectors, vectors, offset=-1)  # j < i, row by row
        count = len(i)
        place = torch.zeros((vectors, vectors), dtype=torch.int64)  # of each entry of G among the pairs; no diagonal
        place[i, j] = place[j, i] = torch.arange(count)
        self.register_buffer("pairs", i * vectors + j, persistent=False)  # positions in a flattened matrix
        self.register_buffer("place", place.flatten(), persistent=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """vectors: (B, V, d) → (B, V(V-1)/2)."""
        return _pair_products(vectors, self.pairs, self.place)


def _kernels(vectors: Tensor) -> tuple[Callable, Callable] | None:
    """The whole interaction and its backward pass as kernels, or None. vectors: (B, F, d)."""
    if triton.wanted(vectors):
        from mlet_bench.kernels.triton import interaction

        if vectors.shape[1] < interaction.MOST_VECTORS:
            return interaction.interact, interaction.interact_back
        return None
    return (kernels.interact, kernels.interact_back) if kernels.supported(vectors, vectors.shape[2]) else None


class _Interact(torch.autograd.Function):
    """The whole of it in kernels, of a row each: the models of a pack are rows of one batch."""

    @staticmethod
    def forward(bottom: Tensor, vectors: Tensor, interact: Callable, interact_back: Callable) -> Tensor:
        return interact(bottom, vectors)

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: Tensor) -> None:
        bottom, vectors, _, ctx.interact_back = inputs
        ctx.save_for_backward(bottom, vectors)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        return *ctx.interact_back(*ctx.saved_tensors, grad), None, None

    @staticmethod
    def vmap(info, in_dims: tuple, bottom: Tensor, vectors: Tensor, *own: Callable) -> tuple[Tensor, int]:
        """bottom, vectors: with a model axis, wherever ``in_dims`` says."""
        parts = [
            part.expand(info.batch_size, *part.shape) if axis is None else part.movedim(axis, 0)
            for part, axis in zip((bottom, vectors), in_dims[:2], strict=True)
        ]
        out = _interact(*(part.flatten(0, 1) for part in parts), *own)
        return out.unflatten(0, (info.batch_size, -1)), 0


class _PairProducts(torch.autograd.Function):
    """stacked: (B, V, d) → (B, V(V-1)/2)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(stacked: Tensor, pairs: Tensor, place: Tensor) -> Tensor:
        return torch.bmm(stacked, stacked.transpose(1, 2)).flatten(1).index_select(1, pairs)

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        stacked, _, place = inputs
        ctx.save_for_backward(stacked, place)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
        stacked, place = ctx.saved_tensors
        vectors = stacked.shape[1]
        symmetric = grad.index_select(1, place).view(-1, vectors, vectors)  # G, (B, V, V)
        symmetric.diagonal(dim1=1, dim2=2).zero_()
        return torch.bmm(symmetric, stacked), None, None


_pair_products: Callable[..., Tensor] = _PairProducts.apply
_interact: Callable[..., Tensor] = _Interact.apply
