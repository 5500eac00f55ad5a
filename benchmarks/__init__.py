"""Benchmarks: each times our code against a peer or a limit and gives a table with the ratio.

``python -m benchmarks step --device cpu --dlrm ../dlrm``. A benchmark is one file and one line below.
"""

from mlet_bench.registry import Registry

from .base import Benchmark

BENCHMARKS: Registry[Benchmark] = Registry(
    "benchmark",
    __name__,
    {
        "step": "step",
        "pack": "pack",
        "overhead": "overhead",
        "epoch": "epoch",
        "preparation": "preparation",
        "preparation-memory": "preparation",
        "evaluation": "evaluation",
        "kernels": "kernels",
        "models": "models",
        "coverage": "coverage",
        "wire": "scale_out",
        "sharded-collapse": "scale_out",
    },
)
