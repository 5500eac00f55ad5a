"""Two models that other people would bring, through ``mlet_bench.sweep`` on a prepared data set, with a report each.

    python tests/peers/sweep_models.py DATA --out results/peers --seeds 5

DeepFM is DeepCTR-Torch's own (tests/peers/README.md says how to get it); the two towers are plain torch.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch
from agreements import PeerAbsent
from deepctr import DEEPCTR
from torch import Tensor, nn

import mlet_bench
from mlet_bench.data.dataset import Rows, load_split
from mlet_bench.spec import SPLITS, DatasetSchema

BATCH = 256
Build = Callable[[int], nn.Module]


class TwoTowers(nn.Module):
    """The first half of the fields against the second: the logit is the product of two vectors of 16, as retrieval
    models score, with a bias.

    Args:
        sizes: n of each field.
    """

    def __init__(self, sizes: Sequence[int], dense: int, dim: int):
        super().__init__()
        self.middle = len(sizes) // 2
        self.tables = nn.ModuleList(nn.Embedding(size, dim) for size in sizes)
        widths = self.middle * dim + dense, (len(sizes) - self.middle) * dim
        self.towers = nn.ModuleList(nn.Sequential(nn.Linear(w, 32), nn.ReLU(), nn.Linear(32, 16)) for w in widths)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, rows: Rows) -> Tensor:
        vectors = [table(ids.long()) for table, ids in zip(self.tables, rows.ids.T, strict=True)]
        query = self.towers[0](torch.cat([*vectors[: self.middle], rows.dense], 1))  # (B, 16)
        item = self.towers[1](torch.cat(vectors[self.middle :], 1))
        return (query * item).sum(1) + self.bias


class DeepFM(nn.Module):
    """DeepCTR-Torch's, which gives probabilities of one matrix of all features; raises PeerAbsent."""

    def __init__(self, sizes: Sequence[int], dense: int, dim: int):
        super().__init__()
        inputs = DEEPCTR.module.inputs
        columns = [inputs.SparseFeat(f"f{place}", size, embedding_dim=dim) for place, size in enumerate(sizes)]
        columns += [inputs.DenseFeat(f"x{place}", 1) for place in range(dense)]
        settings = {"l2_reg_linear": 0, "l2_reg_embedding": 0, "dnn_hidden_units": (64, 32)}
        # It seeds torch itself, with a constant unless it is told otherwise.
        self.net = DEEPCTR.module.models.DeepFM(columns, columns, seed=torch.initial_seed() % 2**31, **settings)

    def forward(self, rows: Rows) -> Tensor:
        return torch.logit(self.net(torch.cat([rows.ids.float(), rows.dense], 1)).squeeze(1), eps=1e-7)


MODELS: dict[str, tuple[Callable[..., nn.Module], list[str]]] = {
    "two-towers": (TwoTowers, ["tables.*"]),
    "deepfm": (DeepFM, ["net.embedding_dict.*"]),  # not its linear part, whose tables have width 1
}


def sweep_model(name: str, splits: Mapping[str, Rows], sizes: Sequence[int], **grid) -> pd.DataFrame:
    """``mlet_bench.sweep`` of one of ``MODELS``, trained by Adagrad for one epoch.

    Args:
        splits: ``train``, ``val`` and ``test``; ids of a table below n = ``sizes``.
        grid: of ``sweep``.
    """
    make, only = MODELS[name]
    train, dense = splits["train"], splits["train"].dense.shape[1]

    def fit(model, groups, seed):
        optimizer = torch.optim.Adagrad(groups)
        for chosen in torch.randperm(len(train)).split(BATCH):
            rows = _part(train, chosen)
            optimizer.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(model(rows), rows.label).backward()
            optimizer.step()
        return len(train)

    @torch.no_grad()
    def score(model):
        model.eval()
        return {split: (splits[split].label, model(splits[split]).sigmoid()) for split in ("val", "test")}

    return mlet_bench.sweep(
        *(lambda dim: make(sizes, dense, dim), fit, score),
        **{"lr": 0.02, "batch_size": BATCH, "optimizer": "adagrad", "model": name, "only": only} | grid,
    )


def _part(rows: Rows, chosen: Tensor) -> Rows:
    return Rows(rows.label[chosen], rows.dense[chosen], rows.ids[chosen])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="prepared data set")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    schema = DatasetSchema.read(options.data)
    loaded = {split: load_split(options.data, schema, split) for split in SPLITS}
    for name in MODELS:
        try:
            table = sweep_model(
                *(name, loaded, schema.table_sizes),
                **{"dims": [4, 16], "inner_dims": [64], "seeds": range(options.seeds), "out": options.out / name},
                **{"dataset": schema.name, "fingerprint": schema.fingerprint, "embedding_lr_factors": [0.25, 1, 4]},
            )
        except PeerAbsent as absent:
            print(f"{name} was left out: {absent}")
            continue
        print(table[["cell", "done", "auc", "logloss", "deployed_tables_bytes"]].to_string(index=False))
