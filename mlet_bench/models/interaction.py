"""DLRM's interaction: the dot products of all pairs of vectors, and a backward pass of one product."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mlet_bench import kernels


class Interaction(nn.Module):
    """[bottom, Z[i, j] for i, for j < i], Z the dot products of [bottom, field 1, ..., field F].

    Args:
        vectors: F + 1.

    Attributes:
        batched: run in plain torch everywhere: ``torch.vmap`` cannot see into the CPU's kernels.

    Example::

        Interaction(27)(bottom, vectors)  # (B, d), (B, 26, d) → (B, d + 351)
    """

    batched = False

    def __init__(self, vectors: int):
        super().__init__()
        self.products = PairProducts(vectors)

    def forward(self, bottom: Tensor, vectors: Tensor) -> Tensor:
        """bottom: (B, d), vectors: (B, F, d) → (B, d + (F+1)F/2)."""
        if not self.batched and kernels.supported(vectors, vectors.shape[2]):
            return _interact(bottom, vectors)
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


class _Interact(torch.autograd.Function):
    """The whole of it in the CPU's kernels."""

    @staticmethod
    def forward(ctx, bottom: Tensor, vectors: Tensor) -> Tensor:
        ctx.save_for_backward(bottom, vectors)
        return kernels.interact(bottom, vectors)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:
        bottom, vectors = ctx.saved_tensors
        return kernels.interact_back(bottom, vectors, grad)


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
