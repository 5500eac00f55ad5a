"""A metric that is added to the registry is one of every scored run."""

import numpy as np
import pytest
from toys import groupings, make_spec, train

from mlet_bench.errors import BenchError
from mlet_bench.evaluation.deploy import deploy_run
from mlet_bench.evaluation.evaluate import evaluate_run
from mlet_bench.evaluation.metrics import METRICS, Metric, all_metrics
from mlet_bench.evaluation.scores import read_scores
from mlet_bench.evaluation.verify import verify_run
from mlet_bench.runs import METRICS as METRICS_FILE
from mlet_bench.runs import RunFolder

BRIER = Metric("brier", "Brier", lambda scored: float(np.mean((scored.label - scored.probability) ** 2)), False)


@pytest.fixture
def brier():
    METRICS.add(BRIER)
    yield
    METRICS.remove("brier")


@pytest.fixture
def deployed(schema, splits, tmp_path):
    """Score a deployed run."""
    train(make_spec(schema), schema, splits, tmp_path)
    deploy_run(tmp_path, schema, {"val": splits["val"]})
    scored = {name: splits[name] for name in ("val", "test")}
    return lambda: evaluate_run(tmp_path, schema, scored, groupings(scored))


def test_it_is_among_all_metrics_in_order(brier):
    label, probability = np.array([0, 1]), np.array([0.5, 0.9])
    found = all_metrics(label, probability)
    assert list(found) == list(METRICS) and list(found)[-1] == "brier"
    assert found["brier"] == pytest.approx((0.25 + 0.01) / 2)
    with pytest.raises(BenchError, match="there is a metric 'auc' already"):
        METRICS.add(Metric("auc", "AUC", lambda scored: 0.0, True))


def test_it_stands_in_the_metrics_of_a_run_and_is_verified(brier, deployed, schema, splits, tmp_path):
    metrics = deployed()
    assert RunFolder(tmp_path).document(METRICS_FILE) == metrics
    label, probability = read_scores(tmp_path)
    assert metrics["test"]["brier"] == pytest.approx(float(np.mean((label - probability) ** 2)))
    assert 0 < metrics["val"]["brier"] < 0.25
    checks = verify_run(tmp_path, schema, {name: splits[name] for name in ("val", "test")})
    assert {check.name for check in checks if check.holds} >= {"val brier", "test brier"}


def test_a_run_that_was_scored_before_is_scored_again(deployed, request, schema, splits, tmp_path):
    before = deployed()
    request.getfixturevalue("brier")
    data = {name: splits[name] for name in ("val", "test")}
    failed = {check.name for check in verify_run(tmp_path, schema, data) if not check.holds}
    assert failed - {"provenance"} == {"val brier", "test brier"}
    after = deployed()
    assert after["test"].items() > before["test"].items() and "brier" in after["val"]
