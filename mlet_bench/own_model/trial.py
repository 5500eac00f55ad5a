"""One run of somebody's model: build, arrange, fit, collapse, score, and the run folder that the report reads."""

import ast
import hashlib
import inspect
import random
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mlet_bench.embeddings.factorize import collapse
from mlet_bench.embeddings.groups import parameter_groups
from mlet_bench.errors import BenchError, RunsFailed, out_of_memory
from mlet_bench.evaluation.frequency import WHOLE, quality_by_frequency
from mlet_bench.evaluation.metrics import all_metrics
from mlet_bench.evaluation.scores import probabilities
from mlet_bench.files import digest
from mlet_bench.own_model.arrange import arrange, table_parameters
from mlet_bench.parquet import table_of_columns
from mlet_bench.provenance import provenance, utc_now
from mlet_bench.runs import BY_FREQUENCY, CURVE, METRICS, PROVENANCE, SCORES, RunFolder, failure_recorded
from mlet_bench.spec import RunSpec, derive_seed

NEEDED = ("auc", "logloss")  # of metrics that are given ready-made: what tables and claims are made of
Scores = Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """What ``sweep`` is given to train: see there.

    Attributes:
        tables: keyword arguments of ``factorize``.
    """

    build: Callable[[int], nn.Module]
    fit: Callable[..., int | None]
    score: Callable[[nn.Module], Scores]
    tables: Mapping[str, Any]

    @property
    def code(self) -> str:
        """A sum of the three functions' own code: comments and layout aside, a change in it makes runs stale."""
        return digest([_code(function) for function in (self.build, self.fit, self.score)])


def train_all(task: Task, runs: Sequence[tuple[RunSpec, Path]]) -> None:
    """Train runs, those aside that are done; a failure is recorded in the run's folder, and the others go on.

    Raises:
        RunsFailed: after the last one, if some failed.
    """
    failures: dict[Path, BenchError] = {}
    for spec, folder in runs:
        if RunFolder(folder).holds(spec):
            continue
        try:
            with failure_recorded([folder], "train"):
                train(task, spec, folder)
        except Exception as error:  # whatever somebody's code raises
            known = error if isinstance(error, BenchError) else out_of_memory(error)
            failures[folder] = known or BenchError(f"{spec.cell} seed {spec.seed}: {type(error).__name__}: {error}")
    if failures:
        raise RunsFailed(failures)


def train(task: Task, spec: RunSpec, folder: Path) -> None:
    """Train and score one run and write its folder, provenance last, which says that it is whole.

    Raises:
        BenchError: scores that are no scores; or whatever the three functions raise.
    """
    started = utc_now()
    _seed(spec.seed, "mlp")
    model = task.build(spec.dim)
    arrange(model, spec, task.tables)
    training, training_tables = _nbytes(model.parameters()), _nbytes(table_parameters(model))
    groups = parameter_groups(model, spec.lr, spec.embedding_lr)
    _seed(spec.seed, "order")
    clock = time.perf_counter()
    rows = task.fit(model, groups, spec.seed)
    seconds = time.perf_counter() - clock
    if rows is not None and not isinstance(rows, int):
        raise BenchError(f"fit returned a {type(rows).__name__}: return how many rows it trained on, or nothing")
    if unmoved := [name for name, module in model.named_modules() if getattr(module, "is_untrained", False)]:
        raise BenchError(
            f"fit has not trained the table {unmoved[0]!r}: its optimizer must be made from the groups given"
        )
    collapse(model)
    predictions, metrics = scored(task.score(model))
    deployed = {"deployed": _nbytes(model.parameters()), "deployed_tables": _nbytes(table_parameters(model))}
    sizes = {"training": training, "training_tables": training_tables} | deployed
    run = RunFolder(folder)
    run.drop("train", "evaluate")
    folder.mkdir(parents=True, exist_ok=True)
    spec.write(folder)
    if predictions is not None:
        run.write_table(SCORES, table_of_columns(predictions, SCORES.columns), spec.id, compression="zstd")
        label, logit = predictions
        whole = {WHOLE: np.zeros(len(label))}
        run.write_table(BY_FREQUENCY, quality_by_frequency(label, probabilities(logit), whole), spec.id)
    point = [[1], [rows or 0], [float("nan")], [metrics["val"]["auc"]], [metrics["val"]["logloss"]]]
    run.write_table(CURVE, table_of_columns(point, CURVE.columns), spec.id)
    run.write_document(METRICS, metrics | {"bytes": sizes, "deployed_sha256": _sha256(model)}, spec.id)
    device = next(model.parameters()).device
    origin = provenance(device, started, max(seconds, 1e-3), rows)
    run.write_document(PROVENANCE, origin | {"code": task.code}, spec.id)


def scored(found: Scores) -> tuple[tuple[np.ndarray, np.ndarray] | None, dict[str, dict[str, float]]]:
    """What ``score`` gave, checked: labels and logits of test where it gave predictions, and metrics by split.

    Raises:
        BenchError: a split is absent, a metric that the report needs is, or predictions are no probabilities.
    """
    if not isinstance(found, Mapping) or not {"val", "test"} <= found.keys():
        had = ", ".join(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
        raise BenchError(
            f"score gave {had or 'nothing'}: it must give a dict with 'val' and 'test', each of them metrics by name "
            "or a pair of labels and probabilities"
        )
    predictions, metrics = None, {}
    for split in ("val", "test"):
        part = found[split]
        if isinstance(part, Mapping):
            if absent := [name for name in NEEDED if name not in part]:
                raise BenchError(f"score gave no {' and no '.join(absent)} for {split!r}: the report is made of them")
            metrics[split] = {name: float(value) for name, value in part.items()}
            continue
        label, probability = (_array(values) for values in part)
        metrics[split] = all_metrics(label, probability)
        if split == "test":
            clipped = np.clip(probability.astype(np.float64), 1e-15, 1 - 1e-15)
            predictions = label.astype(np.int8), np.log(clipped / (1 - clipped)).astype(np.float32)
    return predictions, metrics


def _array(values: Any) -> np.ndarray:
    """(N,), of a tensor on any device as well."""
    return np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values).reshape(-1)


def _seed(seed: int, axis: str) -> None:
    """Seed whatever draws: runs of equal seeds draw equally, which pairs the arms."""
    value = derive_seed(seed, axis)
    torch.manual_seed(value)
    np.random.seed(value % 2**32)
    random.seed(value)


def _nbytes(parameters) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in parameters)


def _sha256(model: nn.Module) -> str:
    found = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        found.update(name.encode())
        if isinstance(tensor, torch.Tensor):
            found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def _code(function: Callable) -> str:
    try:
        return ast.dump(ast.parse(textwrap.dedent(inspect.getsource(function))))
    except (OSError, TypeError, SyntaxError):  # a builtin, a callable object, a lambda within a line
        return getattr(function, "__qualname__", type(function).__qualname__)
