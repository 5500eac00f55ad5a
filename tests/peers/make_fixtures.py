"""Make fixtures/*.json from the peers' checkouts (see the README): `python tests/peers/make_fixtures.py`.

The numbers are the peers' alone; ours are compared with them by test_peer_fixtures.py.
"""

import hashlib
import json
import sys
from pathlib import Path

import compare_fuxictr_models as fuxictr
import numpy as np
import torch
from agreements import FOLDER, PeerAbsent
from checkouts import DLRM, FORK, Peer
from compare_backbones import CLASSES, version
from compare_preparation import formula_file
from deepctr import DEEPCTR, THEIRS, Package, gradient, their_parts, value
from formula import batch
from paired_models import PeerModel, peer_tensors
from paired_rivals import CASES
from peer_metrics import peer_metrics, predictions
from peer_preparation import SPLITS, Prepared, run_peer
from tiny_backbones import ARMS, SCHEMA, tiny_peer
from tiny_backbones import tiny as tiny_backbone
from tiny_model import BATCH, LR, SIZES, numbers, tiny

from mlet_bench.data.dataset import Rows

FIXTURES = FOLDER / "fixtures"
METRIC_ROWS = 1000
SHOWN = 3  # rows of ids and dense values kept in full


def main() -> None:
    """Write all files whose peer is here, and say of the others why not."""
    for make in (of_dlrm, of_fork, lambda: of_deepctr(THEIRS), lambda: of_deepctr(DEEPCTR), of_fuxictr, of_rivals):
        try:
            make()
        except PeerAbsent as absent:
            print(f"as it was: {absent}")


def of_dlrm() -> None:
    """facebookresearch/dlrm."""
    write(DLRM.name, DLRM.version, preparation=dlrm_preparation(), model=model(DLRM, None), metrics=metrics())


def of_fork() -> None:
    """The authors' fork of it."""
    write(FORK.name, FORK.version, trained=model(FORK, "trained"), frozen=model(FORK, "frozen"))


def of_deepctr(package: Package) -> None:
    """The models of paper B that a package has."""
    names = [name for name, (of, _, _) in CLASSES.items() if of is package]
    write(package.name, version(package), **{name: backbone(name) for name in names})


def of_fuxictr() -> None:
    """FuxiCTR's models that are defined as ours."""
    write(fuxictr.PEER, fuxictr.package_version(), **{name: of_fields(name) for name in fuxictr.FILES})


def of_rivals() -> None:
    """Other methods' tables, each by its own peer."""
    rivals = ",\n".join(f"{json.dumps(name)}: {json.dumps(rival(name))}" for name in CASES)
    (FIXTURES / "rivals.json").write_text(f"{{\n{rivals}\n}}\n", encoding="utf-8")


def dlrm_preparation() -> dict:
    """facebookresearch/dlrm's preparation of 220 rows made by formula."""
    theirs = run_peer(DLRM, "head", formula_file(), "total,5")
    return {"file_sha256": hashlib.sha256(formula_file().read_bytes()).hexdigest(), **digest(theirs)}


def digest(prepared: Prepared) -> dict:
    """Table and split sizes, dense values, hashes of ids (int32, little-endian, row after row) and labels (int8)."""
    return {
        "rows": dict(zip(SPLITS, prepared.rows)),
        "table_sizes": prepared.counts.tolist(),
        "ids_sha256": hashlib.sha256(prepared.ids.astype("<i4").tobytes()).hexdigest(),
        "labels_sha256": hashlib.sha256(prepared.label.astype("i1").tobytes()).hexdigest(),
        "first_ids": prepared.ids[:SHOWN].tolist(),
        "first_dense": prepared.dense[:SHOWN].astype(np.float64).tolist(),
        "dense_sums": prepared.dense.astype(np.float64).sum(axis=0).tolist(),
    }


def model(peer: Peer, w2: str | None) -> dict:
    """The tiny model, trained by the peer."""
    arm = {None: "single", "trained": "mlet", "frozen": "mlet-frozen"}[w2]
    theirs = PeerModel(peer.script, tiny(arm, torch.float64)[0], w2, LR)
    return numbers(lambda *inputs: theirs.predict(*inputs).detach(), theirs.step, lambda: peer_tensors(theirs.net, w2))


def backbone(name: str) -> dict:
    """A tiny model of paper B, trained by the peer, as a single layer and as MLET."""

    def trained(arm: str) -> dict:
        theirs = tiny_peer(name, tiny_backbone(name, arm, torch.float64)[0])
        return numbers(
            lambda *inputs: theirs.predict(*inputs).detach(), theirs.step, lambda: their_parts(theirs.net, value)
        )

    return {arm: trained(arm) for arm in ARMS}


def of_fields(name: str) -> dict:
    """A tiny model without dense features, by FuxiCTR."""
    _, theirs = fuxictr.paired(SCHEMA, name, hidden=[6, 5])
    _, ids, label = batch(0, BATCH, 0, SIZES)
    probabilities = fuxictr.predict(theirs, Rows(label, label.new_empty(BATCH, 0), ids))
    return fuxictr.numbers(probabilities, label, lambda: fuxictr.their_parts(theirs, gradient))


def rival(name: str) -> dict:
    """A rival's vectors, by the peer: its name and commit, and (B, F, d) numbers, to 7 digits."""
    case = CASES[name]
    vectors = [[[float(f"{value:.7g}") for value in of] for of in row] for row in case.theirs().tolist()]
    return {"peer": f"{case.peer.name} {case.peer.version}", "vectors": vectors}


def metrics() -> dict[str, float]:
    """The peer's metrics of 1,000 predictions made by formula."""
    return peer_metrics(*predictions(METRIC_ROWS))


def write(peer: str, commit: str, **content: dict) -> None:
    """One file a peer."""
    head = {"peer": peer, "commit": commit, "command": "python tests/peers/make_fixtures.py"}
    path = Path(FIXTURES / f"{peer.split('/')[-1]}.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(head | content, indent=1) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    sys.exit(main())
