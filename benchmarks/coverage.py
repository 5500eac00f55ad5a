"""How often the suite's intervals and verdicts are right, on qualities that are simulated from a known truth.

Nothing is timed: ours is a share of repetitions. A run's AUC is the truth of its width plus noise of standard deviation
5e-4; a single layer gains 5e-4 for each doubling of its width (``linear``), ever less (``saturating``), or loses again
beyond a width (``peaked``). MLET is worth a single layer 1, 2, 4 or 8 times as wide.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mlet_bench.claims.c1_reduction import REDUCTION, WIDTHS, judge_reduction
from mlet_bench.claims.verdicts import NOT_REPRODUCED, REPRODUCED, VACUOUS
from mlet_bench.evaluation.metrics import auc
from mlet_bench.statistics.delong import deviations
from mlet_bench.statistics.intervals import DECISIVE_PAIRS, LEVEL, Interval, mean_interval
from mlet_bench.statistics.reduction import STEPS, between, equal_widths

from .base import Settings, benchmark
from .measure import Measure

SEEDS, TRUTHS, DIMS = (2, 3, 5, 10), (1, 2, 4, 8), np.array([4, 8, 16, 32, 64])
SPREAD = GAIN = 5e-4
Noise = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
NOISES: dict[str, Noise] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "heavy tails": lambda rng, shape: rng.standard_t(3, size=shape) / 3**0.5,
}
# Quality of a single layer of 2^x times the narrowest width, in gains.
BASELINES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda x: x,
    "saturating": lambda x: 3 * (1 - 2.0**-x),
    "peaked": lambda x: x - 0.4 * x**2,
}


@dataclass(frozen=True)
class World:
    """A truth to draw qualities from.

    Attributes:
        baseline, noise: names of ``BASELINES`` and ``NOISES``.
        truth: MLET of width d is as good as the best single layer of width ``truth`` d or less.
    """

    baseline: str
    noise: str
    truth: int

    def draw(self, rng: np.random.Generator, repeats: int, seeds: int) -> tuple[np.ndarray, np.ndarray]:
        """AUC of the single layers (repeats, W, seeds), and of MLET at each of ``WIDTHS`` (repeats, 3, seeds)."""
        noise = SPREAD * NOISES[self.noise](rng, (repeats, len(DIMS) + len(WIDTHS), seeds))
        single = GAIN * BASELINES[self.baseline](np.log2(DIMS / DIMS[0]))
        mlet = np.array([self.quality(d) for d in WIDTHS])
        return single[:, None] + noise[:, : len(DIMS)], mlet[:, None] + noise[:, len(DIMS) :]

    def quality(self, dim: int) -> float:
        """The mean AUC of MLET, between measured widths as the single layers are read."""
        fine = np.log2(DIMS[-1] / DIMS[0] * self.truth)
        x = np.linspace(0, fine, int(fine) * STEPS + 1)
        reached = np.interp(x, np.arange(int(fine) + 1), BASELINES[self.baseline](np.arange(int(fine) + 1)))
        return GAIN * float(np.maximum.accumulate(reached)[np.searchsorted(x, np.log2(dim * self.truth / DIMS[0]))])


def mean_coverage(noise: str, seeds: int, repeats: int, rng: np.random.Generator) -> float:
    """How often the interval of a mean holds it; NaN where there is no interval."""
    if seeds < DECISIVE_PAIRS:
        return float("nan")
    found = [mean_interval(values) for values in NOISES[noise](rng, (repeats, seeds))]
    return float(np.mean([interval.low <= 0 <= interval.high for interval in found]))


def factor_coverage(world: World, seeds: int, repeats: int, rng: np.random.Generator) -> float:
    """How often the interval of the reduction factor holds the width at which the truths meet.

    At d = 4, or 8 for a truth of 1: inside the measured widths, so that both ends can miss.
    """
    if seeds < DECISIVE_PAIRS:
        return float("nan")
    place = int(world.truth == 1)
    single, mlet = world.draw(rng, repeats, seeds)
    ahead = mlet[:, [place]] - between(single)  # (repeats, P, seeds)
    found = equal_widths(DIMS.astype(float), ahead, 0.0, LEVEL)
    true = GAIN * BASELINES[world.baseline](np.log2(DIMS / DIMS[0]))
    meet = equal_widths(DIMS.astype(float), world.quality(WIDTHS[place]) + 1e-12 - between(true[:, None]), 0.0, LEVEL)
    return float(np.mean((found[:, 1] <= meet[0]) & (meet[0] <= found[:, 2])))


def verdicts(world: World, seeds: int, repeats: int, rng: np.random.Generator) -> dict[str, float]:
    """How often C1's rule gives each verdict."""
    single, mlet = world.draw(rng, repeats, seeds)
    own = single[:, [int(np.flatnonzero(d == DIMS)[0]) for d in WIDTHS]]
    wider = single[:, [int(np.flatnonzero(REDUCTION * d == DIMS)[0]) for d in WIDTHS]]
    ahead, width = _intervals((mlet - wider).mean(1)), _intervals((wider - own).mean(1))
    said = [judge_reduction(*pair).verdict for pair in zip(ahead, width)]
    return {verdict: said.count(verdict) / repeats for verdict in (REPRODUCED, NOT_REPRODUCED, VACUOUS)}


def row_errors(seeds: int, repeats: int, rng: np.random.Generator, rows: int = 3000) -> tuple[float, float]:
    """How often 0 is excluded between two arms of equal AUC on fresh test rows: by seeds alone, and by both.

    A row's score has a part that all models share, one of the arm, the same with every seed, and one of the run.
    """
    alone, both = 0, 0
    for _ in range(repeats):
        label = (rng.random(rows) < 0.25).astype(float)
        shared = rng.normal(size=rows) + label
        runs = [[shared + arm + rng.normal(scale=0.1, size=rows) for _ in range(seeds)]
                for arm in rng.normal(scale=0.3, size=(2, rows))]  # fmt: skip
        scores = 1 / (1 + np.exp(-np.array(runs)))  # (2, seeds, rows)
        areas = np.array([[auc(label, score) for score in arm] for arm in scores])
        spread = np.array([[deviations(label, score) for score in arm] for arm in scores]).mean(1)
        error = float(np.linalg.norm(spread[0] - spread[1]))
        for number, found in enumerate((mean_interval(areas[0] - areas[1]), mean_interval(areas[0] - areas[1], error))):
            missed = not found.low <= 0 <= found.high
            alone, both = alone + (missed and not number), both + (missed and bool(number))
    return alone / repeats, both / repeats


def _intervals(values: np.ndarray) -> list[Interval]:
    """(repeats, seeds) → the interval of each."""
    count = values.shape[1]
    means, errors = values.mean(1), values.std(1, ddof=1) / count**0.5
    return [Interval(mean, error, count) for mean, error in zip(means.tolist(), errors.tolist())]


def tables(repeats: int, rng: np.random.Generator) -> str:
    """What docs/statistics.md shows: below ``DECISIVE_PAIRS`` there are neither intervals nor verdicts."""
    worlds = [World(baseline, noise, truth) for noise in NOISES for baseline in BASELINES for truth in TRUTHS]
    # Beyond the peak every truth is the same.
    worlds = [world for world in worlds if world.baseline != "peaked" or world.truth == 1]
    lines = _table("Coverage of nominal 95% intervals", SEEDS)
    for noise in NOISES:
        found = [_share(mean_coverage(noise, seeds, repeats, rng)) for seeds in SEEDS]
        lines.append(f"| mean, {noise} | {' | '.join(found)} |")
    for world in worlds:
        found = [_share(factor_coverage(world, seeds, repeats, rng)) for seeds in SEEDS]
        lines.append(f"| factor {world.truth}x, {world.baseline}, {world.noise} | {' | '.join(found)} |")
    decisive = [seeds for seeds in SEEDS if seeds >= DECISIVE_PAIRS]
    lines += ["", *_table("Verdicts of C1: reproduced / not reproduced / vacuous", decisive)]
    for world in worlds:
        found = [" / ".join(map(_share, verdicts(world, seeds, repeats, rng).values())) for seeds in decisive]
        lines.append(f"| MLET worth {world.truth}x, {world.baseline}, {world.noise} | {' | '.join(found)} |")
    return "\n".join(lines)


def _table(title: str, seeds: Sequence[int]) -> list[str]:
    return [f"| {title} | {' | '.join(f'{number} seeds' for number in seeds)} |", "|---" * (len(seeds) + 1) + "|"]


def _share(value: float) -> str:
    return "range" if np.isnan(value) else f"{value:.2f}"


@benchmark("coverage")
def coverage(settings: Settings) -> list[Measure]:
    """Coverage, false verdicts and power; the whole tables are printed, the measures are what must hold."""
    rng, repeats = np.random.default_rng(0), 1000
    print(tables(repeats, rng) + "\n")
    measures = []

    def add(case: str, found: float, against: str, theirs: float) -> None:
        ratio = found / theirs if theirs else found
        measures.append(Measure("coverage", case, found, "share", against, theirs, ratio, "", "CPU", "numpy"))

    for seeds in (5, 10):
        for noise in NOISES:
            add(f"mean, {seeds} seeds, {noise}", mean_coverage(noise, seeds, repeats, rng), "nominal", 1 - LEVEL)
        for baseline in BASELINES:
            false = verdicts(World(baseline, "normal", 1), seeds, repeats, rng)[REPRODUCED]
            add(f"an identical MLET is reproduced, {seeds} seeds, {baseline}", false, "limit", 0.03)
        alone, both = row_errors(seeds, 200, rng)
        add(f"equal arms on 3,000 rows differ, {seeds} seeds, over seeds alone", alone, "nominal", LEVEL)
        add(f"equal arms on 3,000 rows differ, {seeds} seeds, over seeds and rows", both, "nominal", LEVEL)
    return measures
