"""The arms that tune: one embedding learning rate for all seeds of a cell, chosen on validation."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mlet_bench.errors import BenchError, RunsFailed
from mlet_bench.files import read_json, write_sealed
from mlet_bench.parquet import read_table
from mlet_bench.spec import RunSpec
from mlet_bench.training.unfinished import is_trained

MODEL = "model.safetensors"
FILES = ("curve.parquet", MODEL, "provenance.json", "spec.json")  # of a run; the spec is read first, so it moves last


def train_tuned(
    runs: Sequence[tuple[RunSpec, Path]],
    factors: Sequence[float],
    train_all: Callable[[list[tuple[RunSpec, Path]]], object],
) -> float:
    """Train every candidate with every seed, and leave in each run folder the run of the best candidate.

    The best is the candidate with the highest last validation AUC, mean over the seeds; of equal ones the smaller
    factor. Test is not looked at. Each folder's ``tuning.json`` has what every candidate reached and which was chosen.
    Until then candidates live in ``candidates`` inside the run's folder: called again after a kill, finished ones are
    not trained again. A losing candidate's model is deleted at once; one that diverges with any seed is recorded with
    its sentence and not chosen.

    Args:
        runs: spec and folder of each seed.
        factors: candidate embedding learning rates over the base one.
        train_all: trains specs that differ in their seed alone, each into its folder, as ``train_together`` does.

    Returns:
        the chosen factor.

    Raises:
        BenchError: no candidates, no validation to choose on, no candidate that did not diverge, or whatever a
            training raises.
    """
    if not factors:
        raise BenchError("no embedding learning rates to choose from: give at least one factor")
    if runs[0][0].validations == 0:
        raise BenchError("an embedding learning rate is chosen on validation: validations must be 1 or more")
    if (chosen := _chosen_before(runs, factors)) is not None:
        return chosen
    records, best = [], None
    for factor in sorted(factors):
        candidates = [(replace(spec, embedding_lr_factor=factor), _place(folder, factor)) for spec, folder in runs]
        left = [(spec, place) for spec, place in candidates if not is_trained(place, spec)]
        try:
            if left:
                train_all(left)
        except RunsFailed as error:
            records.append({"factor": factor, "val_auc": None, "val_auc_by_seed": {}, "failed": str(error)})
            _drop_models(runs, factor)
            continue
        reached = {
            spec.seed: float(read_table(place / "curve.parquet", f"delete {place}")["val_auc"][-1].as_py())
            for spec, place in candidates
        }
        mean = sum(reached.values()) / len(reached)
        records.append({"factor": factor, "val_auc": mean, "val_auc_by_seed": reached})
        if best is None or mean > best["val_auc"]:
            loser, best = best, records[-1]
        else:
            loser = records[-1]
        if loser is not None:
            _drop_models(runs, loser["factor"])
    if best is None:
        raise BenchError(f"every candidate failed: {'; '.join(record['failed'] for record in records)}")
    for _, folder in runs:
        for name in FILES:
            shutil.copy2(_place(folder, best["factor"]) / name, folder / name)
        write_sealed(folder / "tuning.json", {"chosen": best["factor"], "by": "val_auc", "candidates": records})
    for _, folder in runs:
        # Renamed first: a half-deleted candidate must not be taken for a finished one.
        done = (folder / "candidates").rename(folder / ".candidates.done")
        shutil.rmtree(done)
    return best["factor"]


def _chosen_before(runs: Sequence[tuple[RunSpec, Path]], factors: Sequence[float]) -> float | None:
    """The factor that a call cut off after its choice has chosen among the same ones; None if it did not get there."""
    for spec, folder in runs:
        if not (folder / "tuning.json").exists():
            return None
        tuning = read_json(folder / "tuning.json", "delete it")
        chosen = replace(spec, embedding_lr_factor=tuning["chosen"])
        among = [candidate["factor"] for candidate in tuning["candidates"]]
        if among != sorted(factors) or not is_trained(folder, chosen):
            return None
    return tuning["chosen"]


def _place(folder: Path, factor: float) -> Path:
    return folder / "candidates" / f"lr-x{factor:g}"


def _drop_models(runs: Sequence[tuple[RunSpec, Path]], factor: float) -> None:
    for _, folder in runs:
        (_place(folder, factor) / MODEL).unlink(missing_ok=True)
