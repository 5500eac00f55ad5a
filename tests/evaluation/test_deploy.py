"""From a trained run to its metrics: every arm deploys, agrees, loads from its two files alone, is scored once."""

import math

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_torch
from safetensors.torch import save_file
from torch import nn
from toys import groupings, make_rows, make_spec, train

from mlet_bench.arms import ARMS
from mlet_bench.embeddings.mlet import MLETTables
from mlet_bench.errors import BenchError, DeployRefusedError, DivergedError
from mlet_bench.evaluation.deploy import (
    TOLERANCE,
    compare_logits,
    deploy_run,
    load_deployed,
    load_trained,
    logit_tolerance,
)
from mlet_bench.evaluation.evaluate import evaluate_run
from mlet_bench.evaluation.metrics import all_metrics
from mlet_bench.evaluation.score import predict
from mlet_bench.evaluation.scores import read_scores
from mlet_bench.files import file_digest, read_json, write_sealed
from mlet_bench.runs import MODEL, PROVENANCE, RunFolder
from mlet_bench.spec import RunSpec


@pytest.fixture
def trained(schema, splits, tmp_path):
    """Train an arm and return its folder."""

    def train_arm(arm="mlet"):
        return train(make_spec(schema, arm), schema, splits, tmp_path / arm)

    return train_arm


def models_of(folder, schema):
    """The trained and the deployed model."""
    return load_trained(RunSpec.read(folder), schema, folder), load_deployed(folder)[0]


def wrong_by(monkeypatch, value):
    """Add a value to every row that MLET deploys."""
    right = MLETTables.deployed

    def wrong(self):
        served = right(self)
        with torch.no_grad():
            served.weight += value
        return served

    monkeypatch.setattr(MLETTables, "deployed", wrong)


@pytest.mark.parametrize("arm", ARMS)
def test_deployed_equals_trained_for_every_arm(arm, schema, splits, trained):
    folder = trained(arm)
    description = deploy_run(folder, schema, {"val": splits["val"]})
    assert max(description["max_logit_difference"].values()) <= TOLERANCE
    (folder / "model.safetensors").rename(folder / "elsewhere")  # only the two deployed files are needed
    (folder / "spec.json").unlink()
    served, _ = load_deployed(folder)
    (folder / "elsewhere").rename(folder / "model.safetensors")
    trained_model = load_trained(make_spec(schema, arm), schema, folder)
    rows = splits["test"]
    torch.testing.assert_close(
        served(rows.dense, rows.ids), trained_model(rows.dense, rows.ids), rtol=0, atol=TOLERANCE
    )


def test_file_holds_one_table_a_field_and_the_bytes_counted(schema, splits, trained):
    folder = trained()
    description = deploy_run(folder, schema, {"val": splits["val"]})
    arrays = load_file(folder / "deployed.safetensors")
    assert {name: array.shape for name, array in arrays.items() if name.startswith("tables.")} == {
        "tables.C1": (7, 4), "tables.C2": (40, 4), "tables.C3": (3, 4), "tables.C4": (300, 4),
    }  # fmt: skip
    mlps = 4 * sum(array.size for name, array in arrays.items() if not name.startswith("tables."))
    assert description["bytes"] == {
        "training": 4 * (350 * 8 + 4 * 8 * 4) + mlps,
        "deployed": 4 * 350 * 4 + mlps,
        "training_tables": 4 * (350 * 8 + 4 * 8 * 4),
        "deployed_tables": 4 * 350 * 4,
        "deployed_linear": 0,
    }


def test_deploying_again_gives_the_same_bytes(schema, splits, trained):
    folder = trained()
    hashes = {deploy_run(folder, schema, {"val": splits["val"]})["sha256"] for _ in range(6)}
    assert len(hashes) == 1


def test_a_deployed_model_that_predicts_otherwise_is_refused(schema, splits, trained, monkeypatch):
    folder = trained()
    wrong_by(monkeypatch, 1e-2)
    with pytest.raises(DeployRefusedError, match="differs from the trained one by") as refused:
        deploy_run(folder, schema, {"val": splits["val"]})
    assert refused.value.kind == "refused-deploy"
    assert not (folder / "deployed.safetensors").exists()
    assert not (folder / "deployed.json").exists()


def test_models_are_as_far_apart_as_their_furthest_row(splits):
    """One row in all of validation moves by 1/2; on the mean that would be little."""
    rows = splits["val"]

    def trained(dense, ids):
        return ids[:, 0].float()

    def served(dense, ids):
        moved = trained(dense, ids)
        moved[-1] += 0.5
        return moved

    model, other = (as_module(function) for function in (trained, served))
    assert compare_logits(model, other, rows) == (0.5, float(rows.ids[: 2**10, 0].max()))


def as_module(function):
    module = nn.Module()
    module.forward = function
    return module


def scaled(folder, factor):
    """The trained model with its logits times ``factor``, the stored one as well."""
    run, spec = RunFolder(folder), RunSpec.read(folder)
    state = load_torch(folder / "model.safetensors")
    last = max(name for name in state if name.startswith("top.")).rpartition(".")[0]
    for name in (f"{last}.weight", f"{last}.bias"):
        state[name] *= factor
    save_file(state, folder / "model.safetensors")
    run.write_document(PROVENANCE, run.document(PROVENANCE) | {"model_sha256": file_digest(folder / MODEL)}, spec.id)


@pytest.mark.parametrize("factor", [1, 1e3, 1e6])
def test_large_logits_are_deployed_and_a_wrong_row_is_not(schema, splits, trained, monkeypatch, factor):
    """Rounding is relative: what is allowed grows with the logits, and a fault grows with them too."""
    folder = trained()
    scaled(folder, factor)
    description = deploy_run(folder, schema, {"val": splits["val"]})
    difference, largest = compare_logits(*models_of(folder, schema), splits["val"])
    assert description["logit_tolerance"] == TOLERANCE * max(1, largest) == logit_tolerance(largest)
    assert description["max_logit_difference"] == {"val": difference} and difference <= logit_tolerance(largest) / 5
    assert (largest > 1) == (factor > 1) and (difference > TOLERANCE) == (factor > 1)
    wrong_by(monkeypatch, 1e-2)
    with pytest.raises(DeployRefusedError, match=r"more than .* \(its logits go up to "):
        deploy_run(folder, schema, {"val": splits["val"]})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_is_never_deployed(schema, splits, trained, monkeypatch, value):
    folder = trained()
    wrong_by(monkeypatch, value)
    with pytest.raises(DeployRefusedError, match=r"differs from the trained one by (nan|inf) in logit"):
        deploy_run(folder, schema, {"val": splits["val"]})
    monkeypatch.undo()
    scaled(folder, value)
    with pytest.raises(DivergedError, match=r"logits that are not finite: it diverged .* lower the learning rate"):
        deploy_run(folder, schema, {"val": splits["val"]})
    assert not (folder / "deployed.json").exists() and not (folder / "deployed.safetensors").exists()


def test_nan_is_no_agreement(schema, splits):
    class Constant(torch.nn.Module):
        def forward(self, dense, ids):
            return torch.full((len(dense),), float("nan"))

    difference, magnitude = compare_logits(Constant(), Constant(), splits["val"])
    assert not difference <= TOLERANCE and math.isnan(magnitude)


def test_metrics_are_those_of_the_deployed_model(schema, splits, trained):
    from sklearn.metrics import log_loss, roc_auc_score

    folder = trained()
    deploy_run(folder, schema, {"val": splits["val"]})
    metrics = evaluate_run(folder, schema, splits, groupings(splits))
    assert read_json(folder / "metrics.json", "evaluate it") == metrics
    assert set(metrics["test"]) == {"auc", "logloss", "ne", "pr_auc", "accuracy", "calibration"}
    probability = predict(load_deployed(folder)[0], splits["test"])
    label = splits["test"].label.numpy()
    assert metrics["test"]["auc"] == pytest.approx(roc_auc_score(label, probability), abs=1e-12)
    assert metrics["test"]["logloss"] == pytest.approx(log_loss(label, probability), abs=1e-12)


def test_scores_of_the_test_rows_give_its_metrics_to_the_bit(schema, splits, trained):
    folder = trained()
    deploy_run(folder, schema, {"val": splits["val"]})
    metrics = evaluate_run(folder, schema, splits, groupings(splits))
    label, probability = read_scores(folder)
    np.testing.assert_array_equal(label, splits["test"].label.numpy())
    assert all_metrics(label, probability) == metrics["test"]


def test_test_is_scored_once_until_the_model_changes(schema, splits, trained):
    folder = trained()
    deploy_run(folder, schema, {"val": splits["val"]})
    first = evaluate_run(folder, schema, splits, groupings(splits))
    other = splits | {"test": make_rows(150, seed=9)}
    assert evaluate_run(folder, schema, other, groupings(other)) == first
    stored = read_json(folder / "metrics.json", "evaluate it")
    for scored in ("0", "g"):  # before and after every hash
        write_sealed(folder / "metrics.json", stored | {"deployed_sha256": scored})
        assert evaluate_run(folder, schema, other, groupings(other))["test"] != first["test"]


def test_predictions_do_not_depend_on_the_batch(schema, splits, trained):
    model = load_trained(make_spec(schema), schema, trained())
    whole, parts = predict(model, splits["val"]), predict(model, splits["val"], batch_size=7)
    torch.testing.assert_close(torch.from_numpy(whole), torch.from_numpy(parts), rtol=0, atol=1e-7)


def test_altered_and_missing_files_are_named(schema, splits, trained):
    from dataclasses import replace

    folder = trained()
    with pytest.raises(BenchError, match=r"deployed\.json does not exist: deploy the run first"):
        load_deployed(folder)
    deploy_run(folder, schema, {"val": splits["val"]})
    path = folder / "deployed.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BenchError, match=r"deployed\.safetensors has sha256"):
        load_deployed(folder)
    path.write_bytes(content[:50])
    with pytest.raises(BenchError, match=r"deployed\.safetensors cannot be read"):
        load_deployed(folder)
    for other in ("0", "g"):  # before and after every hash
        with pytest.raises(BenchError, match="fingerprint"):
            deploy_run(folder, replace(schema, fingerprint=other), {"val": splits["val"]})
    deploy_run(folder, schema, {"val": splits["val"]})
    for other in ("0", "g"):
        with pytest.raises(BenchError, match="scores would mean nothing"):
            evaluate_run(folder, replace(schema, fingerprint=other), splits, groupings(splits))


def test_a_trained_model_is_the_one_that_provenance_names(schema, trained):
    folder, spec = trained(), make_spec(schema)
    run = RunFolder(folder)
    for noted in ("0", "g"):
        run.write_document(PROVENANCE, run.document(PROVENANCE) | {"model_sha256": noted}, spec.id)
        with pytest.raises(BenchError, match=f"provenance.json says {noted}: it was altered"):
            load_trained(spec, schema, folder)
    run.write_document(PROVENANCE, run.document(PROVENANCE) | {"model_sha256": None}, spec.id)
    assert load_trained(spec, schema, folder).embedding.name == "mlet"
