"""What a run says of each test row, so that two runs can be compared row for row; no torch is needed to read it.

Stored are logits: 4 bytes a row, which hardly compress, 13 MB a run on the full Criteo-Kaggle test split. In float32
they are the model's own output, to the bit; a probability in float32 would make ties that the model did not.
"""

from pathlib import Path

import numpy as np

from mlet_bench.parquet import as_array
from mlet_bench.runs import SCORES, RunFolder


def probabilities(logit: np.ndarray) -> np.ndarray:
    """The click probabilities of logits: (N,) → (N,) float64; of a model that diverged NaN stays NaN."""
    with np.errstate(invalid="ignore"):
        return np.exp(-np.logaddexp(0, -logit.astype(np.float64)))


def read_scores(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) int8 and probabilities (N,) float64 of a run on test.

    Raises:
        BenchError: the file is absent, damaged, or of another run.
    """
    table = RunFolder(folder).table(SCORES)
    return as_array(table["label"]), probabilities(as_array(table["logit"]))
