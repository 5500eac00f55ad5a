"""Each rival method beside the code that others wrote of it: equal weights by formula, vectors of some ids.

A case gives ours and theirs as functions that return vectors (B, F, d); theirs raises PeerAbsent.
"""

import contextlib
import importlib
import io
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass

import torch
from agreements import PeerAbsent
from checkouts import CAFE, DLRM, LEB, ROBE, Peer, module_at
from torch import Tensor

from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.base import FieldTables
from mlet_bench.embeddings.md import mixed_widths
from mlet_bench.embeddings.tt import cube, three_factors

SIZES, D = (3, 40, 300), 8
IDS = torch.tensor([[0, 0, 0], [2, 39, 299], [1, 17, 170], [2, 20, 18]])
COLLISIONS, ALPHA, RANK, LENGTH = 6, 0.3, 3, 500


def formula(*shape: int) -> Tensor:
    """Numbers between -1 and 1 that any machine makes again."""
    count = int(torch.tensor(shape).prod())
    return torch.sin(torch.arange(count, dtype=torch.float64) * 0.7 + 0.3).view(shape).float()


def ours(method: str, **options) -> FieldTables:
    """Our module with its rows, and what else it trains, by formula."""
    tables = METHODS[method](SIZES, D, **options)
    with torch.no_grad():
        for parameter in tables.parameters():
            parameter.copy_(formula(*parameter.shape))
    return tables


def given(module: torch.nn.Module, **weights: Tensor) -> torch.nn.Module:
    """A peer's module with these weights."""
    for name, value in weights.items():
        parameter = module.get_parameter(name)
        parameter.data[: len(value)] = value
    return module


def cafe_hash() -> Tensor:
    peer, rows = module_at(CAFE, "ArtifactEvaluation/embeddings/hash_embedding_bag.py"), ours("hash", rows=30)
    found = []
    for field, n in enumerate(SIZES):
        bag = peer.HashEmbeddingBag(n, D, min(1, 30 / n), mode="sum")
        given(bag, weight=rows.field_rows(field))
        found.append(bag(IDS[:, field : field + 1]))
    return torch.stack(found, 1)


def _quotient_remainder(bags: Callable[[int], torch.nn.Module]) -> Tensor:
    """A peer's vectors; a table that hashing would enlarge is plain with us, and so it is here."""
    tables, found = ours("qr", collisions=COLLISIONS), []
    for field, n in enumerate(SIZES):
        q, r = tables.slot_rows(field)
        if not len(r):
            found.append(q[IDS[:, field]])
            continue
        bag = given(bags(n), weight_q=q, weight_r=r)
        found.append(bag(IDS[:, field : field + 1]))
    return torch.stack(found, 1)


def cafe_qr() -> Tensor:
    peer = module_at(CAFE, "ArtifactEvaluation/embeddings/qr_embedding_bag.py")
    return _quotient_remainder(lambda n: peer.QREmbeddingBag(n, D, COLLISIONS))


def dlrm_qr() -> Tensor:
    peer = module_at(DLRM, "tricks/qr_embedding_bag.py")
    return _quotient_remainder(lambda n: peer.QREmbeddingBag(n, D, COLLISIONS, operation="add", mode="sum"))


def dlrm_md() -> Tensor:
    peer, tables = module_at(DLRM, "tricks/md_embedding_bag.py"), ours("md", alpha=ALPHA)
    found, first = [], 0
    for field, (n, width) in enumerate(zip(SIZES, mixed_widths(SIZES, D, ALPHA))):
        bag = given(peer.PrEmbeddingBag(n, width, D), **{"embs.weight": tables.field_rows(field).view(n, width)})
        if width < D:
            bag.proj.weight.data.copy_(tables.projections[first : first + width].T)
            first += width
        found.append(bag(IDS[:, field : field + 1]))
    return torch.stack(found, 1)


def leb_tt() -> Tensor:
    """The folder is made a package without its __init__, which imports everything that LEB has."""
    folder = LEB.path / "src/models/embeddings"
    package = types.ModuleType("leb_embeddings")
    package.__path__ = [str(folder)]
    sys.modules["leb_embeddings"] = package
    try:
        peer = importlib.import_module("leb_embeddings.tensortrain_embeddings")
    except ModuleNotFoundError as error:
        raise PeerAbsent(f"LEB needs {error.name}: pip install einops loguru") from None
    tables, found = ours("tt", rank=RANK), []
    for field, n in enumerate(SIZES):
        cores = tables.field_rows(field).split(tables.parts[field])
        cores = [core.view(rows, -1, RANK) for core, rows in zip(cores, cube(n))]
        cores[2] = cores[2].transpose(1, 2)  # theirs is (r, d3), ours d3 rows of r
        cores = [core.reshape(1, len(core), -1) for core in cores]
        shapes = (list(cube(n)), list(three_factors(D)), [1, RANK, RANK, 1])
        found.append(peer.tt_rec_torch_forward(IDS[:, field], *shapes, cores))
    return torch.stack(found, 1)


def robe_cpu() -> Tensor:
    peer, tables = module_at(ROBE, "hashedEmbeddingCPU.py"), ours("robe", size=LENGTH)
    found, offset = [], 0
    for field, n in enumerate(SIZES):
        with contextlib.redirect_stdout(io.StringIO()):
            bag = peer.HashedEmbeddingCPU(n, D, tables.weight.detach().flatten(), offset, uma_chunk_size=D)
        found.append(bag(IDS[:, field]))
        offset += n
    return torch.stack(found, 1)


@dataclass(frozen=True)
class Case:
    """A method, its options, and the peer's vectors."""

    peer: Peer
    method: str
    options: dict
    theirs: Callable[[], Tensor]

    def ours(self) -> Tensor:
        """Our vectors."""
        return ours(self.method, **self.options)(IDS)


CASES = {
    "hash": Case(CAFE, "hash", {"rows": 30}, cafe_hash),
    "qr": Case(CAFE, "qr", {"collisions": COLLISIONS}, cafe_qr),
    "qr of dlrm": Case(DLRM, "qr", {"collisions": COLLISIONS}, dlrm_qr),
    "md": Case(DLRM, "md", {"alpha": ALPHA}, dlrm_md),
    "tt": Case(LEB, "tt", {"rank": RANK}, leb_tt),
    "robe": Case(ROBE, "robe", {"size": LENGTH}, robe_cpu),
}
