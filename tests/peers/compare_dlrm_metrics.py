"""facebookresearch/dlrm: the metrics of its inference code."""

import numpy as np
from agreements import Agreement, comparison
from checkouts import DLRM
from peer_metrics import peer_metrics, predictions

from mlet_bench.evaluation.metrics import all_metrics

# Ours by the peer's names; the two accuracies are its two ways to count.
NAMES = {"roc_auc": "auc", "ap": "pr_auc", "accuracy": "accuracy", "batch_accuracy": "accuracy", "bce": "logloss"}
ROWS = 100_000


@comparison
def dlrm_metrics() -> list[Agreement]:
    """All that both have, on 100,000 equal predictions with ties."""
    label, probability = predictions(ROWS)
    mine, theirs = all_metrics(label, probability), peer_metrics(label, probability)
    ties = f"{ROWS} rows, {len(np.unique(probability))} distinct predictions"
    return [
        Agreement(DLRM.name, DLRM.version, f"metrics: {their_name}", ties, abs(mine[name] - theirs[their_name]), 1e-12)
        for their_name, name in NAMES.items()
    ]
