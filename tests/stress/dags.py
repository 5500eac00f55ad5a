"""The whole DAG on generated rows, begun as a user begins it, and what must be equal when it has ended."""

import subprocess
import sys
from pathlib import Path

import yaml
from finished import CONFIG as FINISHED
from kill_at import numbers

ROOT = Path(__file__).parents[2]
CONFIG = FINISHED | {
    "datasets": {name: {"source": "synthesize", "rows": 6000} for name in ("criteo-kaggle", "avazu")},
    "training": {"validations": 4, "batch_size": 8},
}


def start(folder: Path, *options: str, config: dict = CONFIG) -> subprocess.Popen:
    """snakemake in a folder of its own, as a user starts it."""
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = [Path(sys.executable).parent / "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    with open(folder / "snakemake.log", "a", encoding="utf-8") as log:
        return subprocess.Popen(
            [*command, "--configfile", folder / "config.yaml", "--cores", "2", *options],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def assert_equal(whole: Path, cut: Path) -> None:
    expected, found = (numbers(folder / "results" / "toy") for folder in (whole, cut))
    for part in ("raw/", "data/", "runs/"):
        of_part = {name: digest for name, digest in expected.items() if name.startswith(part)}
        assert of_part == {name: digest for name, digest in found.items() if name.startswith(part)}
        assert len(of_part) > 0
    for table in ("differences", "rare", "spectrum", "tuned"):  # the others hold times
        assert found[f"tables/{table}.csv"] == expected[f"tables/{table}.csv"]
    assert runs_synced(cut) == runs_synced(whole) > 0


def runs_synced(folder: Path) -> int:
    """How many runs the last sync has written or found."""
    said = (folder / "results" / "toy" / "mlflow.synced.txt").read_text()
    return sum(int(word) for word in said.replace(",", "").split() if word.isdigit())
