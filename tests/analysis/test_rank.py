"""Ranks: values by hand, against numpy's SVD, and a run's spectrum."""

import math

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from toys import make_spec

from mlet_bench.analysis import rank
from mlet_bench.analysis.rank import effective_rank, singular_values, spectrum_run, stable_rank, table_ranks
from mlet_bench.evaluation.collapse import collapse_run
from mlet_bench.models import build_model
from mlet_bench.parquet import table_of_records
from mlet_bench.training.loop import train


def test_ranks_by_hand():
    values = torch.tensor([3.0, 1.0], dtype=torch.float64)
    # shares 3/4 and 1/4: exp(-(3/4 ln 3/4 + 1/4 ln 1/4)) = 4 / 3^(3/4)
    assert effective_rank(values) == pytest.approx(4 / 3**0.75, rel=1e-12)
    assert stable_rank(values) == pytest.approx(10 / 9, rel=1e-12)


@pytest.mark.parametrize("d", [1, 2, 7])
def test_orthogonal_and_rank_one_tables_are_the_extremes(d):
    orthogonal = singular_values(torch.eye(9)[:, :d] * 0.3)
    assert effective_rank(orthogonal) == pytest.approx(d, rel=1e-9)
    assert stable_rank(orthogonal) == pytest.approx(d, rel=1e-9)
    one = singular_values(torch.outer(torch.arange(1.0, 10.0), torch.arange(1.0, d + 1)))
    assert effective_rank(one) == pytest.approx(1, abs=1e-5)
    assert stable_rank(one) == pytest.approx(1, rel=1e-9)


def test_a_table_of_zeros_has_no_rank():
    values = singular_values(torch.zeros(5, 3))
    assert math.isnan(effective_rank(values)) and math.isnan(stable_rank(values))


def test_singular_values_agree_with_numpy(monkeypatch):
    table = torch.from_numpy(np.random.default_rng(0).normal(size=(500, 12)).astype(np.float32))
    weights = torch.arange(500, dtype=torch.float64)
    expected = np.linalg.svd(table.double().numpy(), compute_uv=False)
    np.testing.assert_allclose(singular_values(table).numpy(), expected, rtol=1e-10)
    expected = np.linalg.svd(table.double().numpy() * np.sqrt(np.arange(500))[:, None], compute_uv=False)
    np.testing.assert_allclose(singular_values(table, weights).numpy(), expected, rtol=1e-10)


def test_a_row_never_trained_on_does_not_weigh(schema):
    model = build_model(make_spec(schema), schema)
    ones = {field.name: torch.ones(field.size, dtype=torch.float64) for field in schema.fields}
    frame = table_ranks(model.embedding, schema, ones, "initial").to_pandas()
    assert len(frame) == 2 * 4
    uniform, weighted = (frame[frame.weighting == name].effective_rank.to_numpy() for name in ("uniform", "training"))
    np.testing.assert_allclose(uniform, weighted, rtol=1e-9)
    some = ones | {"C2": torch.tensor([1.0] + [0.0] * 39, dtype=torch.float64)}
    frame = table_ranks(model.embedding, schema, some, "initial").to_pandas()
    row = frame[(frame.field == "C2") & (frame.weighting == "training")].iloc[0]
    assert row.effective_rank == pytest.approx(1, abs=1e-5)


def test_factor_spectrum_agrees_with_numpy_and_with_the_scale_of_a_step(schema):
    embedding = build_model(make_spec(schema), schema).embedding
    frame = rank.factor_spectrum(embedding, schema, "initial").to_pandas()
    assert frame.groupby(["field", "factor"]).size().to_dict() == {
        (field.name, factor): number for field in schema.fields for factor, number in (("w1", 8), ("w2", 4))
    }
    w1, w2 = embedding.field_rows(1).detach().double().numpy(), embedding.w2[1].detach().double().numpy()
    mine = {name: part.singular_value.to_numpy() for name, part in frame[frame.field == "C2"].groupby("factor")}
    u, s1, _ = np.linalg.svd(w1, full_matrices=False)
    _, s2, v = np.linalg.svd(w2, full_matrices=False)
    np.testing.assert_allclose(mine["w1"], s1, rtol=1e-9)
    np.testing.assert_allclose(mine["w2"], s2, rtol=1e-9)
    # the first-order change of W1 W2 under a gradient along one pair of singular vectors
    gradient = np.outer(u[:, 2], v[1])
    change = gradient @ w2.T @ w2 + w1 @ w1.T @ gradient
    np.testing.assert_allclose(change, (mine["w1"][2] ** 2 + mine["w2"][1] ** 2) * gradient, atol=1e-12)


def test_a_single_layer_has_no_factors(schema):
    table = rank.factor_spectrum(build_model(make_spec(schema, "single"), schema).embedding, schema, "initial")
    assert len(table) == 0 and table.schema == rank.FACTORS


def test_spectrum_of_a_run(schema, splits, tmp_path, monkeypatch):
    monkeypatch.setattr(
        rank, "training_counts", lambda _, name: np.ones(dict(zip(["C1", "C2", "C3", "C4"], schema.table_sizes))[name])
    )
    train(make_spec(schema, lr=1.0), schema, splits, tmp_path)
    collapse_run(tmp_path, schema, {"val": splits["val"]})
    table = spectrum_run(tmp_path, schema, tmp_path)
    assert table.equals(pq.read_table(tmp_path / "spectrum.parquet"))
    frame = table.to_pandas()
    assert len(frame) == 2 * 2 * 4
    factors = pd.read_parquet(tmp_path / "factors.parquet")
    assert factors.groupby("stage").size().to_dict() == {"initial": 4 * 12, "trained": 4 * 12}
    assert frame.effective_rank.between(1, 4).all()
    initial = table_ranks(
        build_model(make_spec(schema, lr=1.0), schema).embedding.collapse(),
        schema,
        {field.name: torch.ones(field.size) for field in schema.fields},
        "initial",
    ).to_pandas()
    found = frame[frame.stage == "initial"].effective_rank.to_numpy()
    np.testing.assert_allclose(found, initial.effective_rank, rtol=1e-5)
    assert not np.allclose(found, frame[frame.stage == "trained"].effective_rank, rtol=1e-4)


def test_mean_effective_rank_by_hand_without_tables_of_zeros():
    fields = {"C1": 1.5, "C2": 3.0, "C3": float("nan")}
    rows = [(name, 9, "initial", "uniform", value, 1.0) for name, value in fields.items()]
    rows += [("C1", 9, "initial", "training", 9.0, 1.0), ("C1", 9, "trained", "uniform", 2.0, 1.0)]
    table = table_of_records(rows, rank.RANKS)
    assert rank.mean_effective_rank(table, "initial") == 2.25
    assert rank.mean_effective_rank(table, "trained") == 2.0
