"""The arms that tune: one embedding learning rate for all seeds of a cell, chosen on validation by seeds of its own."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from mlet_bench.errors import BenchError, RunsFailed
from mlet_bench.files import read_json, rename
from mlet_bench.runs import CURVE, TUNING, RunFolder, require_keys
from mlet_bench.spec import RunSpec
from mlet_bench.training.rounds import Failures, Rounds, Runs

CANDIDATES = "candidates"  # inside the first run's folder, until one is chosen
Factors = Sequence[float] | Literal["auto"]

# A choice is as good as it looks only to seeds that had no part in it.
TUNING_SEEDS = (1_000_000, 1_000_001)
AUTO: Literal["auto"] = "auto"
FIRST, STEP, LIMIT = (1.0, 4.0, 16.0), 4.0, 4.0**6  # where ``auto`` begins, by what it goes on, and how far


def tuning(runs: Runs, factors: Factors) -> Rounds:
    """Ask for every candidate with ``TUNING_SEEDS``, and then for each run with the best of them.

    All candidates that are known to be wanted are asked for at once: they have the shape of one pack. The best is the
    candidate with the highest last validation AUC, mean over those seeds; of equal ones the smaller factor. Test is not
    looked at, and neither are the seeds that will be judged. Each folder's ``tuning.json`` has what every candidate
    reached and which was chosen. Until then candidates live in ``candidates`` inside the first run's folder; nobody
    wants their models. One that diverges is recorded with its sentence and not chosen. What an earlier call has found,
    for these seeds or for fewer, stands.

    Args:
        factors: candidate embedding learning rates over the base one; ``auto``: 1, 4 and 16, and on by steps of 4 until
            the best lies inside of what was tried, or ``LIMIT`` is reached.

    Raises:
        RunsFailed: a run with the chosen rate failed.
        BenchError: no candidates, an impossible one, no validation to choose on, a seed that would have a part in the
            choice, or no candidate that did not diverge.
    """
    todo = list(first_factors(factors))
    if not todo:
        raise BenchError("no embedding learning rates to choose from: give at least one factor")
    if runs[0][0].validations == 0:
        raise BenchError("an embedding learning rate is chosen on validation: validations must be 1 or more")
    for factor in todo:
        replace(runs[0][0], embedding_lr_factor=factor)  # refuses one that no run can have, before any is trained
    if used := [spec.seed for spec, _ in runs if spec.seed in TUNING_SEEDS]:
        raise BenchError(f"seed {used[0]} chooses embedding learning rates, so it cannot judge them: take another")
    known, records = _known_before(runs), {}
    while todo:
        new = {factor: _placed(*runs[0], factor) for factor in sorted(todo) if factor not in known}
        due = [(one, place) for tried in new.values() for one, place in tried if not RunFolder(place).holds(one)]
        failures = (yield due) if due else {}
        records |= {factor: known[factor] for factor in todo if factor in known}
        records |= {factor: _record(factor, tried, failures) for factor, tried in new.items()}
        todo = _beyond(records) if factors == AUTO else []
    reached = {factor: record["val_auc"] for factor, record in sorted(records.items()) if "failed" not in record}
    if not reached:
        raise BenchError(f"every candidate failed: {'; '.join(record['failed'] for record in records.values())}")
    best = max(reached, key=lambda factor: reached[factor])
    content = {"chosen": best, "by": "val_auc", "asked": factors if factors == AUTO else sorted(factors)}
    content["candidates"] = [records[factor] for factor in sorted(records)]
    chosen = [(replace(spec, embedding_lr_factor=best), folder) for spec, folder in runs]
    due = [(spec, folder) for spec, folder in chosen if not RunFolder(folder).holds(spec)]
    for _, folder in due:  # what was made of another choice goes
        RunFolder(folder).drop("train", "deploy", "spectrum", "evaluate")
    failures = {}
    try:
        failures = (yield due) if due else {}
    finally:
        for spec, folder in chosen:
            if RunFolder(folder).holds(spec):  # not one that diverged, or that is still to come
                RunFolder(folder).write_document(TUNING, content, spec.id)
    if failures:
        raise RunsFailed(failures)
    for _, folder in runs:
        drop_candidates(folder)


def chose_among(runs: Runs, factors: Factors) -> bool:
    """Whether all runs are of one choice among these factors."""
    wanted = factors if factors == AUTO else sorted(factors)
    found = [record for spec, folder in runs if (record := _recorded(spec, folder)) is not None]
    return len(found) == len(runs) and all(
        record["asked"] == wanted and record["chosen"] == found[0]["chosen"] for record in found
    )


def candidates_of(spec: RunSpec, folder: Path) -> Runs:
    """The candidates inside a run's folder, with what they are of that spec; their factors are their own."""
    places = [(seed, (folder / CANDIDATES).glob(f"*-seed{seed}")) for seed in TUNING_SEEDS]
    return [(replace(spec, seed=seed), place) for seed, found in places for place in sorted(found)]


def drop_candidates(folder: Path) -> None:
    """Delete the candidates of a run that was chosen, and what a kill left of them."""
    done = folder / ".candidates.done"
    shutil.rmtree(done, ignore_errors=True)
    if (folder / CANDIDATES).exists():
        # Renamed first: a half-deleted candidate must not be taken for a finished one.
        rename(folder / CANDIDATES, done)
        shutil.rmtree(done)


def _beyond(records: dict[float, dict]) -> list[float]:
    """The candidate to try next: beyond the best one, where nothing was tried there, not even what diverged."""
    reached = {factor: record["val_auc"] for factor, record in sorted(records.items()) if "failed" not in record}
    if not reached:
        return [min(records) / STEP] if min(records) > 1 / LIMIT else []
    best = max(reached, key=lambda factor: reached[factor])
    if best == max(records) and best < LIMIT:
        return [best * STEP]
    return [best / STEP] if best == min(records) and best > 1 / LIMIT else []


def is_candidate(spec: RunSpec) -> bool:
    """Whether a run only helps to choose: what it reaches is wanted, and not its model."""
    return spec.settings.tunes_lr and spec.seed in TUNING_SEEDS


def first_factors(factors: Factors) -> Sequence[float]:
    """What is tried in any case."""
    return FIRST if factors == AUTO else factors


def candidate(spec: RunSpec, factor: float) -> list[RunSpec]:
    """A candidate's runs, one for each of ``TUNING_SEEDS``."""
    return [replace(spec, seed=seed, embedding_lr_factor=factor) for seed in TUNING_SEEDS]


def _placed(spec: RunSpec, folder: Path, factor: float) -> Runs:
    """A candidate's runs with their folders."""
    place = folder / CANDIDATES
    return [(one, place / f"lr-x{factor:g}-seed{one.seed}") for one in candidate(spec, factor)]


def _record(factor: float, candidates: Runs, failures: Failures) -> dict[str, Any]:
    """What a candidate reaches, or why it failed."""
    record: dict[str, Any] = {"factor": factor, "val_auc": None, "val_auc_by_seed": {}}
    if failed := {place: failures[place] for _, place in candidates if place in failures}:
        return record | {"failed": str(RunsFailed(failed))}
    curves = {str(one.seed): RunFolder(place).table(CURVE, one)["val_auc"] for one, place in candidates}
    reached = {seed: float(curve[-1].as_py()) for seed, curve in curves.items()}
    return record | {"val_auc": sum(reached.values()) / len(reached), "val_auc_by_seed": reached}


def _recorded(spec: RunSpec, folder: Path) -> dict[str, Any] | None:
    """What stands in a folder of a choice for this very run; None if nothing does."""
    if not RunFolder(folder).has(TUNING):
        return None
    found = read_json(folder / TUNING.file, TUNING.again)
    require_keys(folder / TUNING.file, found, (*TUNING.keys, "run_id"), TUNING.again)
    # One of before "asked" was there is by the seeds that are judged.
    own = "asked" in found and found["run_id"] == replace(spec, embedding_lr_factor=found["chosen"]).id
    return found if own else None


def _known_before(runs: Runs) -> dict[float, dict[str, Any]]:
    """By factor, what an earlier call found."""
    records = [record for spec, folder in runs if (record := _recorded(spec, folder)) is not None]
    return {candidate["factor"]: candidate for record in records for candidate in record["candidates"]}
