"""The best AUC that any model can reach on rows whose click probabilities are known."""

import math

import numpy as np

BINS = 65_536  # of the probability
UNIT = 2.0**-20  # probabilities are counted in these: sums over 2^31 rows are whole numbers below 2^53, and exact


class ExpectedAuc:
    """AUC of ranking rows by their true click probability, in expectation over the labels: the best that is possible.

    With independent labels of probabilities p the expected numbers of ordered (clicked, not clicked) pairs, all and
    rightly ranked, are the sums over i ≠ j of p_i (1 - p_j) and of p_i (1 - p_j) [p_i > p_j], ties counting one half;
    the AUC is their ratio. Rows are added up in 65,536 bins of p, a bin being one tie: of P_b = Σ p, N_b = Σ (1 - p)

        (Σ_b P_b (Σ_{a<b} N_a + N_b / 2) - S / 2) / (Σ_b P_b · Σ_b N_b - S),  S = Σ p (1 - p), the pairs with i = j.

    The sums do not depend on the order of the rows or on the number of threads: p counts in whole ``UNIT``.
    """

    def __init__(self):
        self.clicked, self.other, self.itself = np.zeros(BINS), np.zeros(BINS), np.zeros(BINS)

    def add(self, p: np.ndarray) -> None:
        """Take in rows of these probabilities (B,)."""
        p = np.rint(p / UNIT)
        bins = np.minimum((p * (UNIT * BINS)).astype(np.int64), BINS - 1)
        self.clicked += np.bincount(bins, p, BINS)
        self.other += np.bincount(bins, 1 / UNIT - p, BINS)
        self.itself += np.bincount(bins, np.rint(p * (1 - p * UNIT)), BINS)

    def value(self) -> float:
        """The AUC of all rows so far."""
        below = np.cumsum(self.other) - self.other / 2
        itself = math.fsum(self.itself) / UNIT
        pairs = math.fsum(self.clicked) * math.fsum(self.other) - itself
        return (math.fsum(self.clicked * below) - itself / 2) / pairs
