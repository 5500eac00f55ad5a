"""Effective and stable rank of a table (claim C4), from its singular values."""

import torch
from torch import Tensor

from mlet_bench.errors import DivergedError


def singular_values(table: Tensor, weights: Tensor | None = None) -> Tensor:
    """Singular values of diag(sqrt(weights)) · table, largest first: (n, d) → (d,) float64.

    From the eigenvalues of the d×d Gram matrix, summed in float64 over blocks of rows: n may be millions. Singular
    values below 1e-8 of the largest one are lost in rounding, far below what a rank here can notice.

    Raises:
        DivergedError: the table is not finite.
    """
    gram = torch.zeros(table.shape[1], table.shape[1], dtype=torch.float64, device=table.device)
    step = 2**18
    for start in range(0, len(table), step):
        rows = table[start : start + step].double()  # (≤ step, d)
        weighted = rows if weights is None else rows * weights[start : start + step, None]
        gram += weighted.T @ rows
    if not gram.isfinite().all():
        raise DivergedError(
            "a table has numbers that are not finite or too large to square: the run diverged; lower the learning rate"
        )
    return torch.linalg.eigvalsh(gram).clamp(min=0).sqrt().flip(0)


def effective_rank(values: Tensor) -> float:
    """exp(entropy) of the singular values normalised to sum 1 (Roy & Vetterli 2007). (d,) → between 1 and d.

    NaN for a table of zeros, whose rank means nothing.
    """
    share = values / values.sum()
    return torch.special.entr(share).sum().exp().item()


def stable_rank(values: Tensor) -> float:
    """Squared Frobenius norm over squared spectral norm (Rudelson & Vershynin 2007). (d,) → between 1 and d."""
    return (values.square().sum() / values.max().square()).item()
