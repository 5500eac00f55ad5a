"""The training loop: shuffled epochs, validation at set points, checkpoints, and the run folder it leaves."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file
from tqdm import tqdm

from mlet_bench.data.dataset import Rows
from mlet_bench.errors import BenchError, Stopped
from mlet_bench.evaluation.score import score
from mlet_bench.files import atomic, file_digest, write_json
from mlet_bench.models import build_model
from mlet_bench.provenance import provenance, utc_now
from mlet_bench.spec import DatasetSchema, RunSpec, derive_seed
from mlet_bench.training.checkpoint import drop_checkpoint, load_checkpoint, save_checkpoint
from mlet_bench.training.step import TrainStep

LOSS_CHECK_STEPS = 1000  # how often the device is asked for the loss: bar, non-finite check
CURVE = ("step", "rows", "train_loss", "val_auc", "val_logloss")
AUTHORS_CURVE = ("test_auc", "test_accuracy")  # more columns, with RunSpec.authors_selection alone


@dataclass
class Progress:
    """Where a training is; stored in its checkpoint.

    Attributes:
        step: optimisation steps done.
        seconds: time spent training, validation and checkpoints left out.
        loss_sum, loss_rows: summed loss and rows since the last point of the curve.
        curve: one dict a validation, the columns of ``CURVE``.
    """

    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_rows: int = 0
    curve: list[dict] = field(default_factory=list)


def train(
    spec: RunSpec,
    schema: DatasetSchema,
    data: dict[str, Rows],
    folder: Path,
    checkpoint_seconds: float = 600.0,
    after_step: Callable[[int], None] | None = None,
    asked: Callable[[], int | None] = lambda: None,
) -> Path:
    """Train one run and leave its folder: spec, curve, factorised model, provenance.

    A checkpoint of the same run in the folder is continued, and the numbers are those of an undisturbed run (on the
    CPU to the bit). The test split is not needed here and never looked at, unless ``spec.authors_selection`` asks.

    Args:
        data: the splits ``train`` and ``val`` (and ``test`` for the authors' selection), all on the device to train on.
        checkpoint_seconds: least time between two checkpoints; they are written at validation points and loss checks.
        after_step: called with the number of steps done, for tests and tools.
        asked: which signal asks to stop, None so far (``mlet_bench.stopping``); obeyed after the next checkpoint.

    Raises:
        BenchError: the loss is not finite.
        Stopped: a signal asked for it; a checkpoint was written.
    """
    started, device = utc_now(), data["train"].label.device
    folder.mkdir(parents=True, exist_ok=True)
    model = build_model(spec, schema).to(device)
    step = TrainStep(model, spec)
    progress = Progress()
    stored = load_checkpoint(folder, spec.id)
    if stored is not None:
        model.load_state_dict(stored["model"])
        step.load_state_dict(stored["step"])
        progress = Progress(**stored["progress"])

    _run(spec, data, folder, model, step, progress, checkpoint_seconds, after_step, asked)

    rows_seen = spec.epochs * len(data["train"])
    spec.write(folder)
    with atomic(folder / "curve.parquet") as partial:
        columns = CURVE + (AUTHORS_CURVE if spec.authors_selection else ())
        pd.DataFrame(progress.curve, columns=columns).to_parquet(partial, index=False)
    path, state = folder / "model.safetensors", model.state_dict()
    with atomic(path, sum(tensor.nbytes for tensor in state.values())) as partial:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, partial)
    origin = provenance(device, started, progress.seconds, rows_seen)
    write_json(folder / "provenance.json", origin | {"model_sha256": file_digest(path)})
    drop_checkpoint(folder)
    return folder


def _run(spec, data, folder, model, step, progress, checkpoint_seconds, after_step, asked) -> None:
    train_rows = data["train"]
    device = train_rows.label.device
    steps_per_epoch = math.ceil(len(train_rows) / spec.batch_size)  # the last batch of an epoch may be short
    total = spec.epochs * steps_per_epoch
    validate_at = {round(total * (i + 1) / spec.validations) for i in range(spec.validations)}
    stops = sorted(validate_at | set(range(0, total, LOSS_CHECK_STEPS)) | {total})
    saved = time.monotonic()
    order, order_epoch = None, -1

    title = f"{spec.cell} seed{spec.seed}"
    with tqdm(total=total, initial=progress.step, desc=title, unit="step", disable=None) as bar:
        for stop in stops:
            if stop <= progress.step:
                continue
            clock = time.perf_counter()
            losses = torch.zeros((), dtype=torch.float64, device=device)
            rows_before = progress.loss_rows
            for number in range(progress.step, stop):
                epoch, batch = divmod(number, steps_per_epoch)
                if epoch != order_epoch:
                    order, order_epoch = epoch_order(spec.seed, epoch, len(train_rows)).to(device), epoch
                chosen = order[batch * spec.batch_size : (batch + 1) * spec.batch_size]  # (B,)
                loss = step(train_rows.dense[chosen], train_rows.ids[chosen], train_rows.label[chosen])
                losses += loss * len(chosen)
                progress.loss_rows += len(chosen)
                if after_step is not None:
                    after_step(number + 1)
            # .item() waits for the device, so the clock stops after the work, not after its launch.
            new_loss = losses.item()
            progress.seconds += time.perf_counter() - clock
            if not math.isfinite(new_loss):
                raise BenchError(
                    f"{spec.cell} seed {spec.seed}: the training loss is {new_loss} between steps {progress.step} and "
                    f"{stop}: the run diverged; lower the learning rate ({spec.lr}) to see it finish"
                )
            bar.update(stop - progress.step)
            bar.set_postfix(loss=f"{new_loss / (progress.loss_rows - rows_before):.4f}")
            progress.step = stop
            progress.loss_sum += new_loss
            if stop in validate_at:
                point = _curve_point(progress, spec, len(train_rows), score(model, data["val"]))
                if spec.authors_selection:
                    test = score(model, data["test"])
                    point |= {"test_auc": test["auc"], "test_accuracy": test["accuracy"]}
                progress.curve.append(point)
            due = time.monotonic() - saved >= checkpoint_seconds or asked() is not None
            if due and stop < total:
                state = {"model": model.state_dict(), "step": step.state_dict(), "progress": vars(progress)}
                save_checkpoint(folder, {"run_id": spec.id, **state})
                saved = time.monotonic()
                if asked() is not None:
                    raise Stopped(asked(), f"stopped at step {stop} of {total} and stored; the same command goes on")


def _curve_point(progress: Progress, spec: RunSpec, train_rows: int, val: dict[str, float]) -> dict:
    epochs, steps = divmod(progress.step, math.ceil(train_rows / spec.batch_size))
    point = {
        "step": progress.step,
        "rows": epochs * train_rows + steps * spec.batch_size,
        "train_loss": progress.loss_sum / progress.loss_rows,
        "val_auc": val["auc"],
        "val_logloss": val["logloss"],
    }
    progress.loss_sum, progress.loss_rows = 0.0, 0
    return point


def epoch_order(seed: int, epoch: int, rows: int) -> torch.Tensor:
    """The shuffled row order of one epoch: (rows,) int64. Equal seeds give equal orders, whatever the arm."""
    generator = torch.Generator().manual_seed(derive_seed(seed, f"order/{epoch}"))
    return torch.randperm(rows, generator=generator)
