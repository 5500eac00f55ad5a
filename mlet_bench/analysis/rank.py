"""Effective and stable rank of embedding tables (claim C4)."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from mlet_bench.data.dataset import training_counts
from mlet_bench.embeddings import FieldTables, MLETTables
from mlet_bench.evaluation.collapse import load_collapsed, load_trained
from mlet_bench.models import build_model
from mlet_bench.parquet import table_of_records, write_table
from mlet_bench.spec import DatasetSchema, RunSpec

FACTORS = pa.schema(
    {
        "field": pa.string(),
        "stage": pa.string(),
        "factor": pa.string(),
        "index": pa.int64(),
        "singular_value": pa.float64(),
    }
)
RANKS = pa.schema(
    {
        "field": pa.string(),
        "size": pa.int64(),
        "stage": pa.string(),
        "weighting": pa.string(),
        "effective_rank": pa.float64(),
        "stable_rank": pa.float64(),
    }
)


def singular_values(table: Tensor, weights: Tensor | None = None) -> Tensor:
    """Singular values of diag(sqrt(weights)) · table, largest first: (n, d) → (d,) float64.

    From the eigenvalues of the d×d Gram matrix, summed in float64 over blocks of rows: n may be millions. Singular
    values below 1e-8 of the largest one are lost in rounding, far below what a rank here can notice.
    """
    gram = torch.zeros(table.shape[1], table.shape[1], dtype=torch.float64, device=table.device)
    step = 2**18
    for start in range(0, len(table), step):
        rows = table[start : start + step].double()  # (≤ step, d)
        weighted = rows if weights is None else rows * weights[start : start + step, None]
        gram += weighted.T @ rows
    return torch.linalg.eigvalsh(gram).clamp(min=0).sqrt().flip(0)


def effective_rank(values: Tensor) -> float:
    """exp(entropy) of the singular values normalised to sum 1 (Roy & Vetterli 2007). (d,) → between 1 and d.

    NaN for a table of zeros, whose rank means nothing.
    """
    share = values / values.sum()
    return torch.special.entr(share).sum().exp().item()


def stable_rank(values: Tensor) -> float:
    """Squared Frobenius norm over squared spectral norm (Rudelson & Vershynin 2007). (d,) → between 1 and d."""
    return (values.square().sum() / values.max().square()).item()


@torch.no_grad()
def table_ranks(embedding: FieldTables, schema: DatasetSchema, counts: dict[str, Tensor], stage: str) -> pa.Table:
    """Both ranks of each field's n×d table, plain (``uniform``) and with rows weighted by training frequency.

    Args:
        counts: (n,) training rows of each category, by field.
        stage: ``initial`` or ``trained``.

    Returns:
        The columns of ``RANKS``, two rows a field.
    """
    records = []
    for number, field in enumerate(schema.fields):
        table = embedding.table(number)
        for weighting, weights in (("uniform", None), ("training", counts[field.name])):
            values = singular_values(table, weights)
            ranks = (effective_rank(values), stable_rank(values))
            records.append((field.name, field.size, stage, weighting, *ranks))
    return table_of_records(records, RANKS)


def mean_effective_rank(ranks: pa.Table, stage: str) -> float:
    """The mean over the fields of the plain effective rank at a stage; a table of zeros has none and is left out."""
    chosen = [row for row in ranks.to_pylist() if (row["stage"], row["weighting"]) == (stage, "uniform")]
    return float(np.nanmean([row["effective_rank"] for row in chosen]))


@torch.no_grad()
def factor_spectrum(embedding: FieldTables, schema: DatasetSchema, stage: str) -> pa.Table:
    """Singular values of W1 and W2 of each field.

    An SGD step scales the component of the gradient dL/dE along W1's i-th left and W2's j-th right singular vector by
    σᵢ(W1)² + σⱼ(W2)² (from dE = -η (G W2ᵀW2 + W1W1ᵀ G)); the single layer's scale is 1.

    Returns:
        The columns of ``FACTORS``: k values of W1 and min(k, d) of W2 a field, largest first; no rows for a
        single layer.
    """
    records = []
    for number, field in enumerate(schema.fields if isinstance(embedding, MLETTables) else ()):
        w2 = embedding.w2[number]
        factors = {"w1": singular_values(embedding.field_rows(number)), "w2": singular_values(w2)[: min(w2.shape)]}
        for factor, values in factors.items():
            records += [(field.name, stage, factor, index, value) for index, value in enumerate(values.tolist())]
    return table_of_records(records, FACTORS)


class Spectrum:
    """Ranks and factors of a run at its start and trained, taken while each model is in memory: W1 can have 17 GB."""

    def __init__(self, schema: DatasetSchema, data_folder: Path):
        names = [field.name for field in schema.fields]
        self._counts = {name: torch.tensor(training_counts(data_folder, name), dtype=torch.float64) for name in names}
        self._schema = schema
        self._factors: list[pa.Table] = []
        self._ranks: list[pa.Table] = []

    def take_initial(self, model: nn.Module) -> None:
        """Take those of the model as it was drawn."""
        self._take_factors(model, "initial")
        self._take_ranks(model, "initial")

    def take_trained(self, model: nn.Module, collapsed: nn.Module) -> None:
        """Take the factors of the trained model and the ranks of the collapsed one."""
        self._take_factors(model, "trained")
        self._take_ranks(collapsed, "trained")

    def write(self, folder: Path) -> pa.Table:
        """Write ``spectrum.parquet`` and ``factors.parquet``; the content of the former, the columns of ``RANKS``."""
        write_table(folder / "factors.parquet", pa.concat_tables(self._factors))
        table = pa.concat_tables(self._ranks)
        write_table(folder / "spectrum.parquet", table)
        return table

    def _take_factors(self, model: nn.Module, stage: str) -> None:
        self._factors.append(factor_spectrum(model.embedding, self._schema, stage))

    def _take_ranks(self, model: nn.Module, stage: str) -> None:
        self._ranks.append(table_ranks(model.embedding, self._schema, self._counts, stage))


def spectrum_run(folder: Path, schema: DatasetSchema, data_folder: Path) -> pa.Table:
    """Write ``spectrum.parquet`` and ``factors.parquet`` of a collapsed run; the content of the former.

    The initial tables are drawn again from the run's seed; the trained ones are the collapsed model's, the trained
    factors the factorised model's.
    """
    spec, spectrum = RunSpec.read(folder), Spectrum(schema, data_folder)
    model = build_model(spec, schema)  # as drawn, until its state is loaded
    spectrum.take_initial(model)
    if spec.settings.method == "mlet":
        load_trained(spec, schema, folder, model)
    spectrum.take_trained(model, load_collapsed(folder)[0])
    return spectrum.write(folder)
