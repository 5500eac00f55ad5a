"""The models of paper B and of the field: their logits, their widths, and what their hyper-parameters refuse."""

import pytest
import torch
from toys import make_rows, make_spec

from mlet_bench.errors import BenchError
from mlet_bench.models import MODELS
from mlet_bench.models.base import resolve_hyper
from mlet_bench.models.build import build_model
from mlet_bench.models.parts.fm import bi_interaction

B, F, D, DIM = 8, 4, 2, 4  # of the toys


@pytest.fixture
def build(schema):
    def make(name, **hyper):
        hyper = resolve_hyper(MODELS[name], hyper, "authors")
        return build_model(make_spec(schema, "single", model=name, hyper=hyper), schema)

    return make


def deep(layers, x):
    """An MLP's ReLU layers one by one."""
    for layer in layers:
        x = layer(x)
    return x


def parts(model):
    """Vectors (B, F, d), numbers of the linear part (B, F, 1) or None, and dense features (B, D) of eight rows."""
    rows = make_rows(B)
    linear = model.linear(rows.ids) if model.wide else None
    return rows, model.embedding(rows.ids), linear


def first_order(model, dense, linear):
    return linear.sum((1, 2)) + dense @ model.first_order.weight + model.first_order.bias


def own_logit(name, model, x, vectors):
    """What a model adds to its linear part. x: (B, F·d + D), vectors: (B, F, d)."""
    dense = x[:, F * DIM :]
    match name:
        case "dcn" | "dcnv2":
            return torch.cat([model.cross(x), deep(model.deep, x)], 1) @ model.output.weight
        case "deepfm":
            pairs = sum((vectors[:, i] * vectors[:, j]).sum(1) for i in range(F) for j in range(i))
            return pairs + deep(model.deep, x) @ model.output.weight
        case "nfm":
            return deep(model.deep, torch.cat([bi_interaction(vectors), dense], 1)) @ model.output.weight
        case "xdeepfm":
            maps = model.cin(vectors) @ model.cin_output.weight
            return maps + deep(model.deep, x) @ model.output.weight
        case "autoint":
            attended = deep(model.attention, vectors).flatten(1)
            return torch.cat([attended, deep(model.deep, x)], 1) @ model.output.weight
        case "widedeep":
            return deep(model.deep, x) @ model.output.weight
        case "pnn":
            pairs = [(vectors[:, i] * vectors[:, j]).sum(1) for i in range(F) for j in range(i)]
            x = torch.cat([vectors.flatten(1), torch.stack(pairs, 1), dense], 1)
            return deep(model.deep, x) @ model.output.weight + model.output.bias
    raise AssertionError(name)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "dlrm"])
def test_a_logit_is_its_definition(name, build):
    model = build(name)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)  # so that no bias is 0 and the linear part weighs
    rows, vectors, linear = parts(model)
    x = torch.cat([vectors.flatten(1), rows.dense], dim=1)
    expected = own_logit(name, model, x, vectors)
    if model.wide:
        expected = expected + first_order(model, rows.dense, linear)
    torch.testing.assert_close(model(rows.dense, rows.ids), expected)


def test_widths_are_those_of_the_authors(build):
    shapes = {
        name: [tuple(p.shape) for p in build(name).deep.parameters() if p.ndim == 2]
        for name in MODELS
        if name != "dlrm"
    }
    x = F * DIM + D
    assert shapes == {
        "dcn": [(128, x), (128, 128)],
        "deepfm": [(256, x), (128, 256)],
        "nfm": [(128, DIM + D), (128, 128)],
        "xdeepfm": [(256, x), (256, 256)],
        "autoint": [(256, x), (128, 256)],
        "widedeep": [(256, x), (128, 256)],
        "pnn": [(128, x + F * (F - 1) // 2), (128, 128)],
        "dcnv2": [(128, x), (128, 128)],
    }  # fmt: skip
    assert [layer[0].weight.shape for layer in build("xdeepfm").cin.layers] == [(256, F * F), (128, 128 * F)]
    assert [tuple(layer.weight.shape) for layer in build("autoint").attention] == [
        (4, DIM, 16),
        (4, 16, 16),
        (4, 16, 16),
    ]
    assert build("dcn").cross.weight.shape == (2, x) and build("dcnv2").cross.weight.shape == (2, x, x)
    assert not MODELS["pnn"].wide


@pytest.mark.parametrize("name", [name for name in MODELS if name != "dlrm"])
def test_no_hidden_layers_leave_a_layer_over_the_features(name, build):
    model = build(name, hidden=())
    rows = make_rows(B)
    logits = model(rows.dense, rows.ids)
    logits.sum().backward()
    assert logits.shape == (B,) and model.output.weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("dcn", {"crosses": -1}, "crosses is -1: it must be 0 or more"),
        ("dcnv2", {"crosses": -1}, "crosses is -1: it must be 0 or more"),
        ("autoint", {"heads": 0}, "heads is 0: it must be 1 or more"),
        ("autoint", {"layers": -1}, "layers is -1: it must be 0 or more"),
        ("xdeepfm", {"cin": [3, 2]}, r"cin of model 'xdeepfm' is \[3, 2\]: expected one or more sizes, even"),
        ("xdeepfm", {"cin": []}, r"cin of model 'xdeepfm' is \[\]: expected one or more sizes"),
    ],
)
def test_hyper_parameters_that_cannot_be_are_refused(name, given, sentence):
    with pytest.raises(BenchError, match=sentence):
        resolve_hyper(MODELS[name], given, "authors")
