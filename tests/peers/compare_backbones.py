"""The models of paper B against the authors' own code, and Wide & Deep, PNN and DCNv2 against DeepCTR-Torch."""

import torch
from agreements import Agreement, comparison
from deepctr import COMMIT, DEEPCTR, THEIRS, Package, PeerNet, gradient, our_parts, their_parts, value
from paired_models import batches, difference, largest, our_backward
from planted_rows import planted, prepared

from mlet_bench.arms import RECIPES
from mlet_bench.models import MODELS
from mlet_bench.models.base import ClickModel, resolve_hyper
from mlet_bench.models.build import build_model
from mlet_bench.spec import DatasetSchema, RunSpec
from mlet_bench.training.pack import Pack
from mlet_bench.training.step import TrainStep

DIMS, INNER_DIM, BATCH, STEPS = (4, 16), 64, 256, 200
# In float32 a ReLU of the CIN that is within rounding of 0 is open in one model and shut in the other.
ROUNDED = {"xdeepfm": 2e-4}
TYPES = {"float32": torch.float32, "float64": torch.float64}
PARTS = {"tables": "embedding rows", "w2": "W2", "linear": "linear part", "layers": "layers"}
CLASSES = {
    "dcn": (THEIRS, "DCN", {}),
    "deepfm": (THEIRS, "DeepFM", {}),
    "nfm": (THEIRS, "NFM", {}),
    "xdeepfm": (THEIRS, "xDeepFM", {}),
    "autoint": (THEIRS, "AutoInt", {}),
    "widedeep": (DEEPCTR, "WDL", {}),
    "pnn": (DEEPCTR, "PNN", {}),
    "dcnv2": (DEEPCTR, "DCN", {"cross_parameterization": "matrix"}),
}

# Smaller in the 200 steps, which take minutes otherwise: ours, and the same in the peer's words.
SMALLER = {"xdeepfm": ({"cin": [32, 16]}, {"cin_layer_size": (32, 16)})}


def ours(schema: DatasetSchema, name: str, dim: int, inner_dim: int | None, dtype: torch.dtype, **hyper) -> tuple:
    """Our model with its initial values, and its training step by the recipe of paper B."""
    arm = "single" if inner_dim is None else "mlet"
    settings = RECIPES["authors-b"] | {"hyper": resolve_hyper(MODELS[name], hyper, "authors-b")}
    spec = RunSpec(schema.name, schema.fingerprint, name, arm, dim, inner_dim, seed=0, **settings)
    model = build_model(spec, schema).to(dtype)
    step = TrainStep(Pack([model], {key: table.weight.detach() for key, table in model.tables().items()}), spec)
    return model, lambda *batch: step(*(part.unsqueeze(0) for part in batch))[0]


def paired(
    schema: DatasetSchema, name: str, dim: int, inner_dim: int | None, dtype: torch.dtype, smaller: bool = False
) -> tuple:
    """Our model, our step, and the peer's net with equal weights."""
    package, kind, settings = CLASSES[name]
    hyper, other = SMALLER.get(name, ({}, {})) if smaller else ({}, {})
    model, step = ours(schema, name, dim, inner_dim, dtype, **hyper)
    return model, step, PeerNet(package, kind, model, len(schema.dense), **settings, **other)


def version(package: Package) -> str:
    """Of what runs; raises PeerAbsent."""
    found = package.module.__version__
    return f"{COMMIT} on {found}" if package.overlaid else found


def compare(name: str) -> list[Agreement]:
    """A batch in float32 and float64, and 200 steps in float64, single and MLET, the largest over d in DIMS."""
    package, kind, _ = CLASSES[name]
    found = version(package)  # absent: known before rows are prepared
    schema, rows = prepared(planted("avazu"), "avazu")
    lines = []
    for inner_dim in (None, INNER_DIM):
        called = "DCNv2" if name == "dcnv2" else kind
        arm = called if inner_dim is None else f"{called}, MLET"
        cell = "" if inner_dim is None else f", k={INNER_DIM}"
        shape = f"avazu: 1 dense, 21 fields; B={BATCH}, d={DIMS[0]} and {DIMS[1]}{cell}"
        for precision, dtype in TYPES.items():
            tolerance = ROUNDED.get(name, 1e-5) if precision == "float32" else 1e-12  # logits of 100
            made = [paired(schema, name, dim, inner_dim, dtype) for dim in DIMS]
            values = worst(
                [one_batch(model, net, next(batches(rows["train"], 1, BATCH, dtype))) for model, _, net in made]
            )
            lines += [
                Agreement(package.name, found, f"{arm}: {what}", f"{shape}; {precision}", value, tolerance)
                for what, value in values.items()
            ]
        made = [paired(schema, name, dim, inner_dim, torch.float64, smaller=True) for dim in DIMS]
        shape += "".join(f", {key} {sizes}" for key, sizes in SMALLER.get(name, ({}, {}))[0].items())
        values = worst([after_steps(*one, batches(rows["train"], STEPS, BATCH, torch.float64)) for one in made])
        lines += [
            Agreement(package.name, found, f"{STEPS} Adagrad steps, {arm}: {what}", f"{shape}; float64", value, 1e-9)
            for what, value in values.items()
        ]
    return lines


def one_batch(model: ClickModel, net: PeerNet, batch) -> dict[str, float]:
    """Predictions, mean loss and its gradient with respect to every parameter."""
    probability, loss = our_backward(model, *batch)
    their_probability, their_loss = net.backward(*batch)
    return {
        "predictions": difference(probability, their_probability),
        "loss": difference(loss, their_loss),
        "gradients of all parameters": max(
            largest(our_parts(model, gradient), their_parts(net.net, gradient)).values()
        ),
    }


def after_steps(model: ClickModel, step, net: PeerNet, several) -> dict[str, float]:
    """Losses on the way and weights at the end."""
    losses = max(difference(step(*batch), net.step(*batch)) for batch in several)
    values = largest(our_parts(model, value), their_parts(net.net, value))
    return {"losses": losses} | {PARTS[part]: found for part, found in values.items()}


def worst(found: list[dict[str, float]]) -> dict[str, float]:
    """The largest of each; a NaN stays."""
    return {name: torch.tensor([one[name] for one in found], dtype=torch.float64).max().item() for name in found[0]}


@comparison
def authors_dcn() -> list[Agreement]:
    return compare("dcn")


@comparison
def authors_deepfm() -> list[Agreement]:
    return compare("deepfm")


@comparison
def authors_nfm() -> list[Agreement]:
    return compare("nfm")


@comparison
def authors_xdeepfm() -> list[Agreement]:
    return compare("xdeepfm")


@comparison
def authors_autoint() -> list[Agreement]:
    return compare("autoint")


@comparison
def deepctr_widedeep() -> list[Agreement]:
    return compare("widedeep")


@comparison
def deepctr_pnn() -> list[Agreement]:
    return compare("pnn")


@comparison
def deepctr_dcnv2() -> list[Agreement]:
    return compare("dcnv2")
