"""FuxiCTR's DCN, DCNv2, DeepFM, NFM and Wide & Deep against ours with equal weights, in float64.

Its models embed a dense feature, as a vector times its value, where the models of paper B feed it to the MLP: so the
comparison is on fields alone, where the definitions agree. They do not for xDeepFM (its CIN has no ReLU, and all maps
of a layer go on and reach the output), nor for AutoInt (its residual is the input itself where the widths are equal).
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from agreements import Agreement, comparison
from compare_backbones import ours
from compare_fuxictr import PEER, linears, make, package_version, predict
from deepctr import Take, gradient, value
from formula import fill
from paired_models import difference
from planted_rows import planted, prepared
from shrunk import DIM, take
from torch import Tensor, nn

from mlet_bench.data.dataset import Rows
from mlet_bench.models.base import ClickModel
from mlet_bench.spec import DatasetSchema

BATCH = 256
# The file in its model_zoo, what it calls the hidden widths, and what makes the rest ours.
FILES = {
    "dcn": ("DCN/DCN_torch/src/DCN.py", "dnn_hidden_units", {"num_cross_layers": 2}),
    "dcnv2": ("DCNv2/src/DCNv2.py", "parallel_dnn_hidden_units", {"num_cross_layers": 2}),
    "deepfm": ("DeepFM/DeepFM_torch/src/DeepFM.py", "hidden_units", {}),
    "nfm": ("NFM/src/NFM.py", "hidden_units", {}),
    "widedeep": ("WideDeep/WideDeep_torch/src/WideDeep.py", "hidden_units", {}),
}


@comparison
def fuxictr_models() -> list[Agreement]:
    """Predictions, and gradients of the mean loss by every weight."""
    found, version = [], package_version()
    schema, splits = prepared(planted("avazu"), "avazu")
    rows = take(splits["train"], slice(BATCH))
    rows = Rows(rows.label.double(), rows.dense[:, :0].double(), rows.ids)
    for name in FILES:
        model, theirs = paired(schema, name)
        probabilities = model(rows.dense, rows.ids).sigmoid(), predict(theirs, rows)
        for one in probabilities:
            nn.functional.binary_cross_entropy(one, rows.label).backward()
        both = zip(our_parts(model, gradient), their_parts(theirs, gradient), strict=True)
        differences = {
            "predictions": difference(*probabilities),
            "gradients of all parameters": max(difference(*pair) for pair in both),
        }
        shape = f"avazu's 21 fields, no dense features, B={BATCH}, d={DIM}, planted rows"
        title = type(theirs).__name__
        found += [Agreement(PEER, version, f"{title}: {what}", shape, it, 1e-13) for what, it in differences.items()]
    return found


def filled(schema: DatasetSchema, name: str, **hyper) -> ClickModel:
    """Ours on fields alone, every weight from a sine; of DCN and DCNv2 FuxiCTR has no linear part: it is 0."""
    model, _ = ours(replace(schema, dense=()), name, DIM, None, torch.float64, **hyper)
    fill(list(model.parameters()), scale=0.1)
    if hasattr(model, "cross"):
        model.linear.weight.data.zero_()
    return model


def numbers(probabilities: Tensor, label: Tensor, gradients: Callable[[], list[Tensor]]) -> dict[str, list[float]]:
    """What a fixture holds: probabilities, and the sum of each gradient of the mean loss."""
    nn.functional.binary_cross_entropy(probabilities, label).backward()
    return {"probabilities": probabilities.tolist(), "gradient_sums": [part.sum().item() for part in gradients()]}


def paired(schema: DatasetSchema, name: str, **hyper) -> tuple[ClickModel, nn.Module]:
    """``filled`` and FuxiCTR's model with its weights."""
    model = filled(schema, name, **hyper)
    file, widths, settings = FILES[name]
    theirs = make(
        file, replace(schema, dense=()), {widths: [layer.out_features for layer in linears(model.deep)], **settings}
    ).double()
    with torch.no_grad():
        if hasattr(theirs, "fm"):
            theirs.fm.lr_layer.bias.zero_()  # it has two
        for mine, other in zip(our_parts(model, value), their_parts(theirs, value), strict=True):
            other.copy_(mine)
    return model, theirs


def our_parts(model: ClickModel, take: Take) -> list[Tensor]:
    """Values or gradients of ours, in the order of ``their_parts``: those that FuxiCTR's model has."""
    sizes, crossed = model.embedding.table_sizes, hasattr(model, "cross")
    parts = [*take(model.embedding.weight).split(sizes)]
    parts += take(model.linear.weight).split(sizes) if not crossed else ()
    parts += [*map(take, model.deep.parameters()), take(model.output.weight), take(model.first_order.bias)]
    return parts + ([*take(model.cross.weight), *take(model.cross.bias)] if crossed else [])


def their_parts(net: nn.Module, take: Take) -> list[Tensor]:
    """Values or gradients of FuxiCTR's in the shapes of ours: views."""
    named = [(name, take(parameter)) for name, parameter in net.named_parameters()]
    parts = [tensor for name, tensor in named if name.startswith("embedding_layer.")]
    parts += [tensor for name, tensor in named if "lr_layer.embedding_layer." in name]
    layers = [tensor for name, tensor in named if ".mlp." in name] + [t for name, t in named if name.startswith("fc.")]
    *layers, weight, bias = layers
    parts += [*layers, weight.squeeze(0), bias]
    crosses = [(name, tensor) for name, tensor in named if name.startswith("crossnet.")]
    vectors = [tensor.squeeze(0) for name, tensor in crosses if name.endswith("weight")]
    return parts + vectors + [tensor for name, tensor in crosses if name.endswith("bias")]
