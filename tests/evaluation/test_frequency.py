"""Quality by frequency: groups by hand, and the metrics within them."""

import math

import numpy as np
import pytest

from mlet_bench.evaluation.frequency import quality_by_frequency, row_frequencies
from mlet_bench.evaluation.metrics import auc
from mlet_bench.runs import BY_FREQUENCY


def test_frequencies_by_hand():
    """Rare is a category that fewer than ten training rows have."""
    counts = [np.array([5, 0]), np.array([7, 2, 9]), np.array([1, 100])]
    found = row_frequencies(np.array([[0, 2, 1], [1, 1, 0], [0, 0, 1]]), counts)
    assert found["whole"].tolist() == [0, 0, 0]
    assert found["rare fields"].tolist() == [2, 3, 2]
    assert found["typical"].tolist() == [9, 1, 7]
    assert row_frequencies(np.array([[0], [1]]), [np.array([9, 10])])["rare fields"].tolist() == [1, 0]


def test_rows_with_the_most_rare_fields_come_first():
    label, probability = np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4])
    frame = quality_by_frequency(label, probability, {"rare fields": np.array([0, 2, 0, 5])}, groups=2).to_pandas()
    assert frame[["group", "low", "high", "rows", "clicks"]].to_numpy().tolist() == [[0, 2, 5, 2, 2], [1, 0, 0, 2, 0]]


def test_groups_by_hand():
    frequency = np.array([0, 0, 0, 1, 2, 3, 4, 50, 60, 70])
    label = np.array([0, 1, 1, 0, 1, 0, 1, 0, 0, 0])
    probability = np.linspace(0.1, 0.9, 10)
    frame = quality_by_frequency(label, probability, {"typical": frequency}, groups=2).to_pandas()
    assert tuple(frame.columns) == tuple(BY_FREQUENCY.columns.names)
    assert frame[["group", "low", "high", "rows", "clicks"]].to_numpy().tolist() == [[0, 0, 2, 5, 3], [1, 3, 70, 5, 1]]
    assert frame.auc.tolist() == [auc(label[:5], probability[:5]), auc(label[5:], probability[5:])]


def test_equal_frequencies_stay_together():
    frequencies = {"typical": np.array([0] * 90 + [1] * 10)}
    frame = quality_by_frequency(np.array([0, 1] * 50), np.full(100, 0.5), frequencies).to_pandas()
    assert frame.rows.tolist() == [90, 10]
    assert (frame.auc == 0.5).all() and np.linalg.norm(frame.deviations[0]) == 0


def test_a_group_of_one_class_has_no_auc():
    table = quality_by_frequency(np.array([0, 0, 1, 0]), np.full(4, 0.25), {"typical": np.arange(4)}, groups=2)
    frame = table.to_pandas()
    assert math.isnan(frame.auc[0]) and frame.auc[1] == 0.5 and np.isnan(frame.deviations[1]).all()  # one click
    assert frame.logloss[0] == pytest.approx(-math.log(0.75))


def test_groups_cover_every_row_once_and_do_not_depend_on_the_model():
    rng = np.random.default_rng(0)
    frequency = rng.geometric(0.01, 1000).astype(float)
    label = rng.random(1000) < 0.3
    tables = [quality_by_frequency(label, rng.random(1000), {"typical": frequency}) for _ in range(2)]
    frames = [table.to_pandas() for table in tables]
    own = ["auc", "logloss", "deviations"]
    assert frames[0].rows.sum() == 1000 and len(frames[0]) == 5
    assert frames[0].drop(columns=own).equals(frames[1].drop(columns=own))
    assert (frames[0].high[:-1].to_numpy() < frames[0].low[1:].to_numpy()).all()
