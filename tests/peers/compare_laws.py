"""The laws of initial values: standard deviations of large draws, the peers' beside ours."""

import numpy as np
import torch
from agreements import Agreement, comparison
from checkouts import DLRM, FORK, Peer
from paired_models import our_tensors, ours, peer_net, peer_tensors

from mlet_bench.spec import DatasetSchema, Field

SIZES = (20_000, 1500, 40, 3)
DIM, INNER_DIM, WIDTH = 16, 64, 20_000
FEWEST = 4_000  # values of a tensor


@comparison
def dlrm_laws() -> list[Agreement]:
    """Single-layer tables and MLPs."""
    return _laws(DLRM, None)


@comparison
def fork_laws() -> list[Agreement]:
    """W1, W2 and MLPs."""
    return _laws(FORK, "trained")


def _laws(peer: Peer, w2: str | None) -> list[Agreement]:
    """Ratio of the standard deviations less 1, of the worst tensor of 4,000 values or more; a peer's W2s are pooled.

    The standard deviation of N normal values has a relative error of 1/sqrt(2N), so the ratio of two has 1.6% at
    N=4,000 (the W2s) and 0.7% at 20,000 (the MLPs' biases).
    """
    fields = tuple(Field(f"C{number}", size) for number, size in enumerate(SIZES))
    schema = DatasetSchema("criteo-kaggle", fields, tuple("abcdefghijklm"), {}, {}, {}, {}, 1)
    arm, inner_dim = ("single", None) if w2 is None else ("mlet", INNER_DIM)
    model, _ = ours(schema, arm, DIM, inner_dim, torch.float32, bottom=(WIDTH,), top=(WIDTH,))
    state = np.random.get_state()
    np.random.seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = peer_tensors(peer_net(peer.script, model, w2), w2)
    np.random.set_state(state)
    mine = our_tensors(model)
    lines = []
    for part, name in {"tables": "tables" if w2 is None else "W1", "w2": "W2", "mlps": "MLPs"}.items():
        if part in mine:
            pairs = list(zip(mine[part], theirs[part], strict=True))
            if part == "w2":
                pairs = [(torch.cat(mine[part]), torch.cat(theirs[part]))]
            worst = max(abs(a.std() / b.std() - 1).item() for a, b in pairs if a.numel() >= FEWEST)
            shape = f"n={SIZES}, d={DIM}" + (f", k={INNER_DIM}" if inner_dim else "") + f", MLPs of width {WIDTH}"
            what = f"initial values' standard deviations, ratio less 1: {name}"
            lines.append(Agreement(peer.name, peer.version, what, shape, worst, 0.05))
    return lines
