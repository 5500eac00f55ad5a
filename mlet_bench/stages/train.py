"""Train one run for each seed, or continue it from its checkpoint."""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mlet_bench.arms import ARMS, with_recipe
from mlet_bench.data.dataset import Rows
from mlet_bench.errors import BenchError, RunsFailed, gone_on
from mlet_bench.files import digest, write_json
from mlet_bench.locks import owned
from mlet_bench.models.base import ClickModel
from mlet_bench.runs import CURVE, DATA, MODEL, SPEC, STAGES, RunFolder, failure_recorded, refuse_another_run
from mlet_bench.signals import stop_requests
from mlet_bench.spec import DatasetSchema, RunSpec
from mlet_bench.stages.code import code_of
from mlet_bench.stages.common import (
    RECIPE,
    Source,
    device_of,
    device_options,
    forget,
    made_by,
    recipe_options,
    require_both_classes,
)
from mlet_bench.stages.damage import drop_damaged
from mlet_bench.stages.hyper import hyper_of, hyper_options
from mlet_bench.stages.numbers import count, not_negative, positive, whole
from mlet_bench.training.checkpoint import drop_checkpoint
from mlet_bench.training.loop import STORING, Execution, Keeper, train_together
from mlet_bench.training.memory import check_memory
from mlet_bench.training.rounds import Runs, once, train_rounds
from mlet_bench.training.tuning import (
    AUTO,
    CANDIDATES,
    Factors,
    candidates_of,
    chose_among,
    drop_candidates,
    is_candidate,
    tuning,
)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="prepared data set")
    parser.add_argument("--arm", required=True, help="; ".join(f"{arm.name}: {arm.purpose}" for arm in ARMS.values()))
    parser.add_argument("--dim", type=count, required=True, help="d, width of the embeddings")
    parser.add_argument("--inner-dim", type=count, help="k, inner width, for the arms that have one")
    parser.add_argument(
        "--budget", default="",
        help="bytes of the tables as they are served, of an arm that shares rows: 270MB, or 1/16 of the single layer's",
    )  # fmt: skip
    parser.add_argument("--seed", type=whole, nargs="+", default=[0], help="with several, --out holds '{seed}'")
    parser.add_argument("--out", required=True, help="run folder to write")
    recipe_options(parser)
    hyper_options(parser)
    parser.add_argument("--batch-size", type=count, help="the recipe's, if left out")
    parser.add_argument("--epochs", type=count, default=1)
    parser.add_argument("--validations", type=whole, default=10, help="how often validation is scored while training")
    parser.add_argument(
        "--embedding-lr-factors", type=_factor, nargs="+", default=[AUTO],
        help="what an arm that tunes chooses among: embedding learning rate over the base one; auto: 1, 4, 16, and on "
        "until the best lies inside",
    )  # fmt: skip
    parser.add_argument(
        "--authors-selection", action="store_true",
        help="also report the AUC at the best test accuracy while training, as the authors do: selected on test",
    )  # fmt: skip
    parser.add_argument("--pack", type=count, help="runs trained together; as many as fit on a GPU, one on a CPU")
    parser.add_argument(
        "--eager", action="store_true", help="on a GPU, launch each operation by itself, no CUDA graphs: slow, to debug"
    )
    parser.add_argument(
        "--checkpoint-seconds", type=not_negative, default=600, help="least time between two checkpoints"
    )
    device_options(parser)


def settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields of RunSpec, except data set, fingerprint and seed, as options have them."""
    names = ("model", "arm", "dim", "inner_dim", "batch_size", "epochs", "validations", "authors_selection", "budget")
    names += RECIPE
    settings = with_recipe({name: getattr(arguments, name) for name in names})
    return {"inner_dim": None} | settings | {"hyper": hyper_of(arguments)}


def execution_of(arguments: argparse.Namespace) -> Execution:
    """How to train, as options have it."""
    return Execution(arguments.pack, arguments.checkpoint_seconds, arguments.eager)


def factors_of(arguments: argparse.Namespace) -> Factors:
    """What an arm that tunes chooses among.

    Raises:
        BenchError: numbers beside ``auto``.
    """
    given = arguments.embedding_lr_factors
    if AUTO in given and len(given) > 1:
        raise BenchError(f"--embedding-lr-factors {' '.join(map(str, given))}: give numbers, or {AUTO} alone")
    return AUTO if AUTO in given else given


def _factor(text: str) -> float | str:
    return text if text == AUTO else positive(text)


def run(arguments: argparse.Namespace) -> None:
    settings, factors = settings_of(arguments), factors_of(arguments)
    specs = specs_of(arguments.data, arguments.out, arguments.seed, settings)
    with owned_folders([folder for _, folder in specs]):
        drop_all_damaged(specs)
        for spec, folder in specs:
            run = RunFolder(folder)
            if run.holds(own_choice(spec, folder)) and not run.has(MODEL):
                forget(folder, ["train"])  # tidied away; what this command makes is a model
        trained = train_runs(arguments.data, specs, device_of(arguments), execution_of(arguments), factors)
        for folder, last in trained:
            print(f"{folder}: trained", *(f"{name} {last[name]:.5f}" for name in ("val_auc", "val_logloss") if last))


def drop_all_damaged(runs: Sequence[tuple[RunSpec, Path]]) -> None:
    """``drop_damaged`` in run folders and in those of their candidates."""
    for spec, folder in runs:
        for one, place in ((spec, folder), *candidates_of(spec, folder)):
            drop_damaged(place, one)


@contextmanager
def owned_folders(folders: Sequence[Path]) -> Iterator[None]:
    """Refuse run folders in which another process trains.

    Raises:
        BenchError: names the folder.
    """
    with ExitStack() as stack:
        for folder in folders:
            stack.enter_context(owned(folder, "training"))
        yield


def specs_of(data: Path, out: str, seeds: Sequence[int], settings: dict[str, Any]) -> list[tuple[RunSpec, Path]]:
    """The spec and the folder of each seed's run.

    Args:
        out: the run folder; with several seeds it holds ``{seed}``.
        settings: the fields of RunSpec except data set, fingerprint and seed.

    Raises:
        BenchError: several seeds would share a folder, or no such run is possible.
    """
    if len(seeds) > 1 and "{seed}" not in out:
        raise BenchError(f"{len(seeds)} seeds but one folder {out!r}: write '{{seed}}' where the seed's number goes")
    schema = DatasetSchema.read(data)
    return [
        (RunSpec(schema.name, schema.fingerprint, seed=seed, **settings), Path(out.replace("{seed}", str(seed))))
        for seed in seeds
    ]


def train_runs(
    data: Path,
    runs: Sequence[tuple[RunSpec, Path]],
    device: torch.device,
    execution: Execution,
    factors: Factors,
    keeper: Keeper = STORING,
) -> Iterator[tuple[Path, dict]]:
    """Train runs of one model on one data set, of one cell or of several; yield each folder with the last point of its
    curve (empty if none).

    What an earlier call has trained, with the same code, stays, and a checkpoint is continued.

    Args:
        data: a prepared data set.
        factors: the candidates of an arm that tunes, see ``tuning``.
        keeper: what becomes of the models; not of those of candidates, which nobody wants.

    Raises:
        RunsFailed: some diverged; after the last of the others, which are trained to their end.
        BenchError: a split has one class, a folder holds another run; or whatever a training raises.
        Stopped: a signal asked for it, and everything is stored.
    """
    failures: dict[Path, BenchError] = {}
    folders = [folder for _, folder in runs]
    arms = {spec.arm: spec.model for spec, _ in runs}
    codes = {arm: digest(code_of("mlet_bench.stages.train", arm, model)) for arm, model in arms.items()}
    for spec, folder in runs:
        refuse_another_run(folder, own_choice(spec, folder))  # that run did not fail
    with stop_requests() as asked, gone_on(failures), failure_recorded(folders, "train"):
        require_both_classes(data, DatasetSchema.read(data))
        for spec, folder in runs:
            for place in (folder, *(folder / CANDIDATES).glob("*")):
                if made_by(place).get("train", codes[spec.arm]) != codes[spec.arm]:
                    forget(place, STAGES)
        if due := [cell for cell in _cells(runs) if _is_due(cell, factors)]:
            _train(data, due, device, replace(execution, codes=codes), factors, asked, keeper)
    for folder in folders:
        if folder in failures:
            continue
        drop_checkpoint(folder)  # a kill may have left it, or candidates, beside a run that is done
        drop_candidates(folder)
        # Relative, so that a results folder can move as a whole.
        write_json(folder / DATA, {"data": os.path.relpath(data, folder)})
        curve = RunFolder(folder).table(CURVE)
        yield folder, (curve.slice(len(curve) - 1).to_pylist()[0] if len(curve) else {})
    if failures:
        raise RunsFailed(failures)


def own_choice(spec: RunSpec, folder: Path) -> RunSpec:
    """The spec with the factor that the run in the folder has tuned, of an arm that tunes."""
    run = RunFolder(folder)
    if not spec.settings.tunes_lr or not run.has(SPEC):
        return spec
    return replace(spec, embedding_lr_factor=run.spec.embedding_lr_factor)


class _Wanted(Keeper):
    """A keeper of all models but those of candidates, whose curves alone are looked at."""

    def __init__(self, keeper: Keeper):
        self._keeper = keeper

    def drawn(self, spec: RunSpec, folder: Path, model: ClickModel) -> None:
        if not is_candidate(spec):
            self._keeper.drawn(spec, folder, model)

    def trained(self, spec: RunSpec, folder: Path, model: ClickModel, data: Mapping[str, Rows]) -> dict[str, Any]:
        return {} if is_candidate(spec) else self._keeper.trained(spec, folder, model, data)


def _cells(runs: Runs) -> list[Runs]:
    """The runs cell by cell."""
    cells: dict[str, list] = {}
    for spec, folder in runs:
        cells.setdefault(spec.cell, []).append((spec, folder))
    return list(cells.values())


def _is_due(cell: Runs, factors: Factors) -> bool:
    missing = not all(RunFolder(folder).holds(own_choice(spec, folder)) for spec, folder in cell)
    return missing or (cell[0][0].settings.tunes_lr and not chose_among(cell, factors))


def _train(data, cells: Sequence[Runs], device, execution: Execution, factors, asked, keeper: Keeper) -> None:
    schema, shapes = DatasetSchema.read(data), [cell[0][0] for cell in cells]
    for shape in shapes:
        check_memory(shape, schema, device)
    needed = ("train", "val", "test") if shapes[0].authors_selection else ("train", "val")
    source = Source.load(data, needed, device)

    def train_all(runs: Runs) -> None:
        train_together(runs, schema, source.splits, execution, asked, keeper=_Wanted(keeper))

    plans = [(cell, tuning(cell, factors) if cell[0][0].settings.tunes_lr else once(cell)) for cell in cells]
    train_rounds(plans, train_all)
