"""Rows with the real sets' full table sizes, made on the device: nothing is downloaded, no 11 GB file is written."""

import torch

from mlet_bench.data import DATASETS
from mlet_bench.data.dataset import Rows
from mlet_bench.errors import BenchError
from mlet_bench.spec import DatasetSchema, Field


def full_scale_rows(
    dataset: str, rows: int, device: torch.device, uniform: bool = False, seed: int = 0
) -> tuple[DatasetSchema, Rows]:
    """A training split of random rows on ``device`` and its schema: for timing, there is nothing to learn in it.

    Args:
        uniform: every id of a table is equally likely, as facebookresearch/dlrm's generator has it; else id i has a
            probability of about 1/i, as frequencies are in the real sets (log-uniform ids).
    """
    data = DATASETS[dataset]
    if data.planted is None:
        raise BenchError(f"{dataset} has no known click rate to make rows with: take criteo-kaggle or avazu")
    generator = torch.Generator(device).manual_seed(seed)
    ids = torch.empty(rows, len(data.table_sizes), dtype=torch.int32, device=device)
    for field, size in enumerate(data.table_sizes):
        drawn = torch.rand(rows, generator=generator, device=device)  # float32: 24 bits, enough for a spread of ids
        drawn = drawn * size if uniform else torch.exp(drawn * torch.log(torch.tensor(size + 1.0, device=device))) - 1
        ids[:, field] = drawn.to(torch.int32).clamp_(0, size - 1)
    dense = torch.rand(rows, len(data.dense), generator=generator, device=device)
    label = (torch.rand(rows, generator=generator, device=device) < data.planted.click_rate).float()
    schema = DatasetSchema(
        name=dataset,
        fields=tuple(Field(name, size) for name, size in zip(data.fields, data.table_sizes, strict=True)),
        dense=tuple(dense.column for dense in data.dense),
        rows={"train": rows, "val": 0, "test": 0},
        clicks={"train": int(label.sum()), "val": 0, "test": 0},
        source={"file": "", "md5": "", "rows": rows, "planted": None},
        preparation={"split": "none", "made_on": "device", "uniform": uniform, "seed": seed},
        version=0,
    ).sealed()
    return schema, Rows(label, dense, ids)
