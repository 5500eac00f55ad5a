"""What the intervals promise, on a few thousand draws: the short form of ``python -m benchmarks coverage``."""

import numpy as np
import pytest

from benchmarks.coverage import (
    BASELINES,
    NOISES,
    World,
    factor_coverage,
    mean_coverage,
    row_errors,
    verdicts,
)
from mlet_bench.claims.verdicts import NOT_REPRODUCED, REPRODUCED, VACUOUS


def rng():
    return np.random.default_rng(1)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("seeds", [5, 10])
def test_nominal_95_percent_cover_95_percent(noise, seeds):
    assert 0.93 <= mean_coverage(noise, seeds, 4000, rng()) <= 0.975
    world = World("linear", noise, 4)
    # Outliers widen a t interval more than they move its mean.
    assert 0.93 <= factor_coverage(world, seeds, 4000, rng()) <= (0.975 if noise == "normal" else 0.985)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("seeds", [2, 5, 10])
def test_an_identical_mlet_is_hardly_ever_reproduced(baseline, noise, seeds):
    found = verdicts(World(baseline, noise, 1), seeds, 500, rng())
    assert found[REPRODUCED] <= 0.03
    if seeds >= 5:
        assert found[VACUOUS if baseline == "peaked" else NOT_REPRODUCED] > 0.7


def test_a_true_factor_of_four_is_seen_with_ten_seeds():
    found = verdicts(World("linear", "normal", 4), 10, 500, rng())
    assert found[REPRODUCED] > 0.85 and found[NOT_REPRODUCED] < 0.03
    found = verdicts(World("linear", "normal", 2), 10, 500, rng())
    assert found[NOT_REPRODUCED] > 0.85 and found[REPRODUCED] < 0.05


def test_seeds_alone_find_differences_that_only_the_test_rows_made():
    alone, both = row_errors(5, 60, rng(), rows=600)
    assert alone > 0.25 and both <= 0.12
