"""Exact AUC of as many rows as Criteo-Kaggle's test split has, against scikit-learn's."""

import os
import statistics
import time
from importlib.metadata import version

import numpy as np

from mlet_bench.errors import BenchError
from mlet_bench.evaluation.metrics import auc

from .base import Settings, benchmark
from .measure import Measure

ROWS = 3_274_330
TOLERANCE = 1e-12


@benchmark("evaluation")
def bench_auc(settings: Settings, rounds: int = 5) -> list[Measure]:
    """float32 logits through a float64 sigmoid, as a model gives them; the two must agree to 1e-12.

    Raises:
        BenchError: they do not agree.
    """
    from sklearn.metrics import roc_auc_score

    generator = np.random.default_rng(0)
    label = (generator.random(ROWS) < 0.256).astype(np.float32)
    logits = (generator.standard_normal(ROWS) + label - 1.5).astype(np.float32).astype(np.float64)
    probability = 1 / (1 + np.exp(-logits))
    took: dict[str, list[float]] = {"ours": [], "theirs": []}
    found = {}
    for _ in range(rounds):
        for name, function in (("ours", auc), ("theirs", roc_auc_score)):
            clock = time.perf_counter()
            found[name] = function(label, probability)
            took[name].append(time.perf_counter() - clock)
    if abs(found["ours"] - found["theirs"]) > TOLERANCE:
        raise BenchError(f"AUC is {found['ours']}, scikit-learn has {found['theirs']}: a fault of one of the two")
    ours, theirs = (1000 * statistics.median(took[name]) for name in ("ours", "theirs"))
    against = f"scikit-learn {version('scikit-learn')}, roc_auc_score"
    where = f"CPU, {os.cpu_count()} cores", f"numpy {np.__version__}"
    case = f"exact AUC of {ROWS:,} rows"
    return [Measure("evaluation", case, ours, "ms", against, theirs, theirs / ours, "above 1", *where)]
