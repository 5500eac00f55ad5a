"""Ranks of a run's tables and singular values of its factors (claim C4): ``spectrum.parquet``, ``factors.parquet``."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from mlet_bench.embeddings.base import FieldTables
from mlet_bench.evaluation.deploy import load_deployed, load_trained
from mlet_bench.models.base import ClickModel
from mlet_bench.models.build import build_model
from mlet_bench.parquet import table_of_records
from mlet_bench.runs import FACTORS, SPECTRUM, RunFolder
from mlet_bench.spec import DatasetSchema
from mlet_bench.statistics.rank import effective_rank, singular_values, stable_rank


@torch.no_grad()
def table_ranks(embedding: FieldTables, schema: DatasetSchema, counts: dict[str, Tensor], stage: str) -> pa.Table:
    """Both ranks of each field's n×d table, plain (``uniform``) and with rows weighted by training frequency.

    Args:
        counts: (n,) training rows of each category, by field.
        stage: ``initial`` or ``trained``.

    Returns:
        The columns of ``runs.SPECTRUM``, two rows a field.
    """
    records = []
    for number, field in enumerate(schema.fields):
        table = embedding.table(number)
        for weighting, weights in (("uniform", None), ("training", counts[field.name].to(table.device))):
            values = singular_values(table, weights)
            ranks = (effective_rank(values), stable_rank(values))
            records.append((field.name, field.size, stage, weighting, *ranks))
    return table_of_records(records, SPECTRUM.columns)


def mean_effective_rank(ranks: pa.Table, stage: str) -> float:
    """The mean over the fields of the plain effective rank at a stage; a table of zeros has none and is left out."""
    chosen = [row for row in ranks.to_pylist() if (row["stage"], row["weighting"]) == (stage, "uniform")]
    return float(np.nanmean([row["effective_rank"] for row in chosen]))


@torch.no_grad()
def factor_spectrum(embedding: FieldTables, schema: DatasetSchema, stage: str) -> pa.Table:
    """Singular values of the factors of each field, W1 and W2 of MLET.

    An SGD step scales the component of the gradient dL/dE along W1's i-th left and W2's j-th right singular vector by
    σᵢ(W1)² + σⱼ(W2)² (from dE = -η (G W2ᵀW2 + W1W1ᵀ G)); the single layer's scale is 1.

    Returns:
        The columns of ``runs.FACTORS``, largest first; no rows for a method without factors.
    """
    records = []
    for number, field in enumerate(schema.fields):
        for factor, matrix in embedding.factors(number).items():
            values = singular_values(matrix)[: min(matrix.shape)].tolist()
            records += [(field.name, stage, factor, index, value) for index, value in enumerate(values)]
    return table_of_records(records, FACTORS.columns)


class Spectrum:
    """Ranks and factors of a run at its start and trained, taken while each model is in memory: W1 can have 17 GB.

    Args:
        counts: (n,) training rows of each category, by field.
    """

    def __init__(self, schema: DatasetSchema, counts: Mapping[str, np.ndarray]):
        self._counts = {name: torch.tensor(found, dtype=torch.float64) for name, found in counts.items()}
        self._schema = schema
        self._factors: list[pa.Table] = []
        self._ranks: list[pa.Table] = []

    def take_initial(self, model: ClickModel) -> None:
        """Take those of the model as it was drawn."""
        self._take(model, model, "initial")

    def take_trained(self, model: ClickModel, served: ClickModel) -> None:
        """Take the factors of the trained model and the ranks of the deployed one."""
        self._take(model, served, "trained")

    def write(self, folder: Path, run_id: str) -> pa.Table:
        """Write ``spectrum.parquet`` and ``factors.parquet``; the content of the former."""
        run, table = RunFolder(folder), pa.concat_tables(self._ranks)
        run.write_table(FACTORS, pa.concat_tables(self._factors), run_id)
        run.write_table(SPECTRUM, table, run_id)
        return table

    def _take(self, factored: ClickModel, ranked: ClickModel, stage: str) -> None:
        self._factors.append(factor_spectrum(factored.embedding, self._schema, stage))
        self._ranks.append(table_ranks(ranked.embedding, self._schema, self._counts, stage))


def spectrum_run(folder: Path, schema: DatasetSchema, counts: Mapping[str, np.ndarray]) -> pa.Table:
    """Write ``spectrum.parquet`` and ``factors.parquet`` of a deployed run; the content of the former.

    The initial tables are drawn again from the run's seed; the trained ones are the deployed model's, the trained
    factors the factorised model's.
    """
    spec, spectrum = RunFolder(folder).spec, Spectrum(schema, counts)
    model = build_model(spec, schema)  # as drawn, until its state is loaded
    spectrum.take_initial(model)
    if model.embedding.factors(0):
        load_trained(spec, schema, folder, model)
    spectrum.take_trained(model, load_deployed(folder)[0])
    return spectrum.write(folder, spec.id)
