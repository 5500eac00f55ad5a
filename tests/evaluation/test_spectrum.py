"""A run's spectrum: ranks of its tables and singular values of its factors."""

import numpy as np
import pytest
import torch
from toys import make_spec, train

from mlet_bench.evaluation import spectrum
from mlet_bench.evaluation.deploy import deploy_run
from mlet_bench.evaluation.spectrum import spectrum_run, table_ranks
from mlet_bench.models.build import build_model
from mlet_bench.parquet import table_of_records
from mlet_bench.runs import FACTORS, SPECTRUM, RunFolder


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
    frame = spectrum.factor_spectrum(embedding, schema, "initial").to_pandas()
    assert frame.groupby(["field", "factor"]).size().to_dict() == {
        (field.name, factor): number
        for field in schema.fields
        for factor, number in (("w1", min(field.size, 8)), ("w2", 4))
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
    table = spectrum.factor_spectrum(build_model(make_spec(schema, "single"), schema).embedding, schema, "initial")
    assert len(table) == 0 and table.schema == FACTORS.columns


def test_spectrum_of_a_run(schema, splits, tmp_path):
    counts = {field.name: np.ones(field.size) for field in schema.fields}
    train(make_spec(schema, lr=1.0), schema, splits, tmp_path)
    deploy_run(tmp_path, schema, {"val": splits["val"]})
    table = spectrum_run(tmp_path, schema, counts)
    assert table.equals(RunFolder(tmp_path).table(SPECTRUM))
    frame = table.to_pandas()
    assert len(frame) == 2 * 2 * 4
    factors = RunFolder(tmp_path).table(FACTORS).to_pandas()
    assert factors.groupby("stage").size().to_dict() == dict.fromkeys(("initial", "trained"), (7 + 8 + 3 + 8) + 4 * 4)
    start, end = (factors[factors.stage == stage].singular_value.to_numpy() for stage in ("initial", "trained"))
    assert not np.allclose(start, end, rtol=1e-4)
    assert frame.effective_rank.between(1, 4).all()
    initial = table_ranks(
        build_model(make_spec(schema, lr=1.0), schema).embedding.deployed(),
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
    table = table_of_records(rows, SPECTRUM.columns)
    assert spectrum.mean_effective_rank(table, "initial") == 2.25
    assert spectrum.mean_effective_rank(table, "trained") == 2.0
