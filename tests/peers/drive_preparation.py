"""Run a peer's own preparation of a raw Criteo file, in an interpreter with numpy < 2.

    python drive_preparation.py CHECKOUT head|fork RAW OUT ORDER

RAW must lie in a folder of its own: the peers write beside it, or into the working directory. OUT is an npz with
`counts`, the table sizes, and for each split `<split>_dense` (float32, after the peer's logarithm), `<split>_ids` and
`<split>_label`, in the peer's row order. ORDER is the peer's --data-randomize and, after a comma, numpy's
seed. For `total` of `head`, the shuffle of the training rows is undone. Imports numpy, torch and the peer alone.
"""

import os
import sys

import numpy as np
import torch


def main(checkout: str, kind: str, raw: str, out: str, order: str) -> None:
    """Write OUT."""
    sys.path.insert(0, os.path.abspath(checkout))
    import dlrm_data_pytorch as peer

    randomize, seed = order.split(",")
    result = {}
    folder = os.path.dirname(os.path.abspath(raw))
    os.chdir(folder)
    os.makedirs("input", exist_ok=True)  # the fork's fixed place for its files
    name = "kaggleAdDisplayChallenge_processed.npz"
    processed = os.path.join(folder, "input", name) if kind == "fork" else os.path.join(folder, name)
    for split in ("train", "val", "test"):
        if not os.path.exists(processed):
            build(peer, kind, split, "none", raw, processed)  # writes the file, before numpy's seed is set
        np.random.seed(int(seed))
        data = build(peer, kind, split, randomize, raw, processed)
        rows = [data[i] for i in range(len(data))]
        if kind == "head":  # hands out raw integers; its collate function takes the logarithm
            dense, _, ids, label = peer.collate_wrapper_criteo_offset(rows)
            dense, ids, label = dense.numpy(), ids.numpy().T, label.numpy()[:, 0]
        else:
            dense, ids, label = (torch.stack(part).numpy() for part in zip(*rows))
        position = np.arange(len(ids))
        if kind == "head" and split == "train" and randomize == "total":
            np.random.seed(int(seed))
            position = np.random.permutation(position)
        for part, values in (("dense", dense), ("ids", ids), ("label", label)):
            result[f"{split}_{part}"] = np.empty_like(values)
            result[f"{split}_{part}"][position] = values
    np.savez(out, counts=np.asarray(data.counts), **result)


def build(peer, kind: str, split: str, randomize: str, raw: str, processed: str):
    """The peer's data set of a split; makes the processed file if it is not there."""
    if kind == "fork":
        return peer.CriteoDataset("kaggle", randomize, split, raw, processed)
    return peer.CriteoDataset("kaggle", -1, 0.0, randomize, split, raw, processed, False)


if __name__ == "__main__":
    main(*sys.argv[1:])
