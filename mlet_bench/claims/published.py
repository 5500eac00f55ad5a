"""The authors' own numbers that a reproduction can be laid beside: effective ranks of their trained Avazu tables.

Source: the singular values stored in github.com/JamesTuna/dlrm (rank analysis), means over the 21 tables, computed with
the definition of ``rank.effective_rank``. The papers' result tables are not here: nothing of theirs is written down
that could not be read.
"""

SOURCE = "singular values stored in github.com/JamesTuna/dlrm"
DATASET, MODEL, TABLES = "avazu", "dlrm", 21
# d, k, mean effective rank of a single layer and of MLET, in how many tables that is lower (not always stored).
COLUMNS = ("dim", "inner_dim", "single", "mlet", "lower_theirs")
RANKS = (
    (4, 64, 3.373, 3.481, 7),
    (8, 64, 6.526, 6.045, 16),
    (16, 64, 11.105, 10.440, 18),
    (32, 8, 19.986, 5.71, None),
    (32, 16, 19.986, 9.25, None),
    (32, 32, 19.986, 14.53, None),
    (32, 64, 19.986, 16.667, 19),
    (64, 64, 35.561, 25.759, 20),
)
