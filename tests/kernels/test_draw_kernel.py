"""The kernel of initial values gives the bits of plain torch, whatever the shape, the type and the threads."""

import pytest
import torch

from mlet_bench import kernels
from mlet_bench.embeddings.draw import normal_, uniform_
from mlet_bench.kernels import build

pytestmark = pytest.mark.skipif(build.library() is None, reason="needs a C++ compiler")
LAWS = pytest.mark.parametrize("fill", [uniform_, normal_])


def both(fill, shape, monkeypatch, dtype=torch.float32, scale=0.37, first_row=0):
    """Of the kernel, and of plain torch."""
    place = 2**63 + 9, 77, scale, first_row
    with monkeypatch.context() as patch:
        taken = fill(torch.empty(shape, dtype=dtype), *place)
        patch.setattr(kernels, "library", lambda: None)
        return taken, fill(torch.empty(shape, dtype=dtype), *place)


@LAWS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("first_row", [0, 1, 2**32 - 20, 2**50 + 3])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 16, 63, 128, 1001])
@pytest.mark.parametrize("rows", [1, 31, 32, 33, 500])
def test_bits(fill, rows, width, first_row, dtype, monkeypatch):
    one, other = both(fill, (rows, width), monkeypatch, dtype, first_row=first_row)
    assert torch.equal(one, other)


@LAWS
@pytest.mark.parametrize("scale", [2.0**-80, 0.1, 1 / 3, 1.0, 2.0**80])
def test_scales(fill, scale, monkeypatch):
    assert torch.equal(*both(fill, (5000, 64), monkeypatch, scale=scale))


@LAWS
def test_threads(fill, monkeypatch):
    results, threads = [], torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results += both(fill, (20_000, 33), monkeypatch)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(results[0], other) for other in results[1:])


def test_who_takes_it(monkeypatch):
    """Rows whose values lie side by side, on the CPU, in a type that there is code for."""
    room = torch.empty(6, 8)
    assert all(map(kernels.can_draw, (room, room[:, 2:5], room[::2], room.double(), room[:, :1])))
    assert not any(map(kernels.can_draw, (room.t(), room[:, ::2], room.half(), room.to("meta"))))
    monkeypatch.setattr(kernels, "library", lambda: None)
    assert not kernels.can_draw(room)
