"""The public ``sweep``: the grid of arms, widths and seeds over somebody's model, and the report of it."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from operator import index
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn
from tqdm import tqdm

from mlet_bench.arms import ARMS, BASELINE
from mlet_bench.config import OWN_MODEL, Cell, cell_spec, cells
from mlet_bench.errors import BenchError, RunsFailed
from mlet_bench.files import write_json
from mlet_bench.own_model.arrange import check_arm
from mlet_bench.own_model.trial import Scores, Task, train_all
from mlet_bench.runs import PROVENANCE, SPEC, STAGES, RunFolder, differences, failure_recorded
from mlet_bench.spec import RunSpec
from mlet_bench.stages.status import cell_line
from mlet_bench.training.rounds import train_rounds
from mlet_bench.training.tuning import AUTO, Factors, candidates_of, tuning

PACKAGES = ("jinja2", "matplotlib", "mlflow", "filelock", "scipy")  # that report and MLflow need, at the end
Runs = list[tuple[RunSpec, Path]]


def sweep(
    build: Callable[[int], nn.Module],
    fit: Callable[..., int | None],
    score: Callable[[nn.Module], Scores],
    *,
    dims: Sequence[int],
    inner_dims: Sequence[int],
    seeds: Sequence[int],
    lr: float,
    batch_size: int,
    epochs: int = 1,
    optimizer: str = "own",
    arms: Sequence[str] = ("single", "mlet", "single-lr-tuned"),
    embedding_lr_factors: Factors = AUTO,
    out: Path | str = "results/own-model",
    dataset: str = "own-data",
    model: str = "own-model",
    settings: Mapping[str, Any] | None = None,
    fingerprint: str = "",
    **tables: Any,
) -> pd.DataFrame:
    """Compare MLET with single tables, and with tuned ones, in any PyTorch model; write the suite's report of it.

    For every arm, d, k and seed the model is built, its tables are arranged as the arm says, it is trained, collapsed
    and scored. Arms of one seed are paired: torch, numpy and random are seeded alike before ``build`` and before
    ``fit``. Arms that tune try every factor with two seeds of their own and take the one of the best mean AUC on
    ``val``. Call it again and finished runs stay as they are; those that failed, or whose functions have changed since,
    are trained.

    Args:
        build: d → the model, with ``nn.Embedding`` or ``nn.EmbeddingBag`` tables of width d, on the device to train on.
        fit: trains: ``fit(model, groups, seed)``. ``groups`` are the ``ParameterGroups`` for the optimizer, at the
            arm's learning rates. It may return how many rows it trained on, for rows a second.
        score: the collapsed model → ``{"val": ..., "test": ...}``; each a pair of labels and probabilities (N,), or
            metrics by name, ``auc`` and ``logloss`` among them. Intervals over test rows need predictions.
        dims, inner_dims, seeds: d, k (every pair with k >= d) and seeds.
        lr: the model's learning rate; ``embedding_lr_factors`` are over it, ``auto`` for 1, 4, 16 and on until the best
            lies inside.
        batch_size, epochs, optimizer: those of ``fit``, for the record; other ones are other runs.
        arms: names of ``mlet_bench.arms.ARMS``; ``single``, which the others are compared with, among them.
        out: the results folder, ``report.html`` and all; MLflow's database stands beside it unless
            ``MLFLOW_TRACKING_URI`` says where.
        dataset, model: what they are called in tables and figures.
        settings: what else decides the numbers (layers, rows), likewise.
        fingerprint: of the rows, where they may change.
        **tables: ``only``, ``min_rows`` and ``at_most_rows`` of ``factorize``.

    Returns:
        one row a cell: how many of its seeds are done and failed, and means and intervals of the metrics
        (``tables/cells.csv``).

    Raises:
        BenchError: settings that make no sense, a package that the report needs is missing; or all runs failed.

    Example::

        def fit(model, groups, seed):
            optimizer = torch.optim.Adagrad(groups)
            for batch in loader(train, seed):
                ...

        table = mlet_bench.sweep(TwoTower, fit, score, dims=[4, 16], inner_dims=[64], seeds=range(5), lr=0.05,
                                 batch_size=256)
    """
    if absent := [name for name in PACKAGES if find_spec(name) is None]:
        raise BenchError(f"the report needs {', '.join(absent)}: pip install 'mlet-bench[workflow]'")
    results, task = Path(out), Task(build, fit, score, tables)
    (batch_size,), (epochs,) = _whole("batch_size", [batch_size]), _whole("epochs", [epochs])
    recipe = {"recipe": "own", "optimizer": optimizer, "lr": float(lr), "batch_size": batch_size, "epochs": epochs}
    factors = _factors(embedding_lr_factors)
    config = {
        "profile": results.resolve().name,
        "datasets": {dataset: {"source": OWN_MODEL}},
        "models": {model: _plain(dict(settings or {}) | {name: tables[name] for name in sorted(tables)})},
        "arms": list(arms),
        "dims": _whole("dims", dims),
        "inner_dims": _whole("inner_dims", inner_dims),
        "seeds": _whole("seeds", seeds),
        "embedding_lr_factors": factors,
        "training": recipe | {"validations": epochs},
    }
    grid = _checked(config, results, fingerprint)
    write_json(results / "config.json", config)
    failures = _train(task, grid, factors)
    return _report(results, failures, sum(map(len, grid.values())))


def _whole(name: str, values: Sequence[int]) -> list[int]:
    """Whole numbers as JSON has them, of NumPy too."""
    try:
        return [index(value) for value in values]
    except TypeError:
        raise BenchError(f"{name} has {list(values)}: give whole numbers") from None


def _factors(given: Factors) -> Factors:
    """Candidates as JSON has them."""
    if isinstance(given, str) and given == AUTO:
        return AUTO
    try:
        return [float(factor) for factor in given]
    except (TypeError, ValueError):
        raise BenchError(f"embedding_lr_factors is {given!r}: give {AUTO!r}, or numbers") from None


def _checked(config: dict[str, Any], results: Path, fingerprint: str) -> dict[Cell, Runs]:
    """Every cell with the spec and the folder of each seed's run."""
    for name in config["arms"]:
        check_arm(ARMS[name])
    if BASELINE not in config["arms"]:
        raise BenchError(f"arms {config['arms']} lack {BASELINE!r}, which the others are compared with: add it")
    for name in ("dims", "seeds", "arms"):
        if not config[name]:
            raise BenchError(f"{name} is empty: give at least one")
    grid = {}
    for cell in cells(config):
        folder = results / "runs" / cell.folder
        grid[cell] = [(cell_spec(config, cell, seed, fingerprint), folder / f"seed{seed}") for seed in config["seeds"]]
    if without := [name for name in config["arms"] if all(cell.arm != name for cell in grid)]:
        raise BenchError(f"no pair with k >= d for {', '.join(without)}: dims {config['dims']}, {config['inner_dims']}")
    return grid


def _train(task: Task, grid: dict[Cell, Runs], factors: Factors) -> dict[Path, BenchError]:
    """Train what is due, cell by cell; an error for each run that failed, by its folder."""
    failures: dict[Path, BenchError] = {}
    with tqdm(total=len(grid), desc="sweep", unit="cell", disable=None) as bar:
        for cell, runs in grid.items():
            for spec, folder in runs:
                _drop_stale(spec, folder, task.code)
            try:
                if ARMS[cell.arm].tunes_lr:
                    with failure_recorded([folder for _, folder in runs], "train"):
                        train_rounds([(runs, tuning(runs, factors))], partial(train_all, task))
                else:
                    train_all(task, runs)
            except RunsFailed as error:
                failures |= error.reasons
            bar.update()
            bar.write(cell_line(cell, runs), file=sys.stderr)
    return failures


def _drop_stale(spec: RunSpec, folder: Path, code: str) -> None:
    """Remove what other functions or settings left in a run's folder, and in those of its candidates; and what cannot
    be read, which is asked for again.
    """
    for wanted, place in ((spec, folder), *candidates_of(spec, folder)):
        run = RunFolder(place)
        try:
            own = replace(wanted, embedding_lr_factor=run.spec.embedding_lr_factor) if run.has(SPEC) else wanted
            stale = bool(run.has(SPEC) and differences(run.spec, own))
            stale = stale or (run.has(PROVENANCE) and run.document(PROVENANCE)["code"] != code)
        except BenchError:
            stale = True
        if stale:
            run.drop(*STAGES)


def _report(results: Path, failures: dict[Path, BenchError], asked: int) -> pd.DataFrame:
    from mlet_bench.report.page import write_report
    from mlet_bench.tables.quality import cells_table
    from mlet_bench.tables.read import read_results
    from mlet_bench.tracking import sync

    if len(failures) == asked:
        raise BenchError(f"all {asked} runs failed, the first with: {next(iter(failures.values()))}")
    write_report(results)
    sync(results)
    print(f"report: {results / 'report.html'}", file=sys.stderr)
    return read_results(results).table(cells_table)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON has them; what it has not stands as its name."""
    return json.loads(json.dumps(values, default=lambda value: getattr(value, "__qualname__", str(value))))
