"""Steps without the host: several of them captured as one CUDA graph and replayed."""

from collections.abc import Sequence

import torch

from mlet_bench.data.dataset import Rows
from mlet_bench.training.step import TrainStep
from mlet_bench.training.steps import Steps

WARM_UP = 3  # steps before a capture; cuBLAS and the allocator make what they need in them
LENGTH = 20  # steps a replay


class CapturedSteps(Steps):
    """``Steps`` on a GPU: the same operations on the same tensors, launched once a replay, not one by one.

    The steps that warm up are steps of the training like all others, so nothing has to be put back afterwards.
    Epochs, batches and losses live in tensors whose places do not change, so that a graph stays valid.
    """

    def __init__(self, step: TrainStep, rows: Rows, batch_size: int, order_of: Sequence[int] | None = None):
        super().__init__(step, rows, batch_size, order_of)
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}  # by number of steps
        self._warm = False

    def advance(self, count: int) -> None:
        """Train on the next ``count`` full batches: whole replays first, the rest step by step."""
        with torch.cuda.device(self.rows.label.device):  # streams and graphs are the current device's
            if not self._warm:
                count -= self._warm_up(min(count, WARM_UP))
            for length in (LENGTH, 1):
                while count >= length:
                    self._graph(length).replay()
                    count -= length

    def _warm_up(self, count: int) -> int:
        # Captured work must not run on the default stream, and what it allocates must not be warm from there.
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            super().advance(count)
        torch.cuda.current_stream().wait_stream(side)
        self._warm = True
        return count

    def _graph(self, length: int) -> torch.cuda.CUDAGraph:
        if length not in self._graphs:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):  # records, runs nothing
                for _ in range(length):
                    self._one()
            self._graphs[length] = graph
        return self._graphs[length]


def make_steps(
    step: TrainStep, rows: Rows, batch_size: int, eager: bool = False, order_of: Sequence[int] | None = None
) -> Steps:
    """The fastest steps for the device that the rows are on.

    Args:
        order_of: as of ``Steps``.
        eager: launch each operation by itself on a GPU as well.
    """
    captured = rows.label.is_cuda and not eager
    return (CapturedSteps if captured else Steps)(step, rows, batch_size, order_of)
