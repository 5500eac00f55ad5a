"""facebookresearch/dlrm's dlrm_s_pytorch.py, run as it is, and the time that it prints."""

import os
import re
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mlet_bench.errors import BenchError
from mlet_bench.spec import RunSpec

PRINT_EVERY = 50


@dataclass(frozen=True)
class DlrmScript:
    """A checkout of facebookresearch/dlrm and an interpreter that can run it.

    Its imports want tensorboard; its preparation wants ``numpy<2``.
    """

    checkout: Path
    python: Path

    @property
    def version(self) -> str:
        """The checkout's commit, shortened; ``unknown`` for a copy without one, or where there is no git.

        Raises:
            BenchError: no checkout.
        """
        if not (self.checkout / "dlrm_s_pytorch.py").is_file():
            raise BenchError(
                f"{self.checkout} has no dlrm_s_pytorch.py: git clone https://github.com/facebookresearch/dlrm, and "
                "give its path with --dlrm"
            )
        if not (self.checkout / ".git").exists():  # git would answer for a repository around it
            return "unknown"
        words = ["git", "-c", "safe.directory=*", "-C", self.checkout, "rev-parse", "--short=7", "HEAD"]
        try:
            return subprocess.run(words, capture_output=True, encoding="utf-8", check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return "unknown"

    def step_ms(
        self, spec: RunSpec, table_sizes: tuple[int, ...], dense: int, batches: int, threads: int, gpu: bool
    ) -> float:
        """Milliseconds per iteration as the script prints them, the median over groups of ``PRINT_EVERY``; the first
        group warms up. The script's clock leaves its data loading out.

        Raises:
            BenchError: the script failed.
        """
        widths = "-".join
        words = [
            *(self.python, "dlrm_s_pytorch.py", "--data-generation=random", "--loss-function=bce", "--print-time"),
            f"--arch-sparse-feature-size={spec.dim}",
            f"--arch-embedding-size={widths(map(str, table_sizes))}",
            f"--arch-mlp-bot={widths(map(str, (dense, *spec.hyper['bottom'], spec.dim)))}",
            f"--arch-mlp-top={widths(map(str, (*spec.hyper['top'], 1)))}",
            *("--num-indices-per-lookup=1", "--num-indices-per-lookup-fixed=True"),
            *(f"--mini-batch-size={spec.batch_size}", f"--num-batches={batches}", f"--learning-rate={spec.lr}"),
            f"--print-freq={PRINT_EVERY}",
            *(["--use-gpu"] if gpu else []),
        ]
        threading = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        done = subprocess.run(
            words, cwd=self.checkout, env=os.environ | threading, capture_output=True, encoding="utf-8"
        )
        times = [float(found) for found in re.findall(r"([0-9.]+) ms/it", done.stdout)]
        if done.returncode or len(times) < 2:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise BenchError(f"{self.checkout}/dlrm_s_pytorch.py failed: {''.join(last)}")
        return statistics.median(times[1:])
