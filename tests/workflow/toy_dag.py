"""The DAG on toy data, for several tests: its configuration, and calls of snakemake as a user makes them."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
TOY = {
    "profile": "toy",
    "datasets": {
        "criteo-kaggle": {"source": "synthesize", "rows": 1500},
        "avazu": {"source": "synthesize", "rows": 1500},
    },
    "arms": ["single", "mlet"],
    "dims": [4],
    "inner_dims": [8],
    "seeds": [0, 1],
    "training": {"validations": 2},
    "device": "cpu",
    "overhead": {"pairs": 5, "steps": 1, "when_busy": "time"},
}
RUNS = [
    f"runs/{dataset}/dlrm/{cell}/seed{seed}"
    for dataset in TOY["datasets"] for cell in ("single-d4", "mlet-d4-k8") for seed in (0, 1)
]  # fmt: skip


def snakemake(
    folder: Path, *options: str, config: dict | None = TOY, snakefile: Path = ROOT / "Snakefile"
) -> subprocess.CompletedProcess:
    """Call snakemake as a user who has not activated the environment would, with ``folder`` as working directory."""
    return subprocess.run(
        [*command(folder, config, snakefile), *options], cwd=ROOT, env=environment(), capture_output=True, text=True
    )


def start(folder: Path, *options: str, config: dict = TOY) -> subprocess.Popen:
    """The same without waiting for it; what it says goes to ``folder/snakemake.log``."""
    words = [*command(folder, config, ROOT / "Snakefile"), *options]
    with open(folder / "snakemake.log", "a", encoding="utf-8") as log:
        return subprocess.Popen(words, cwd=ROOT, env=environment(), stdout=log, stderr=log, start_new_session=True)


def command(folder: Path, config: dict | None, snakefile: Path) -> list:
    words = [Path(sys.executable).parent / "snakemake", "--snakefile", snakefile, "--directory", folder]
    if config is not None:
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        words += ["--configfile", folder / "config.yaml"]
    return words


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return kept | {"PATH": "/usr/local/bin:/usr/bin:/bin"}


def jobs(done: subprocess.CompletedProcess) -> dict[str, int]:
    """The job counts that a dry run prints."""
    assert done.returncode == 0, done.stdout + done.stderr
    lines = iter((done.stdout + done.stderr).splitlines())
    for line in lines:
        if line.startswith("job ") and "count" in line:
            break
    else:
        return {}
    next(lines)
    counts = {}
    for line in lines:
        if not line.strip():
            break
        name, count = line.split()
        counts[name] = int(count)
    return counts
