"""MLET for one table of anybody's PyTorch model: in place of ``nn.Embedding`` and ``nn.EmbeddingBag``."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlet_bench.embeddings.mlet import PAPER_W2_STD
from mlet_bench.errors import BenchError


class FactorizedTable(nn.Module):
    """The W1 (n×k) and W2 (k×d) of one table; subclasses say how rows are looked up.

    Under autocast the vectors are in half precision, being a product; torch's tables give their weight's type there.

    Args:
        num_embeddings, embedding_dim, inner_dim: n, d, k. The paper's gain needs k well above d; k below d is a valid
            product as well (mixed dimensions).
        padding_idx: this row is zero, gets no gradient, and is zero after ``collapse``.
        sparse: give W1 sparse gradients, for ``torch.optim.SGD`` or ``SparseAdam``; W2's are dense.
        generator: draws the initial values.

    Raises:
        BenchError: k below 1.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        inner_dim: int,
        padding_idx: int | None = None,
        sparse: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        if inner_dim < 1:
            raise BenchError(f"inner dim k={inner_dim}: it must be 1 or more")
        self.num_embeddings, self.embedding_dim, self.inner_dim = num_embeddings, embedding_dim, inner_dim
        # As torch keeps it: counted from the front.
        self.padding_idx = padding_idx if padding_idx is None or padding_idx >= 0 else num_embeddings + padding_idx
        self.sparse = sparse
        self.w1 = nn.Parameter(torch.empty(num_embeddings, inner_dim, device=device, dtype=dtype))
        self.w2 = nn.Parameter(torch.empty(inner_dim, embedding_dim, device=device, dtype=dtype))
        self.reset_parameters(generator)

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """W1 ~ U(-1/sqrt(n), 1/sqrt(n)); W2 ~ N(0, 0.25²), as in the authors' code. Drawn on the generator's device."""
        device = self.w1.device if generator is None else generator.device
        bound = max(self.num_embeddings, 1) ** -0.5
        self.w1.copy_(torch.empty(self.w1.shape, device=device).uniform_(-bound, bound, generator=generator))
        self.w2.copy_(torch.empty(self.w2.shape, device=device).normal_(0.0, PAPER_W2_STD, generator=generator))
        if self.padding_idx is not None:
            self.w1[self.padding_idx] = 0

    @torch.no_grad()
    def table(self) -> Tensor:
        """W1 W2, (n, d) in the weights' type: taken in float64 and rounded once, a block of rows at a time."""
        out = self.w1.new_empty(self.num_embeddings, self.embedding_dim)
        w2 = self.w2.double()
        for rows, target in zip(self.w1.split(2**20), out.split(2**20)):
            target.copy_(rows.double() @ w2)
        return out

    @property
    def frozen(self) -> bool:
        """Neither factor is trained, so the collapsed table is not either."""
        return not (self.w1.requires_grad or self.w2.requires_grad)

    def collapse(self) -> nn.Module:
        """The plain torch module, n×d, that gives the same vectors."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}, inner_dim={self.inner_dim}"


class MLETEmbedding(FactorizedTable):
    """In place of ``nn.Embedding(n, d)`` while training: the vectors are W1[ids] @ W2.

    Example::

        table = MLETEmbedding(num_embeddings=10_000, embedding_dim=16, inner_dim=64)
        ...  # train
        model.table = table.collapse()  # nn.Embedding(10_000, 16)
    """

    def forward(self, input: Tensor) -> Tensor:
        """As ``nn.Embedding``. input: ids below n, of any shape → the same shape with d appended."""
        return F.embedding(input, self.w1, self.padding_idx, sparse=self.sparse) @ self.w2

    def collapse(self) -> nn.Embedding:
        """The n×d ``nn.Embedding`` that gives the same vectors."""
        plain = nn.Embedding.from_pretrained(self.table(), self.frozen, self.padding_idx, sparse=self.sparse)
        return plain.train(self.training)


class MLETEmbeddingBag(FactorizedTable):
    """In place of ``nn.EmbeddingBag(n, d)`` with mode ``sum`` or ``mean``.

    The bag is taken over rows of W1 and multiplied by W2 once: sums and means are linear, so this equals the bag over
    products and costs one product a bag.

    Args:
        mode: ``sum`` or ``mean``, torch's default.
        include_last_offset: as in ``nn.EmbeddingBag``; the other arguments are those of ``FactorizedTable``.

    Raises:
        BenchError: mode ``max``, which no product commutes with.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        inner_dim: int,
        mode: str = "mean",
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        sparse: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        generator: torch.Generator | None = None,
    ):
        if mode not in ("sum", "mean"):
            raise BenchError(f"bags of mode {mode!r} cannot be factorised: the modes are sum and mean")
        super().__init__(num_embeddings, embedding_dim, inner_dim, padding_idx, sparse, device, dtype, generator)
        self.mode, self.include_last_offset = mode, include_last_offset

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        """As ``nn.EmbeddingBag``: (bags, L), or (rows,) with offsets (bags,) → (bags, d)."""
        bags = F.embedding_bag(
            input,
            self.w1,
            offsets,
            mode=self.mode,
            sparse=self.sparse,
            per_sample_weights=per_sample_weights,
            include_last_offset=self.include_last_offset,
            padding_idx=self.padding_idx,
        )  # (bags, k)
        return bags @ self.w2

    def collapse(self) -> nn.EmbeddingBag:
        """The n×d ``nn.EmbeddingBag`` that gives the same vectors."""
        plain = nn.EmbeddingBag.from_pretrained(
            self.table(),
            freeze=self.frozen,
            mode=self.mode,
            sparse=self.sparse,
            include_last_offset=self.include_last_offset,
            padding_idx=self.padding_idx,
        )
        return plain.train(self.training)
