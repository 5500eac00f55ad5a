"""The training loop: shuffled epochs, validation at set points, checkpoints, and the run folder it leaves."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from safetensors.torch import save_file
from tqdm import tqdm

from mlet_bench.data.dataset import Rows
from mlet_bench.errors import BenchError, DivergedError, RunsFailed, Stopped
from mlet_bench.evaluation import on_device
from mlet_bench.evaluation.metrics import accuracy, auc, logloss
from mlet_bench.evaluation.score import logits_on_device
from mlet_bench.evaluation.scores import probabilities
from mlet_bench.files import atomic, digest, file_digest
from mlet_bench.models import MODELS
from mlet_bench.models.base import ClickModel, untried_optimizer
from mlet_bench.parquet import table_of_columns
from mlet_bench.provenance import provenance, utc_now
from mlet_bench.runs import AUTHORS_CURVE, CURVE, MODEL, PROVENANCE, RunFolder
from mlet_bench.spec import DatasetSchema, RunSpec, derive_seed
from mlet_bench.training.captured import make_steps
from mlet_bench.training.checkpoint import drop_checkpoint, load_checkpoint, save_checkpoint
from mlet_bench.training.memory import pack_size
from mlet_bench.training.pack import build_pack, in_common
from mlet_bench.training.step import TrainStep

ON_HOST = {"auc": auc, "logloss": logloss, "accuracy": accuracy}  # as on_device has them
LOSS_CHECK_STEPS = 1000  # how often the device is asked for the loss: bar, non-finite check


@dataclass
class Progress:
    """Where a run's training is; stored in its checkpoint.

    Attributes:
        step: optimisation steps done.
        seconds: time spent training, validation and checkpoints left out; of runs trained together its share.
        loss_sum, loss_rows: summed loss and rows since the last point of the curve.
        curve: one dict a validation, the columns of ``runs.CURVE``.
    """

    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_rows: int = 0
    curve: list[dict] = field(default_factory=list)


@dataclass(frozen=True)
class Execution:
    """How runs are trained, which changes none of their numbers (but for rounding).

    Attributes:
        pack: how many runs are trained together at most; None: as many as fit on a GPU, one on a CPU.
        checkpoint_seconds: least time between two checkpoints; they are written at validation points and loss checks.
        eager: on a GPU, launch each operation by itself instead of replaying a CUDA graph: slow, to debug.
        codes: by arm, what trains, as a sum: a checkpoint that other code wrote is not continued.
    """

    pack: int | None = None
    checkpoint_seconds: float = 600.0
    eager: bool = False
    codes: Mapping[str, str] = field(default_factory=dict)


def never() -> None:
    """No signal has asked to stop."""


class Keeper:
    """What becomes of the models of a training. Here: each is stored."""

    def drawn(self, spec: RunSpec, folder: Path, model: ClickModel) -> None:
        """A model has its initial values."""

    def trained(self, spec: RunSpec, folder: Path, model: ClickModel, data: Mapping[str, Rows]) -> dict[str, Any]:
        """A model is trained, its curve written; what is to be noted in provenance.json.

        Here: ``model.safetensors``, W1 and W2 as they were trained, and its sum.
        """
        path, state = folder / MODEL, model.state_dict()
        with atomic(path, sum(tensor.nbytes for tensor in state.values())) as partial:
            save_file({name: tensor.contiguous() for name, tensor in state.items()}, partial)
        return {"model_sha256": file_digest(path)}


STORING = Keeper()


def train_together(
    runs: Sequence[tuple[RunSpec, Path]],
    schema: DatasetSchema,
    data: dict[str, Rows],
    execution: Execution = Execution(pack=1),
    asked: Callable[[], int | None] = never,
    after_step: Callable[[int], None] | None = None,
    keeper: Keeper = STORING,
) -> None:
    """Train runs on one data set and leave their folders: spec, curve, factorised model, provenance.

    Runs that have what a pack needs ``in_common`` are trained as packs of up to ``execution.pack``; each ends in the
    numbers that it has alone (to rounding). A checkpoint of the same run in its folder is continued, and the numbers
    are those of an undisturbed run (on the CPU to the bit). The test split is not needed here and never looked at,
    unless ``spec.authors_selection`` asks.

    Args:
        runs: spec and folder of each.
        keeper: what becomes of the models.
        data: the splits ``train`` and ``val`` (and ``test`` for the authors' selection), all on the device to train on.
        asked: which signal asks to stop, None so far (``mlet_bench.signals``); obeyed after the next checkpoint.
        after_step: called with the number of steps done, for tests and tools; steps are then taken one by one.

    Raises:
        RunsFailed: the loss or a score of some runs is not finite; the others are finished all the same.
        Stopped: a signal asked for it; checkpoints were written.
    """
    device = data["train"].label.device
    # A kill may have left runs at different steps; those that stand at the same one can go on together.
    groups: dict[tuple[str, int], list] = {}
    for spec, folder in runs:
        folder.mkdir(parents=True, exist_ok=True)
        stored = load_checkpoint(folder, spec.id, execution.codes.get(spec.arm, ""), device)
        key = digest(in_common(spec, schema)), stored["progress"]["step"] if stored else 0
        groups.setdefault(key, []).append((spec, folder, stored))
    failures: dict[Path, BenchError] = {}
    for group in groups.values():
        while group:
            size = execution.pack or pack_size(group[0][0], schema, device, len(group), loaded=True)
            part, group = group[:size], group[size:]
            failures |= _Training(part, schema, data, execution, asked, after_step, keeper).run()
            if (signal := asked()) is not None:
                raise Stopped(signal, f"stopped, {part[-1][1]} is trained and stored; the same command goes on")
    if failures:
        raise RunsFailed(failures)


class _Training:
    """Runs trained as one pack, from their stored state to their folders."""

    def __init__(
        self,
        group,
        schema: DatasetSchema,
        data: dict[str, Rows],
        execution: Execution,
        asked: Callable[[], int | None],
        after_step: Callable[[int], None] | None,
        keeper: Keeper,
    ):
        self.started, self.data, self.execution = utc_now(), data, execution
        self.after_step, self.asked, self.keeper = after_step, asked, keeper
        self.specs, self.folders, stored = zip(*group, strict=True)
        self.spec, self.device = self.specs[0], data["train"].label.device
        self.pack = build_pack(self.specs, schema, self.device)
        rates = [spec.embedding_lr for spec in self.specs]
        self.step = TrainStep(self.pack, self.spec, data["train"].ids, rates)
        self.seeds, order_of = orders_of(self.specs)
        self.steps = make_steps(self.step, data["train"], self.spec.batch_size, execution.eager, order_of)
        self.progress = [Progress() for _ in self.specs]
        self.failures: dict[Path, BenchError] = {}
        self._epoch = -1  # whose order the steps have
        for number, state in enumerate(stored):
            keeper.drawn(self.specs[number], self.folders[number], self.pack.models[number])
            if state is not None:
                self.pack.models[number].load_state_dict(state["model"])
                self.step.load_state_dict(number, state["step"])
                self.progress[number] = Progress(**state["progress"])

    def run(self) -> dict[Path, BenchError]:
        """Train to the end; an error for each run that failed, by its folder."""
        rows, spec = len(self.data["train"]), self.spec
        steps_per_epoch = math.ceil(rows / spec.batch_size)  # the last batch of an epoch may be short
        total, done = spec.epochs * steps_per_epoch, self.progress[0].step
        validate_at = {round(total * (i + 1) / spec.validations) for i in range(spec.validations)}
        epochs = {steps_per_epoch * (i + 1) for i in range(spec.epochs)}
        saved = time.monotonic()
        with tqdm(total=total, initial=done, desc=self._title(), unit="step", disable=None) as bar:
            for stop in sorted(validate_at | epochs | set(range(LOSS_CHECK_STEPS, total, LOSS_CHECK_STEPS))):
                if stop <= done:
                    continue
                loss = self._advance(done, stop, steps_per_epoch)
                bar.update(stop - done)
                bar.set_postfix(loss=f"{loss:.4f}")
                done = stop
                if len(self.failures) == len(self.specs):
                    return self.failures
                if stop in validate_at:
                    self._validate(rows)
                    if not self._alive():
                        return self.failures
                signal = self.asked()
                if stop < total and (
                    signal is not None or time.monotonic() - saved >= self.execution.checkpoint_seconds
                ):
                    self._save()
                    saved = time.monotonic()
                    if signal is not None:
                        raise Stopped(signal, f"stopped at step {stop} of {total} and stored; the same command goes on")
        for number in self._alive():
            self._store(number, spec.epochs * rows)
        return self.failures

    def _advance(self, start: int, stop: int, steps_per_epoch: int) -> float:
        """Train from step ``start`` to ``stop``, within one epoch; the mean loss over those rows and the runs."""
        rows, size = len(self.data["train"]), self.spec.batch_size
        epoch, batch = divmod(start, steps_per_epoch)
        clock = time.perf_counter()
        if self._epoch != epoch:
            self.steps.start((epoch_order(seed, epoch, rows) for seed in self.seeds), batch)
            self._epoch = epoch
        full = min(stop - epoch * steps_per_epoch, rows // size) - batch
        if self.after_step is None:
            self.steps.advance(full)
        else:
            for number in range(full):
                self.steps.advance(1)
                self.after_step(start + number + 1)
        if start + full < stop:
            self.steps.advance_short()
            if self.after_step:
                self.after_step(stop)
        losses = self.steps.take_losses()  # waits for the device, so the clock stops after the work
        seconds = (time.perf_counter() - clock) / len(self.specs)
        seen = min((batch + stop - start) * size, rows) - batch * size
        for number, loss in enumerate(losses):
            progress = self.progress[number]
            progress.step = stop
            progress.seconds += seconds
            progress.loss_sum += loss
            progress.loss_rows += seen
            if not math.isfinite(loss) and self.folders[number] not in self.failures:
                spec = self.specs[number]
                self.failures[self.folders[number]] = DivergedError(
                    f"{spec.cell} seed {spec.seed}: the training loss is {loss} between steps {start} and {stop}: "
                    f"the run diverged; {_slower(spec)}"
                )
        return sum(losses) / (seen * len(losses))

    def _alive(self) -> list[int]:
        return [number for number, folder in enumerate(self.folders) if folder not in self.failures]

    def _validate(self, rows: int) -> None:
        for number in self._alive():
            progress = self.progress[number]
            try:
                point = _curve_point(progress, self.spec, rows, **self._measured(number, "val", "auc", "logloss"))
                if self.spec.authors_selection:
                    point |= self._measured(number, "test", "auc", "accuracy")
            except DivergedError as error:
                # Without its traceback, whose frames would keep this pack in memory beside the next.
                self.failures[self.folders[number]] = error.with_traceback(None)
            else:
                progress.curve.append(point)

    def _measured(self, number: int, split: str, *metrics: str) -> dict[str, float]:
        """Metrics of a run as it is now, as ``val_auc``. The loss may be finite and the scores not."""
        label, found = self.data[split].label, logits_on_device(self.pack.models[number], self.data[split])
        if not found.isfinite().all():
            spec, step = self.specs[number], self.progress[number].step
            raise DivergedError(
                f"{spec.cell} seed {spec.seed}: scores on {split} are not finite after step {step}: the run diverged; "
                f"{_slower(spec)}"
            )
        if found.is_cuda:
            return {f"{split}_{name}": getattr(on_device, name)(label, found) for name in metrics}
        scored = label.numpy(), probabilities(found.numpy())
        return {f"{split}_{name}": ON_HOST[name](*scored) for name in metrics}

    def _save(self) -> None:
        for number in self._alive():
            state = {
                "model": self.pack.models[number].state_dict(),
                "step": self.step.state_dict(number),
                "progress": vars(self.progress[number]),
            }
            save_checkpoint(
                self.folders[number], {"run_id": self.specs[number].id, "code": self._code(number), **state}
            )

    def _store(self, number: int, rows_seen: int) -> None:
        spec, folder, progress = self.specs[number], self.folders[number], self.progress[number]
        run = RunFolder(folder)
        spec.write(folder)
        columns = pa.schema([*CURVE.columns, *(AUTHORS_CURVE.items() if spec.authors_selection else ())])
        curve = [[point[name] for point in progress.curve] for name in columns.names]
        run.write_table(CURVE, table_of_columns(curve, columns), spec.id)
        left = self.keeper.trained(spec, folder, self.pack.models[number], self.data)
        origin = provenance(self.device, self.started, progress.seconds, rows_seen)
        run.write_document(PROVENANCE, origin | left | {"code": self._code(number)}, spec.id)
        drop_checkpoint(folder)

    def _code(self, number: int) -> str:
        return self.execution.codes.get(self.specs[number].arm, "")

    def _title(self) -> str:
        seeds: dict[str, list[str]] = {}
        for spec in self.specs:
            seeds.setdefault(spec.cell, []).append(str(spec.seed))
        return ", ".join(f"{cell} seed{'+'.join(mine)}" for cell, mine in seeds.items())


def _slower(spec: RunSpec) -> str:
    factor = f" or the embedding's factor ({spec.embedding_lr_factor:g})" if spec.embedding_lr_factor != 1 else ""
    own = untried_optimizer(MODELS[spec.model], spec.optimizer)
    recipe = f", or train it by its own recipe (recipe: {own})" if own else ""
    return f"lower the learning rate ({spec.lr}){factor}{recipe} to see it finish"


def _curve_point(progress: Progress, spec: RunSpec, train_rows: int, val_auc: float, val_logloss: float) -> dict:
    epochs, steps = divmod(progress.step, math.ceil(train_rows / spec.batch_size))
    point = {
        "step": progress.step,
        "rows": epochs * train_rows + steps * spec.batch_size,
        "train_loss": progress.loss_sum / progress.loss_rows,
        "val_auc": val_auc,
        "val_logloss": val_logloss,
    }
    progress.loss_sum, progress.loss_rows = 0.0, 0
    return point


def orders_of(specs: Sequence[RunSpec]) -> tuple[list[int], list[int] | None]:
    """The seeds whose orders of an epoch runs take, as equal seeds share one; and ``order_of``, as of ``Steps``."""
    seeds = list(dict.fromkeys(spec.seed for spec in specs))
    return seeds, [seeds.index(spec.seed) for spec in specs] if len(seeds) < len(specs) else None


def epoch_order(seed: int, epoch: int, rows: int) -> torch.Tensor:
    """The shuffled row order of one epoch: (rows,) int64. Equal seeds give equal orders, whatever the arm."""
    generator = torch.Generator().manual_seed(derive_seed(seed, f"order/{epoch}"))
    return torch.randperm(rows, generator=generator)
