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
    "overhead": {"pairs": 5, "steps": 1},
}
RUNS = [
    f"runs/{dataset}/dlrm/{cell}/seed{seed}"
    for dataset in TOY["datasets"] for cell in ("single-d4", "mlet-d4-k8") for seed in (0, 1)
]  # fmt: skip


def snakemake(
    folder: Path, *options: str, config: dict | None = TOY, snakefile: Path = ROOT / "Snakefile"
) -> subprocess.CompletedProcess:
    """Call snakemake as a user who has not activated the environment would, with ``folder`` as working directory."""
    command = [Path(sys.executable).parent / "snakemake", "--snakefile", snakefile, "--directory", folder]
    if config is not None:
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        command += ["--configfile", folder / "config.yaml"]
    environment = os.environ | {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    return subprocess.run([*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True)


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
