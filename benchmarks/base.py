"""What a benchmark is: a function of the settings below that gives measures, entered under a name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from mlet_bench.errors import BenchError

from .dlrm_script import DlrmScript
from .measure import Measure


@dataclass(frozen=True)
class Settings:
    """The options of the command line.

    Attributes:
        dlrm: the peer that ``step`` and ``preparation`` are compared with.
        whole_grid, batch_sizes: of ``overhead``; d=16, k=64 alone, or all (d, k) of the full reproduction.
        deepctr: a folder with DeepCTR-Torch, the peer of ``models``.
        rows: sizes of the files that ``preparation`` and ``preparation-memory`` prepare; None is their default.
    """

    device: torch.device
    dlrm: DlrmScript | None = None
    whole_grid: bool = False
    batch_sizes: tuple[int, ...] = (128,)
    rows: tuple[int, ...] | None = None
    deepctr: Path | None = None

    def peer(self) -> DlrmScript:
        """facebookresearch/dlrm's checkout.

        Raises:
            BenchError: none was given.
        """
        if self.dlrm is None:
            raise BenchError("this benchmark needs a peer: give --dlrm, a checkout of github.com/facebookresearch/dlrm")
        return self.dlrm


class Benchmark(Protocol):
    """A function with a name."""

    name: str

    def __call__(self, settings: Settings) -> list[Measure]: ...


def benchmark(name: str) -> Callable[[Callable[[Settings], list[Measure]]], Callable[[Settings], list[Measure]]]:
    """Enter a function into ``BENCHMARKS`` under a name.

    Example::

        @benchmark("evaluation")
        def exact_auc(settings: Settings) -> list[Measure]: ...
    """

    def enter(function):
        from . import BENCHMARKS

        function.name = name
        return BENCHMARKS.add(function)

    return enter
