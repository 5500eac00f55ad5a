"""Metrics: by hand, against scikit-learn, and under permutation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from mlet_bench.errors import BenchError
from mlet_bench.evaluation import on_device
from mlet_bench.evaluation.metrics import METRICS, accuracy, all_metrics, auc, logloss, normalised_entropy, pr_auc
from mlet_bench.evaluation.scores import probabilities

LABEL = np.array([0, 0, 1, 1])
PROBABILITY = np.array([0.1, 0.4, 0.35, 0.8])


def test_values_by_hand():
    found = all_metrics(LABEL, PROBABILITY)
    assert list(found) == list(METRICS)
    assert found["auc"] == 0.75  # of the 4 pairs only (.4, .35) is the wrong way round
    loss = -(np.log(0.9) + np.log(0.6) + np.log(0.35) + np.log(0.8)) / 4
    assert found["logloss"] == pytest.approx(loss, rel=1e-12)
    assert found["ne"] == pytest.approx(loss / np.log(2), rel=1e-12)
    assert found["pr_auc"] == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3, rel=1e-12)
    assert found["accuracy"] == 0.75
    assert found["calibration"] == pytest.approx(1.65 / 2, rel=1e-12)
    assert [metric.higher_is_better for metric in METRICS.values()] == [True, False, False, True, True, None]


def test_probabilities_by_hand():
    assert probabilities(np.array([0.0, np.log(3), -np.log(3)])) == pytest.approx([0.5, 0.75, 0.25], rel=1e-12)


def test_ties_count_half():
    assert auc([0, 1], [0.5, 0.5]) == 0.5
    assert auc([0, 1, 1, 0], [0.2, 0.2, 0.9, 0.1]) == (1 + 1 + 1 + 0.5) / 4
    assert auc([0, 1], [0.5, np.nextafter(0.5, 1)]) == 1  # the least difference is no tie


@st.composite
def predictions(draw):
    """Labels of both classes; few distinct probabilities, so ties are common."""
    count = draw(st.integers(2, 60))
    label = draw(st.lists(st.integers(0, 1), min_size=count, max_size=count).filter(lambda x: 0 < sum(x) < len(x)))
    probability = draw(st.lists(st.integers(1, 9), min_size=count, max_size=count))
    return np.array(label), np.array(probability) / 10


def test_minus_zero_is_zero():
    assert auc([1, 0], [-0.0, 0.0]) == auc([1, 0], [0.0, -0.0]) == 0.5


@settings(max_examples=150, deadline=None)
@given(predictions(), st.randoms(use_true_random=False))
def test_agreement_with_scikit_learn_and_permutation(case, random):
    label, probability = case
    found = all_metrics(label, probability)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(label, probability), abs=1e-12)
    assert found["logloss"] == pytest.approx(sk.log_loss(label, probability), abs=1e-12)
    assert found["pr_auc"] == pytest.approx(sk.average_precision_score(label, probability), abs=1e-12)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(label, probability >= 0.5), abs=1e-12)
    order = list(range(len(label)))
    random.shuffle(order)
    shuffled = all_metrics(label[order], probability[order])
    assert shuffled["auc"] == found["auc"]
    assert shuffled == pytest.approx(found, abs=1e-12)
    assert auc(1 - label, 1 - probability) == found["auc"]  # the mirror image ranks as well


def test_large_sample_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    probability = rng.beta(1, 3, 200_000).round(4)
    label = rng.random(200_000) < probability
    assert auc(label, probability) == pytest.approx(sk.roc_auc_score(label, probability), abs=1e-12)
    assert pr_auc(label, probability) == pytest.approx(sk.average_precision_score(label, probability), abs=1e-12)


def test_predicting_the_base_rate_has_normalised_entropy_one():
    label = np.array([1.0] * 17 + [0.0] * 83)
    assert normalised_entropy(label, np.full(100, 0.17)) == pytest.approx(1, rel=1e-12)


def test_certain_and_wrong_is_finite():
    assert logloss(np.array([1, 0]), np.array([0.0, 0.5])) == pytest.approx((-np.log(1e-15) + np.log(2)) / 2)


@pytest.mark.parametrize(
    ("label", "probability", "message"),
    [
        ([1, 1], [0.5, 0.6], "both classes"),
        ([], [], "both classes"),
        ([0, 2], [0.5, 0.6], "0 or 1"),
        ([0, 1], [0.5, float("nan")], "diverged"),
        ([0, 1], [0.5, 1.1], "diverged"),
        ([0, 1], [0.5, -0.1], "diverged"),
        ([0, 1, 1], [0.5, 0.6], "equal length"),
        ([0, 1], [0.5, 0.6, 0.7], "equal length"),
        ([[0, 1]], [[0.5, 0.6]], "equal length"),
        (1, 0.5, "equal length"),
    ],
)
def test_bad_input_is_refused(label, probability, message):
    with pytest.raises(BenchError, match=message):
        all_metrics(label, probability)


@settings(max_examples=100, deadline=None)
@given(predictions())
def test_metrics_on_a_device_are_the_hosts(case):
    """Of logits with many ties, as a CPU gives them; both zeros are one value."""
    label, logit = case[0], np.round(np.log(case[1] / (1 - case[1])), 1).astype(np.float32)
    logit[0] *= -1
    given = torch.from_numpy(label).float(), torch.from_numpy(logit)
    probability = probabilities(logit)
    assert on_device.auc(*given) == auc(label, probability)
    assert on_device.accuracy(*given) == accuracy(label, probability)
    assert on_device.logloss(*given) == pytest.approx(logloss(label, probability), rel=1e-12)


def test_a_device_has_the_hosts_largest_loss():
    label, logit = np.array([1, 0]), np.array([-90.0, -90.0], np.float32)
    found = on_device.logloss(torch.from_numpy(label).float(), torch.from_numpy(logit))
    assert found == pytest.approx(logloss(label, probabilities(logit))) == pytest.approx(-np.log(1e-15) / 2)
