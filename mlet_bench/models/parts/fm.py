"""Products of all pairs of vectors in time linear in their number (Rendle, ICDM 2010)."""

from torch import Tensor


def bi_interaction(vectors: Tensor) -> Tensor:
    """The sum of v_i * v_j, element by element, over all pairs i < j: .5 ((Σ v)² - Σ v²).

    NFM feeds it to an MLP (He and Chua, arXiv 1708.05027); summed over d it is FM's second order, the sum of all dot
    products.

    Args:
        vectors: (B, F, d).

    Returns:
        (B, d).
    """
    return 0.5 * (vectors.sum(1).square() - vectors.square().sum(1))
