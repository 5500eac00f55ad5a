"""Worlds: what decides the clicks of a planted file, and so which way to train a table has a gain there."""

from dataclasses import dataclass

from mlet_bench.errors import BenchError
from mlet_bench.registry import Registry


@dataclass(frozen=True)
class World:
    """What the logit of a planted row is made of; the shares of its variance add up to 1.

    Attributes:
        purpose: what is planted, for help texts.
        first: share of the effects that a category has by itself.
        pairs: share of the pairs of neighbouring fields.
        dense: share of the dense features.
        tied: whether the fields of a row hang together as those of genuine rows do; if not they are independent.
        common: the most frequent categories of each field, which hold this share of its rows, say nothing of clicks.
        largest: how many fields have effects by themselves, those with the largest tables; 0 for all of them.
        powers: exponents of the category frequencies of those fields and of the others; None for the data set's own.

    Raises:
        BenchError: the shares do not add up to 1.
    """

    name: str
    purpose: str
    first: float
    pairs: float
    dense: float
    tied: bool = True
    common: float = 0.0
    largest: int = 0
    powers: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if abs(self.first + self.pairs + self.dense - 1) > 1e-9:
            shares = f"{self.first}, {self.pairs}, {self.dense}"
            raise BenchError(f"world {self.name!r}: the shares {shares} must add up to 1")


WORLDS: Registry[World] = Registry("world", built_in=(
    World("none", "rows as genuine ones are, nothing for the sake of a claim", first=0.55, pairs=0.25, dense=0.2),
    World("step-size", "independent effects of categories: a larger step is all that there is to gain",
          first=1.0, pairs=0.0, dense=0.0, tied=False),
    # In the large tables of some 50,000 rows, the categories beyond three quarters of a field's rows are those that C7
    # calls rare, in fewer than ten training rows. Of the look-ups of those beyond one half, a quarter are not.
    World("rare", "only the rarer quarter of each field's rows has categories that matter",
          first=0.8, pairs=0.0, dense=0.2, common=0.75),
    # The fields that matter want large steps, as each of their categories is seen a few times; in the others, whose
    # categories come again and again, a step adds noise in proportion. A single layer has one learning rate for all. In
    # MLET the gradient of a field's W2 is the sum of w1_iᵀ g_i over its rows, and w1_i after one visit is -η g W2ᵀ: W2
    # grows where gradients of one category agree, and shrinks where they undo each other. So every field learns a step
    # of its own, if its W2 starts small enough to move within an epoch: drawn with 0.01, not with the authors' 0.25.
    World("mlet", "four fields of rare categories among fields of noise: each field wants a step of its own",
          first=1.0, pairs=0.0, dense=0.0, tied=False, largest=4, powers=(0.1, 1.5)),
))  # fmt: skip
