"""The CPU's kernels against the plain torch that stands in for them where there is no compiler."""

import statistics
import time
from collections.abc import Callable

import torch

from mlet_bench import kernels
from mlet_bench.device import device_label, software_label
from mlet_bench.errors import BenchError
from mlet_bench.models.interaction import Interaction
from mlet_bench.training.rows import RowSGD

from .base import Settings, benchmark
from .measure import Measure

B, F, D, K = 128, 26, 16, 64
SIZES = {"tables in the cache": 20, "1.3 GB of tables": 200_000}  # rows of each field's table
BATCHES = 200


@benchmark("kernels")
def bench_kernels(settings: Settings, rounds: int = 7) -> list[Measure]:
    """Each part of a step that the kernels do, B=128, F=26, d=16, in turn with plain torch; ids log-uniform.

    Raises:
        BenchError: no kernels: no compiler, or switched off.
    """
    if kernels.library() is None:
        raise BenchError("there are no kernels to time: install a C++ compiler, and unset MLET_BENCH_KERNELS")
    generator = torch.Generator().manual_seed(0)
    found = []
    for where, size in SIZES.items():
        starts = torch.arange(F + 1) * size
        uniform = torch.rand(BATCHES, B, F, generator=generator)
        batches = (torch.exp(uniform * torch.log(torch.tensor(size + 1.0))) - 1).int().clamp_(0, size - 1)
        for name, width in (("single", None), (f"MLET k={K}", K)):
            for part, ours, plain in _lookups(starts, width, generator):
                found.append(_compare(f"{part}, {name}, {where}", ours, plain, batches, rounds))
    for part, ours, plain in _interactions(generator):
        found.append(_compare(part, ours, plain, batches, rounds))
    return found


def _lookups(starts, width: int | None, generator) -> list[tuple[str, Callable, Callable]]:
    """Lookup, and the rows' step with the gradient of W2: by kernel and plain, as functions of ids (B, F)."""
    weight = torch.randn(int(starts[-1]), width or D, generator=generator)
    w2 = None if width is None else torch.randn(F, width, D, generator=generator)
    grad, lr = torch.randn(B, F, D, generator=generator), 1e-6
    optimizer = RowSGD(weight, lr)

    def index(ids):
        return (ids + starts[:-1]).T.flatten()

    def gather(place):
        return weight.index_select(0, place).view(F, B, -1)

    def look_up(ids):
        rows = gather(index(ids))
        return rows if w2 is None else torch.bmm(rows, w2)

    def update(ids):
        place, of_vectors = index(ids), grad.transpose(0, 1)
        if w2 is not None:
            torch.bmm(gather(place).transpose(1, 2), of_vectors)
            of_vectors = torch.bmm(of_vectors, w2.transpose(1, 2))
        optimizer.update(place, of_vectors.reshape(-1, weight.shape[1]))

    return [
        ("lookup", lambda ids: kernels.lookup(weight, w2, ids, starts), look_up),
        ("rows' step", lambda ids: kernels.lookup_sgd(weight, w2, ids, starts, grad, lr, w2 is not None), update),
    ]


def _interactions(generator) -> list[tuple[str, Callable, Callable]]:
    bottom = torch.randn(B, D, generator=generator, requires_grad=True)
    vectors = torch.randn(B, F, D, generator=generator, requires_grad=True)
    layer = Interaction(F + 1)
    layer.plain = True
    out = layer(bottom, vectors)
    grad = torch.randn(out.shape, generator=generator)
    return [
        ("interaction", lambda _: kernels.interact(bottom, vectors), lambda _: layer(bottom, vectors)),
        (
            "interaction, backward",
            lambda _: kernels.interact_back(bottom, vectors, grad),
            lambda _: torch.autograd.grad(out, [bottom, vectors], grad, retain_graph=True),
        ),
    ]


def _compare(case: str, ours: Callable, plain: Callable, batches: torch.Tensor, rounds: int) -> Measure:
    took: dict[Callable, list[float]] = {ours: [], plain: []}
    for turn in range(-1, rounds):
        for function in took:
            clock = time.perf_counter()
            for ids in batches:
                function(ids)
            if turn >= 0:
                took[function].append((time.perf_counter() - clock) * 1e6 / len(batches))
    mine, other = (statistics.median(took[function]) for function in (ours, plain))
    ratio = statistics.median(b / a for a, b in zip(*took.values(), strict=True))
    device = torch.device("cpu")
    where = device_label(device), software_label(device)
    return Measure("kernels", case, mine, "µs", "plain torch", other, ratio, "", *where)
