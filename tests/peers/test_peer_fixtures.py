"""Ours against numbers that the peers' own code gave (fixtures/*.json, made by make_fixtures.py). Needs no peer."""

import hashlib
import json

import compare_fuxictr_models as fuxictr
import pytest
import torch
from agreements import FOLDER
from compare_dlrm_metrics import NAMES
from compare_preparation import formula_file
from deepctr import gradient, our_parts, value
from formula import batch
from make_fixtures import METRIC_ROWS, digest
from paired_models import our_tensors
from paired_rivals import CASES
from peer_metrics import predictions
from peer_preparation import ours as our_preparation
from tiny_backbones import SCHEMA
from tiny_backbones import tiny as tiny_backbone
from tiny_model import BATCH, DENSE, SIZES, numbers, tiny

from mlet_bench.evaluation.metrics import all_metrics

FILES = ("dlrm", "dlrm_mlet", "MLET-DeepCTR", "DeepCTR-Torch")
DLRM, FORK, THEIRS, DEEPCTR = (json.loads((FOLDER / "fixtures" / f"{name}.json").read_text()) for name in FILES)
BACKBONES = {name: found for name, found in (THEIRS | DEEPCTR).items() if isinstance(found, dict)}
FUXICTR = json.loads((FOLDER / "fixtures" / "FuxiCTR.json").read_text())
RIVALS = json.loads((FOLDER / "fixtures" / "rivals.json").read_text())
MODELS = {"single": DLRM["model"], "mlet": FORK["trained"], "mlet-frozen": FORK["frozen"]}


def test_preparation():
    expected = DLRM["preparation"]
    sha256 = hashlib.sha256(formula_file().read_bytes()).hexdigest()
    assert sha256 == expected["file_sha256"], "formula.py writes another file now: run make_fixtures.py"
    found = digest(our_preparation(formula_file()))
    for name in ("rows", "table_sizes", "first_ids", "ids_sha256", "labels_sha256"):
        assert found[name] == expected[name], name
    for mine, theirs in zip(found["first_dense"], expected["first_dense"], strict=True):
        assert mine == pytest.approx(theirs, rel=2e-7)  # one float32 bit
    assert found["dense_sums"] == pytest.approx(expected["dense_sums"], rel=1e-7)


@pytest.mark.parametrize("precision, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("arm", MODELS)
def test_model_and_twenty_steps(arm, precision, tolerance):
    model, step = tiny(arm, precision)
    found = numbers(lambda *inputs: model(*inputs).sigmoid().detach(), step, lambda: our_tensors(model), precision)
    expected = MODELS[arm]
    for name in ("before", "losses", "after"):
        assert found[name] == pytest.approx(expected[name], abs=tolerance), name
    assert found["weight_sums"].keys() == expected["weight_sums"].keys()
    for part, sums in expected["weight_sums"].items():
        assert found["weight_sums"][part] == pytest.approx(sums, abs=tolerance), part


@pytest.mark.parametrize("arm", ["single", "mlet"])
@pytest.mark.parametrize("name", BACKBONES)
def test_backbone_and_twenty_adagrad_steps(name, arm):
    model, step = tiny_backbone(name, arm, torch.float64)
    found = numbers(lambda *inputs: model(*inputs).sigmoid().detach(), step, lambda: our_parts(model, value))
    expected = BACKBONES[name][arm]
    for part in ("before", "losses", "after"):
        assert found[part] == pytest.approx(expected[part], abs=1e-10), part
    assert found["weight_sums"].keys() == expected["weight_sums"].keys()
    for part, sums in expected["weight_sums"].items():
        assert found["weight_sums"][part] == pytest.approx(sums, abs=1e-10), part


@pytest.mark.parametrize("name", BACKBONES)
def test_backbone_in_float32(name):
    model, _ = tiny_backbone(name, "mlet", torch.float32)
    dense, ids, _ = batch(0, BATCH, len(DENSE), SIZES)
    found = model(dense.float(), ids).sigmoid().tolist()
    assert found == pytest.approx(BACKBONES[name]["mlet"]["before"], abs=1e-6)


@pytest.mark.parametrize("name", fuxictr.FILES)
def test_models_of_fields_alone(name):
    model = fuxictr.filled(SCHEMA, name, hidden=[6, 5])
    _, ids, label = batch(0, BATCH, 0, SIZES)
    probabilities = model(label.new_empty(BATCH, 0), ids).sigmoid()
    found = fuxictr.numbers(probabilities, label, lambda: fuxictr.our_parts(model, gradient))
    for part, values in found.items():
        assert values == pytest.approx(FUXICTR[name][part], abs=1e-14), part


@pytest.mark.parametrize("name", CASES)
def test_vectors_of_rivals(name):
    expected = torch.tensor(RIVALS[name]["vectors"])
    torch.testing.assert_close(CASES[name].ours(), expected, rtol=0, atol=1e-6)


def test_metrics():
    found = all_metrics(*predictions(METRIC_ROWS))
    for theirs, ours in NAMES.items():
        assert found[ours] == pytest.approx(DLRM["metrics"][theirs], abs=1e-12), theirs
