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

    def __post_init__(self) -> None:
        if abs(self.first + self.pairs + self.dense - 1) > 1e-9:
            shares = f"{self.first}, {self.pairs}, {self.dense}"
            raise BenchError(f"world {self.name!r}: the shares {shares} must add up to 1")


WORLDS: Registry[World] = Registry("world", built_in=(
    World("none", "rows as genuine ones are, nothing for the sake of a claim", first=0.55, pairs=0.25, dense=0.2),
    World("step-size", "independent effects of categories: a larger step is all that there is to gain",
          first=1.0, pairs=0.0, dense=0.0, tied=False),
    World("rare", "only the rarer half of each field's rows has categories that matter",
          first=0.8, pairs=0.0, dense=0.2, common=0.5),
))  # fmt: skip
