"""What a run says of each test row: labels and logits, so that two runs can be compared row for row.

4 bytes a row hardly compress: 13 MB a run on the full Criteo-Kaggle test split. Logits in float32 are the model's own
output, to the bit; a probability in float32 would make ties that the model did not.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from mlet_bench.parquet import as_array, read_table, table_of_columns, write_table

FILE = "scores.parquet"
SCHEMA = pa.schema({"label": pa.int8(), "logit": pa.float32()})


def probabilities(logit: np.ndarray) -> np.ndarray:
    """The click probabilities of logits: (N,) → (N,) float64; of a model that diverged NaN stays NaN."""
    with np.errstate(invalid="ignore"):
        return np.exp(-np.logaddexp(0, -logit.astype(np.float64)))  # no torch: a comparison starts sooner without


def write_scores(folder: Path, label: np.ndarray, logit: np.ndarray) -> None:
    """Write ``scores.parquet``. label: (N,) of 0 and 1; logit: (N,) float32; in the order of the test split."""
    write_table(folder / FILE, table_of_columns([label, logit], SCHEMA), compression="zstd")


def read_scores(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) int8 and probabilities (N,) float64 of a run on test.

    Raises:
        BenchError: the file is absent or damaged.
    """
    table = read_table(folder / FILE, "evaluate the run with 'mlet-bench evaluate' (a damaged file must go first)")
    return as_array(table["label"]), probabilities(as_array(table["logit"]))
