"""The authors' own numbers that a reproduction can be laid beside: effective ranks of their trained Avazu tables.

Source: the singular values stored in github.com/JamesTuna/dlrm (rank analysis), means over the 21 tables, computed with
the definition of ``rank.effective_rank``. The papers' result tables are not here: nothing of theirs is written down
that could not be read.
"""

from dataclasses import dataclass

SOURCE = "singular values stored in github.com/JamesTuna/dlrm"
DATASET, MODEL, TABLES = "avazu", "dlrm", 21


@dataclass(frozen=True)
class AuthorsRank:
    """One (d, k) of theirs; None where they store nothing.

    Attributes:
        single, mlet: mean effective rank of the trained tables.
        lower: how many of the ``TABLES`` have a lower rank with MLET.
    """

    dim: int
    inner_dim: int
    single: float
    mlet: float
    lower: int | None = None


RANKS = (
    AuthorsRank(4, 64, 3.373, 3.481, 7),
    AuthorsRank(8, 64, 6.526, 6.045, 16),
    AuthorsRank(16, 64, 11.105, 10.440, 18),
    AuthorsRank(32, 8, 19.986, 5.71),
    AuthorsRank(32, 16, 19.986, 9.25),
    AuthorsRank(32, 32, 19.986, 14.53),
    AuthorsRank(32, 64, 19.986, 16.667, 19),
    AuthorsRank(64, 64, 35.561, 25.759, 20),
)
