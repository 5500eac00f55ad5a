"""One batch and 200 training steps of our model and a peer's, with equal weights at the start."""

from collections.abc import Sequence

import torch
from agreements import Agreement
from checkouts import Peer
from paired_models import (
    PeerModel,
    batches,
    difference,
    largest,
    our_backward,
    our_tensors,
    ours,
    peer_tensors,
    relu_signs,
)
from planted_rows import planted, prepared

DIMS = (4, 16)
INNER_DIM = 64
BATCH = 128
STEPS = 200
SHAPES = {"criteo-kaggle": "13 dense, 26 fields", "avazu": "1 dense, 21 fields"}
TYPES = {"float32": torch.float32, "float64": torch.float64}
MOST_LEFT_OUT = {"float32": 60, "float64": 0}
PARTS = {"tables": "embedding rows", "w2": "W2", "mlps": "MLP weights"}


def one_batch(peer: Peer, name: str, w2: str | None, precision: str) -> list[Agreement]:
    """Predictions, loss and the gradient of every parameter on a batch of 128 rows, the largest over d in DIMS."""
    tolerance = 1e-6 if precision == "float32" else 1e-13
    found: dict[str, float] = {}
    for dim in DIMS:
        schema, rows = prepared(planted(name), name)
        model, _ = ours(schema, *_cell(w2, dim), TYPES[precision])
        theirs = PeerModel(peer.script, model, w2, lr=0.2)
        batch = next(batches(rows["train"], 1, BATCH, TYPES[precision]))
        probability, loss = our_backward(model, *batch)
        their_probability, their_loss = theirs.backward(*batch)
        gradients = largest(our_tensors(model, True), peer_tensors(theirs.net, w2, True))
        differences = {
            "predictions": difference(probability, their_probability),
            "loss": difference(loss, their_loss),
            "gradients of all parameters": max(gradients.values()),
        }
        found = {what: _worse(value, found.get(what, 0.0)) for what, value in differences.items()}
    topic = "model" + _of(w2)
    shape = f"{name}: {SHAPES[name]}; B=128, d={_listed(DIMS)}{_inner(w2)}; {precision}"
    return _lines(peer, topic, shape, found, tolerance)


def after_steps(
    peer: Peer, name: str, w2: str | None, precision: str, lr: float = 0.2, bottom: tuple[int, ...] = (256, 64)
) -> list[Agreement]:
    """Weights after 200 SGD steps on equal batches, and the losses on the way, the largest over d in DIMS.

    Now and then the input of some unit's ReLU is within rounding of 0 and is let through in one model and not in the
    other: a whole gradient of difference, from which the two drift apart, as a float32 model drifts from itself when
    one weight is moved by its last bit. Batches on which that happens train neither model; `shape` has their number.
    In float64 there are none.
    """
    tolerance = 1e-5 if precision == "float32" else 1e-12
    found: dict[str, float] = {}
    skipped = []
    for dim in DIMS:
        differences, left_out = _train(peer, name, w2, dim, precision, lr=lr, bottom=bottom)
        found = {what: _worse(value, found.get(what, 0.0)) for what, value in differences.items()}
        skipped.append(left_out)
    topic = f"{STEPS} SGD steps" + _of(w2)
    widths = "-".join(str(width) for width in bottom)
    shape = f"{name}: {SHAPES[name]}; B=128, d={_listed(DIMS)}{_inner(w2)}, lr {lr:g}, bottom {widths}-d; {precision}"
    if any(skipped):
        shape += f"; {_listed(skipped)} batches with a flipped ReLU left out"
    return _lines(peer, topic, shape, found, tolerance)


def _lines(peer: Peer, topic: str, shape: str, found: dict[str, float], tolerance: float) -> list[Agreement]:
    whats = {f"{topic}: {what}": value for what, value in found.items()}
    return [Agreement(peer.name, peer.version, what, shape, value, tolerance) for what, value in whats.items()]


def _train(peer: Peer, name: str, w2: str | None, dim: int, precision: str, **settings) -> tuple[dict[str, float], int]:
    """Differences after 200 steps, and the number of batches left out."""
    schema, rows = prepared(planted(name), name)
    model, step = ours(schema, *_cell(w2, dim), TYPES[precision], **settings)
    theirs = PeerModel(peer.script, model, w2, settings["lr"])
    signs, their_signs = relu_signs(model.bottom, model.top), relu_signs(theirs.net.bot_l, theirs.net.top_l)
    worst, done, left_out = 0.0, 0, 0
    for batch in batches(rows["train"], STEPS + MOST_LEFT_OUT[precision], BATCH, TYPES[precision]):
        signs.clear()
        their_signs.clear()
        with torch.no_grad():
            model(*batch[:2])
            theirs.predict(*batch[:2])
        if any(not torch.equal(a, b) for a, b in zip(signs, their_signs, strict=True)):
            left_out += 1
            continue
        worst = _worse(difference(step(*batch), theirs.step(*batch)), worst)
        done += 1
        if done == STEPS:
            break
    else:
        raise AssertionError(f"{peer.name}, {name}, d={dim}: ReLUs differ in {left_out} batches, too many for rounding")
    differences = {"losses": worst}
    for part, value in largest(our_tensors(model), peer_tensors(theirs.net, w2)).items():
        differences[PARTS[part]] = value
    return differences, left_out


def _cell(w2: str | None, dim: int) -> tuple[str, int, int | None]:
    """Our arm, d and k for a peer's kind of W2."""
    if w2 is None:
        return "single", dim, None
    return "mlet" if w2 == "trained" else "mlet-frozen", dim, INNER_DIM


def _worse(a: float, b: float) -> float:
    return a if a != a or a > b else b  # a NaN stays


def _of(w2: str | None) -> str:
    return "" if w2 is None else f", MLET with W2 {w2}"


def _listed(numbers: Sequence[int]) -> str:
    return " and ".join(str(number) for number in numbers)


def _inner(w2: str | None) -> str:
    return "" if w2 is None else f", k={INNER_DIM}"
