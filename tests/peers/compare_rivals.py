"""Rival methods and formats: vectors of equal weights, widths, and what is read of packed and truncated rows."""

import numpy as np
import torch
from agreements import Agreement, comparison
from checkouts import DLRM, module_at
from paired_rivals import CASES, SIZES, D, formula

from mlet_bench.data import DATASETS
from mlet_bench.embeddings.formats import FORMATS
from mlet_bench.embeddings.md import mixed_widths


def _vectors(name: str) -> Agreement:
    case = CASES[name]
    largest = (case.ours() - case.theirs()).abs().max().item()
    return Agreement(case.peer.name, case.peer.version, f"vectors: {name}", f"n={SIZES}, d={D}", largest, 1e-6)


for _name in CASES:
    comparison(lambda name=_name: _vectors(name))


@comparison
def widths() -> Agreement:
    """Mixed dimensions of Criteo-Kaggle's tables at several temperatures; how many of them differ."""
    peer, sizes = module_at(DLRM, "tricks/md_embedding_bag.py"), DATASETS["criteo-kaggle"].table_sizes
    differ = 0
    for alpha in np.linspace(0, 1, 21):
        theirs = peer.md_solver(torch.tensor(sizes), torch.tensor(alpha), d0=torch.tensor(16.0), round_dim=False)
        differ += sum(a != b for a, b in zip(mixed_widths(sizes, 16, float(alpha)), theirs.tolist()))
    return Agreement(DLRM.name, DLRM.version, "widths of md, d=16, 21 values of alpha", "26 tables", differ, 0)


@comparison
def packed() -> list[Agreement]:
    """int8 and int4 rows read by our look-up and unpacked by torch; how many values are not equal to the bit."""
    weight, slots = formula(1000, 16), torch.arange(1000).view(1, -1, 1)
    unpack = {8: torch.ops.quantized.embedding_bag_byte_unpack, 4: torch.ops.quantized.embedding_bag_4bit_unpack}
    lines = []
    for bits, unpacked in unpack.items():
        form = FORMATS[f"int{bits}"]
        tensors = form.encode(weight, (1000,))
        differ = (form.rows(tensors, slots).view(1000, 16) != unpacked(tensors["rows"])).sum().item()
        lines.append(
            Agreement(
                "torch", torch.__version__, f"packed rows, read and unpacked: int{bits}", "1,000 rows, d=16", differ, 0
            )
        )
    return lines


@comparison
def truncated() -> Agreement:
    """Tables cut to rank 4, against numpy's SVD."""
    weight, slots = formula(1000, 16) * formula(16) + formula(1000, 1), torch.arange(1000).view(1, -1, 1)
    form = FORMATS["svd-4"]
    ours = form.rows(form.encode(weight, (1000,)), slots).view(1000, 16)
    u, s, v = np.linalg.svd(weight.double().numpy(), full_matrices=False)
    largest = float(np.abs(ours.numpy() - u[:, :4] * s[:4] @ v[:4]).max())
    return Agreement("numpy", np.__version__, "tables cut to rank 4", "1,000 rows, d=16", largest, 1e-5)
