"""The planted model: which category a row takes, and the click probability that it gives the row.

Nothing is stored per category. A category's vector is a hash of (field, category), and its place among the rows is an
affine permutation of the row index, so that tables of ten million categories cost no memory.
"""

import math
from functools import cache
from statistics import NormalDist

import numpy as np

from mlet_bench.data.base import DataSet, Planted
from mlet_bench.data.best_auc import ExpectedAuc
from mlet_bench.data.worlds import WORLDS, World
from mlet_bench.errors import BenchError

MAX_ROWS = 2**31  # of a planted file; a product of two row indices must fit 63 bits
RANK = 4  # r: a category's vector has r components, 16 bits of one hash each
POWER = 1.1  # exponent of the category frequencies of a field that says nothing else
TURN = 0.2  # the most that a field's categories are turned against the context
WEIGHT_POWER, WEIGHT_CAP = -0.2, 10_000  # a field's weight is min(n, cap)^power: large tables say less per row


def law_of(data: type[DataSet]) -> Planted:
    """What the data set's planted rows look like.

    Raises:
        BenchError: it does not say.
    """
    lacking = [name for name in ("planted", "full_rows", "table_sizes") if not getattr(data, name)]
    if data.planted is None or lacking:
        raise BenchError(f"{data.name} cannot be synthesized: its description lacks {', '.join(lacking)}")
    return data.planted


def table_sizes(data: type[DataSet], rows: int) -> tuple[int, ...]:
    """Exact number of distinct values of each categorical field in a planted file, the missing one included.

    The real file's sizes, none above ceil(largest real size · rows / real rows): a small file keeps the real ratio of
    rows to rows of its largest table.

    Raises:
        BenchError: a data set that has no planted law, or fewer than 100 or more than 2^31 rows.
    """
    law_of(data)
    if not 100 <= rows <= MAX_ROWS:
        raise BenchError(f"{rows} rows of planted {data.name} asked for: 100 to {MAX_ROWS} are possible")
    cap = -(-max(data.table_sizes) * rows // (data.full_rows or rows))
    return tuple(min(size, cap) for size in data.table_sizes)


class PlantedModel:
    """Draws categories and scores rows. r = ``RANK``, F fields, D dense features, B rows of a chunk.

    logit = bias + scale · signal, where signal, of variance about 1, is a sum over

    - fields f: a_f·v_f(c_f), the effect of a category alone;
    - pairs (f, g) of neighbours in a ring of the fields: v_f(c_f)·v_g(c_g);
    - dense features: a weight times the standardised feature.

    v_f(c) in R^r has independent standard normal components; a_f and the dense weights are drawn once per seed, and
    the world's shares of variance are spread over fields and pairs by the fields' weights. So an embedding of width r
    holds everything there is to know of a category, and a rare category matters as much as a frequent one of its field
    unless the world says otherwise.

    The fields of a row hang together: a row has a context, uniform on [0, 1), and a field takes its category at that
    quantile, turned a little, in a share of the rows of its own (``ties``), and at a quantile of its own in the others.
    So frequent categories meet frequent ones, and what a context says of clicks every field says of its frequent ones.

    Args:
        data, rows, seed, world: decide everything; the same four give the same model.
    """

    def __init__(self, data: type[DataSet], rows: int, seed: int, world: World = WORLDS["none"]):
        self.fields, self.law, self.rows, self.sizes = data.fields, law_of(data), rows, table_sizes(data, rows)
        generator = np.random.default_rng([seed, self.law.stream])
        fields = len(self.sizes)
        self.keys = generator.integers(2**64, size=fields, dtype=np.uint64)
        self.steps = [_coprime(int(step), rows) for step in generator.integers(rows // 4, rows * 3 // 4, size=fields)]
        self.shifts = generator.integers(rows, size=fields)
        others = np.argsort(data.table_sizes)[: -world.largest] if world.largest else []  # fields that say nothing
        self.powers = [self.law.powers.get(field, POWER) for field in self.fields]
        if world.powers:
            self.powers = [world.powers[f in others] for f in range(fields)]
        # x^(1/t - 1) of a uniform x has mean t.
        self.ties = generator.random(fields) ** (1 / self.law.tied - 1) if world.tied else np.zeros(fields)
        self.turns = generator.random(fields) * TURN
        laws = zip(self.sizes, self.powers)
        self.common = [int(power_law(np.array(world.common), n, s)) + 1 if world.common else 0 for n, s in laws]
        # From the real sizes, so that a small file is the same world as a large one.
        importance = np.minimum(data.table_sizes, WEIGHT_CAP) ** WEIGHT_POWER
        directions = generator.standard_normal((fields, RANK)) * importance[:, None]
        directions[others] = 0.0
        directions *= np.sqrt(world.first / (directions**2).sum())
        self.directions = directions.astype(np.float32)  # a_f, (F, r)
        weights = generator.standard_normal(len(self.law.dense))
        self.dense_weights = weights * np.sqrt(world.dense / (weights**2).sum())
        pairs = importance * np.roll(importance, -1)
        self.pair_weights = pairs * np.sqrt(world.pairs / RANK / (pairs**2).sum())  # (F,), of f and its next
        self.scale, self.bias = 1.0, 0.0

    def categories(self, index: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Category of every field in the rows ``index`` (B,) → (F, B) int64, each below the field's size.

        Row i has place (step · i + shift) mod rows. The first n places hold the n categories once each, so that the
        table's size comes out exactly; the other rows draw from the continuous power law x^-s on [1, n + 1), floored.
        """
        out = np.empty((len(self.sizes), len(index)), dtype=np.int64)
        context = generator.random(len(index))
        for f, (field, n) in enumerate(zip(self.fields, self.sizes)):
            u, tie = generator.random(len(index)), self.ties[f]
            u = np.where(u < tie, (context + self.turns[f]) % 1, (u - tie) / (1 - tie))
            rate = self.law.missing.get(field, 0.0)
            if rate:
                # The places below n hold one missing value; the others make up for the rest of the rate.
                rate = (rate * self.rows - 1) / (self.rows - n)
                given = 1 + power_law((u - rate).clip(0) / (1 - rate), n - 1, self.powers[f])
                out[f] = np.where(u < rate, 0, given)
            else:
                out[f] = power_law(u, n, self.powers[f])
            place = (self.steps[f] * index + self.shifts[f]) % self.rows
            np.copyto(out[f], place, where=place < n)
        return out

    def vectors(self, field: int, categories: np.ndarray) -> np.ndarray:
        """v_f(c) for categories (B,) → (B, r) float32."""
        hashed = mix64(categories.astype(np.uint64) + self.keys[field])
        vectors = _normal_quantiles()[hashed.view(np.uint16).reshape(-1, RANK)]
        if self.common[field]:
            vectors[categories < self.common[field]] = 0.0
        return vectors

    def signal(self, categories: np.ndarray, dense: np.ndarray) -> np.ndarray:
        """The signal of rows with these categories (F, B) and standardised dense features (D, B) → (B,) float64."""
        # einsum, not @: BLAS adds in an order that goes by the number of its threads.
        signal = np.einsum("d,db->b", self.dense_weights, dense)
        first = before = self.vectors(0, categories[0])
        for f in range(len(self.sizes)):
            signal += np.einsum("br,r->b", before, self.directions[f])
            after = self.vectors(f + 1, categories[f + 1]) if f + 1 < len(self.sizes) else first
            signal += self.pair_weights[f] * np.einsum("br,br->b", before, after)
            before = after
        return signal

    def calibrate(self, signal: np.ndarray) -> None:
        """Choose scale and bias so that rows with this signal have the law's click rate and best possible AUC."""
        low, high = 0.0, 4.0
        for _ in range(24):
            self.scale = (low + high) / 2
            self.bias = _bias(self.scale * signal, self.law.click_rate)
            auc = ExpectedAuc()
            auc.add(self.probability(signal))
            low, high = (self.scale, high) if auc.value() < self.law.best_auc else (low, self.scale)

    def probability(self, signal: np.ndarray) -> np.ndarray:
        """Click probability of rows with this signal, (B,)."""
        return _sigmoid(self.scale * signal + self.bias)


def mix64(x: np.ndarray) -> np.ndarray:
    """A bijection of 64-bit integers that looks random: SplitMix64's step and finaliser (Steele et al., 2014)."""
    x = x * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _coprime(step: int, rows: int) -> int:
    while math.gcd(step, rows) != 1:
        step += 1
    return step


def power_law(u: np.ndarray, n: int, s: float) -> np.ndarray:
    """Ids 0..n-1 from uniform u: the inverse distribution function of x^-s, s ≠ 1, on [1, n + 1), floored, minus 1."""
    x = (1 - u * (1 - (n + 1.0) ** (1 - s))) ** (1 / (1 - s))
    return np.minimum(x.astype(np.int64) - 1, n - 1)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # no overflow at either end


def _bias(logits: np.ndarray, rate: float) -> float:
    """The bias that makes mean(sigmoid(logits + bias)) the rate, by bisection: Newton's method can overshoot."""
    low, high = -32.0, 32.0
    for _ in range(30):
        bias = (low + high) / 2
        low, high = (bias, high) if _sigmoid(logits + bias).mean() < rate else (low, bias)
    return (low + high) / 2


@cache
def _normal_quantiles() -> np.ndarray:
    """Standard normal values at the 65,536 mid-points of [0, 1]: 16 random bits become one normal."""
    return np.array([NormalDist().inv_cdf((i + 0.5) / 65_536) for i in range(65_536)], dtype=np.float32)
