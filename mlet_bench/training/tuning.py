"""The arms that tune: one embedding learning rate for all seeds of a cell, chosen on validation."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mlet_bench.errors import BenchError, DivergedError, RunsFailed
from mlet_bench.files import link_or_copy, rename
from mlet_bench.runs import CURVE, MODEL, PROVENANCE, SPEC, TUNING, RunFolder
from mlet_bench.spec import RunSpec

FILES = (CURVE.file, MODEL, PROVENANCE.file, SPEC)  # of a run of the suite's own
CANDIDATES = "candidates"  # inside a run folder, until one is chosen
Runs = Sequence[tuple[RunSpec, Path]]  # of each seed: its spec and its folder


def train_tuned(
    runs: Runs, factors: Sequence[float], train_all: Callable[[Runs], object], files: Sequence[str] = FILES
) -> float:
    """Train every candidate with every seed, and leave in each run folder the run of the best candidate.

    The best is the candidate with the highest last validation AUC, mean over the seeds; of equal ones the smaller
    factor. Test is not looked at. Each folder's ``tuning.json`` has what every candidate reached and which was chosen.
    Until then candidates live in ``candidates`` inside the run's folder. What an earlier call has trained, for these
    seeds or for fewer, is not trained again: a seed that is added trains its own candidates, and the other seeds only
    if the choice changes with it. A losing candidate's model is deleted at once; one that diverges with any seed is
    recorded with its sentence and those seeds, not chosen, and not trained again for a seed that is added.

    Args:
        factors: candidate embedding learning rates over the base one.
        train_all: trains specs that differ in their seed alone, each into its folder, as ``train_together`` does.
        files: what that leaves in a folder; the spec is read first, so it comes last.

    Returns:
        the chosen factor.

    Raises:
        BenchError: no candidates, an impossible one, no validation to choose on, no candidate that did not diverge, or
            whatever a training raises.
    """
    if not factors:
        raise BenchError("no embedding learning rates to choose from: give at least one factor")
    if runs[0][0].validations == 0:
        raise BenchError("an embedding learning rate is chosen on validation: validations must be 1 or more")
    for factor in factors:
        replace(runs[0][0], embedding_lr_factor=factor)  # refuses one that no run can have, before any is trained
    known, failed = _known_before(runs)
    records, best = [], None
    for factor in sorted(factors):
        if factor in failed:
            records.append(failed[factor])
            continue
        try:
            reached = _reached(runs, factor, known.get(factor, {}), train_all)
        except RunsFailed as error:
            seeds = [spec.seed for spec, folder in runs if _place(folder, factor) in error.reasons]
            record = {"val_auc": None, "val_auc_by_seed": {}, "failed": str(error), "failed_seeds": seeds}
            records.append({"factor": factor, **record})
            _drop_models(runs, factor)
            continue
        records.append({"factor": factor, "val_auc": sum(reached.values()) / len(reached), "val_auc_by_seed": reached})
        loser = records[-1]
        if best is None or loser["val_auc"] > best["val_auc"]:
            best, loser = loser, best
        if loser is not None:
            _drop_models(runs, loser["factor"])
    if best is None:
        raise BenchError(f"every candidate failed: {'; '.join(record['failed'] for record in records)}")
    _take(runs, best["factor"], train_all, files)
    for spec, folder in runs:
        content = {"chosen": best["factor"], "by": "val_auc", "candidates": records}
        RunFolder(folder).write_document(TUNING, content, replace(spec, embedding_lr_factor=best["factor"]).id)
    for _, folder in runs:
        drop_candidates(folder)
    return best["factor"]


def drop_candidates(folder: Path) -> None:
    """Delete the candidates of a run that was chosen, and what a kill left of them."""
    done = folder / ".candidates.done"
    shutil.rmtree(done, ignore_errors=True)
    if (folder / CANDIDATES).exists():
        # Renamed first: a half-deleted candidate must not be taken for a finished one.
        rename(folder / CANDIDATES, done)
        shutil.rmtree(done)


def _reached(
    runs: Runs, factor: float, known: dict[int, float], train_all: Callable[[Runs], object]
) -> dict[int, float]:
    """Last validation AUC of a candidate by seed; what is not known is trained."""
    candidates = [
        (replace(spec, embedding_lr_factor=factor), _place(folder, factor))
        for spec, folder in runs
        if spec.seed not in known
    ]
    left = [(spec, place) for spec, place in candidates if not RunFolder(place).holds(spec)]
    if left:
        train_all(left)
    found = {spec.seed: float(RunFolder(place).table(CURVE, spec)["val_auc"][-1].as_py()) for spec, place in candidates}
    reached = known | found
    return {spec.seed: reached[spec.seed] for spec, _ in runs}


def _known_before(runs: Runs) -> tuple[dict[float, dict[int, float]], dict[float, dict]]:
    """What an earlier call found, of the runs that stand in their folders.

    Returns:
        by factor and seed, what the candidates reached; by factor, the records of those that failed with one of these
        seeds.
    """
    known: dict[float, dict[int, float]] = {}
    failed: dict[float, dict] = {}
    seeds = {spec.seed for spec, _ in runs}
    for spec, folder in runs:
        run = RunFolder(folder)
        if not (run.has(TUNING) and run.has(SPEC)):
            continue
        held = run.spec
        if not run.holds(replace(spec, embedding_lr_factor=held.embedding_lr_factor)):
            continue
        for record in run.document(TUNING, held)["candidates"]:
            if str(spec.seed) in record["val_auc_by_seed"]:
                known.setdefault(record["factor"], {})[spec.seed] = record["val_auc_by_seed"][str(spec.seed)]
            elif seeds & set(record.get("failed_seeds", ())):
                failed[record["factor"]] = record
    return known, failed


def _take(runs: Runs, factor: float, train_all: Callable[[Runs], object], files: Sequence[str]) -> None:
    """Leave the chosen candidate's run in each folder; one that was trained with another factor is trained again."""
    chosen = [(replace(spec, embedding_lr_factor=factor), folder) for spec, folder in runs]
    due = [(spec, folder) for spec, folder in chosen if not RunFolder(folder).holds(spec)]
    places = [(spec, _place(folder, factor)) for spec, folder in due]
    lacking = [
        (spec, place)
        for spec, place in places
        if not RunFolder(place).holds(spec) or (MODEL in files and not (place / MODEL).exists())
    ]
    if lacking:
        try:
            train_all(lacking)
        except RunsFailed as error:  # by place; it is the choice that cannot be had, and so every run of the cell
            raise DivergedError(f"the chosen factor {factor:g} could not be trained again: {error}") from error
    for (_, folder), (_, place) in zip(due, places, strict=True):
        RunFolder(folder).drop("train", "deploy", "spectrum", "evaluate", "compare")
        for name in files:
            if (place / name).exists():  # a model of somebody's own may have no scores
                link_or_copy(place / name, folder / name)


def _place(folder: Path, factor: float) -> Path:
    return folder / CANDIDATES / f"lr-x{factor:g}"


def _drop_models(runs: Runs, factor: float) -> None:
    for _, folder in runs:
        (_place(folder, factor) / MODEL).unlink(missing_ok=True)
