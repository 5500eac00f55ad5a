"""Every stage as a command in a folder, and the files that each makes: for tests of kills and damaged files."""

import shutil

from mlet_bench.cli import main

STEPS = 60  # of each of the two seeds below


def call(*words) -> int:
    return main([str(word) for word in words])


def commands(place) -> dict[str, tuple]:
    """Stage → its command, with every file below ``place``."""
    runs = [place / "runs" / f"seed{seed}" for seed in (0, 1)]
    cell = ("--data", place / "data", "--arm", "mlet", "--dim", 4, "--inner-dim", 8, "--seed", 0, 1, "--batch-size", 8)
    cell += ("--validations", 6, "--device", "cpu", "--threads", 1, "--checkpoint-seconds", 0, "--out")
    index = ("--index", place / "cell" / "runs.json", "--keep", "all")
    return {
        "synthesize": ("synthesize", "avazu", "--rows", 600, "--out", place / "raw.txt"),
        "prepare": ("prepare", "avazu", "--raw", place / "raw.txt", "--out", place / "data"),
        "train": ("train", *cell, place / "runs" / "seed{seed}"),
        "deploy": ("deploy", *runs),
        "evaluate": ("evaluate", *runs),
        "spectrum": ("spectrum", *runs),
        "cell": ("cell", *cell, place / "cell" / "seed{seed}", *index),
    }


def give(whole, cut, stage) -> None:
    """Copy what a stage made."""
    for name in FILES[stage]:
        (cut / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (whole / name).is_dir() else shutil.copy2
        copy(whole / name, cut / name)


def of_runs(*names) -> list[str]:
    return [f"runs/seed{seed}/{name}" for seed in (0, 1) for name in names]


FILES = {
    "synthesize": ["raw.txt", "raw.txt.planted.json"],
    "prepare": ["data"],
    "train": of_runs("spec.json", "curve.parquet", "model.safetensors", "data.json", "provenance.json"),
    "deploy": of_runs("deployed.json", "deployed.safetensors"),
    "evaluate": of_runs("metrics.json", "rare.parquet", "scores.parquet"),
    "spectrum": of_runs("spectrum.parquet", "factors.parquet"),
    "cell": ["cell"],
}


class made:
    """The files that the stages up to one make."""

    def __init__(self, stage):
        stages = list(FILES)
        self.names = [name for each in stages[: stages.index(stage) + 1] for name in FILES[each]]

    def __contains__(self, file):
        return any(file == name or file.startswith(f"{name}/") for name in self.names)
