"""What a configuration costs, before it is run: cells, trainings, disk, memory, and hours from timed steps."""

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from mlet_bench.arms import ARMS, RECIPES
from mlet_bench.config import Cell, cell_spec, cells, load_config
from mlet_bench.config import jobs as dag_jobs
from mlet_bench.data import dataset_of, described
from mlet_bench.data.planted import table_sizes
from mlet_bench.device import device_label, free_cores, resolve_device
from mlet_bench.embeddings.base import FieldTables
from mlet_bench.errors import OverBudgetError
from mlet_bench.files import digest
from mlet_bench.models import MODELS
from mlet_bench.models.base import untried_optimizer
from mlet_bench.models.build import empty_embedding
from mlet_bench.spec import DatasetSchema, Field, RunSpec
from mlet_bench.stages.numbers import count, positive
from mlet_bench.stages.status import trainings
from mlet_bench.training.forecast import STEPS, Pace, measure_pace
from mlet_bench.training.memory import OVERHEAD, pack_size, training_need
from mlet_bench.training.pack import in_common
from mlet_bench.training.step import optimizers
from mlet_bench.training.tuning import AUTO, candidate, first_factors, is_candidate

SHORTEST_ROW = 25  # bytes: packed, a row of Avazu takes 27, and no other raw file of these sets is as dense
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}  # about, where a data set is not prepared
LONG_HOURS = 12  # a CPU that nobody asked for works no longer
LONG_ROWS = 2e9  # rows to train on below which nothing needs to be timed to know that


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", nargs="+", help="a config, and others that override single keys of it")
    parser.add_argument(
        "--jobs", type=count, nargs="+", default=[],
        help="jobs at once, as many as there are cores, on a GPU one; with several numbers the time of each",
    )  # fmt: skip
    parser.add_argument("--price", type=positive, help="what an hour of this machine costs")
    parser.add_argument("--results", type=Path, help="results/<profile>, where data sets may be prepared already")


def run(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.config)
    plan = Plan(config, arguments.results or Path("results", config["profile"]), arguments.jobs)
    print(*plan.lines(arguments.price), sep="\n")


def too_long(config: dict[str, Any], results: Path, jobs: int) -> str:
    """The forecast as a reason not to begin, of a grid that takes more than ``LONG_HOURS``; empty otherwise."""
    plan = Plan(config, results, [jobs])
    if plan.rows_trained < LONG_ROWS or plan.hours < LONG_HOURS:
        return ""
    said = "\n".join(plan.lines())
    return (
        f"this grid takes about {plan.hours:,.0f} hours without a GPU; say 'device: cpu' to begin all the same\n{said}"
    )


@dataclass(frozen=True)
class Plan:
    """The cost of a checked configuration.

    Attributes:
        results: where its data sets lie if they are prepared; their sizes are exact then.
        wanted: numbers of jobs at once; none for as many as the machine takes.
    """

    config: dict[str, Any]
    results: Path
    wanted: Sequence[int] = ()
    paces: dict[tuple, Pace] = field(default_factory=dict, repr=False)

    @cached_property
    def schemas(self) -> dict[str, DatasetSchema | None]:
        """Data set → its sizes as far as they are known, exact where it is prepared."""
        return {name: outlook(name, self.config["datasets"][name], self.results) for name in self.config["datasets"]}

    @cached_property
    def known(self) -> list[tuple[Cell, DatasetSchema]]:
        """The cells whose data set's sizes are known; not those above their own budget, which nobody trains."""
        found = ((cell, self.schemas[cell.dataset]) for cell in cells(self.config))
        return [(cell, schema) for cell, schema in found if schema is not None and self._fits(cell, schema)]

    @property
    def trainings(self) -> int:
        """Runs that are trained, the candidates of arms that tune among them."""
        return sum(trainings(self.config, cell) for cell in cells(self.config))

    @property
    def rows_trained(self) -> float:
        """Rows that all trainings together see."""
        return sum(trainings(self.config, cell) * cell.epochs * schema.rows["train"] for cell, schema in self.known)

    @cached_property
    def device(self) -> torch.device:
        """Where the trainings would run."""
        return resolve_device(self.config["device"], self.config["threads"])

    @property
    def jobs(self) -> int:
        """Jobs at once, the first number of them."""
        fits = 1 if self.device.type == "cuda" else max(1, free_cores() // self.config["threads"])
        return self.wanted[0] if self.wanted else fits

    @property
    def hours(self) -> float:
        """``hours_with`` so many jobs."""
        return self.hours_with(self.jobs)

    def hours_with(self, jobs: int) -> float:
        """Training and scoring of the cells that are known; none ends before the longest of the DAG's jobs."""
        return max(sum(self._seconds_of_jobs) / jobs, *self._seconds_of_jobs) / 3600

    @cached_property
    def _packs_of_jobs(self) -> list[tuple[DatasetSchema, list[list[RunSpec]]]]:
        """Of each job its data set and the runs that it trains, pack by pack."""
        known, found = dict(self.known), []
        for of_job in dag_jobs(self.config, together=self.device.type == "cuda").values():
            if mine := [cell for cell in of_job if cell in known]:
                schema = known[mine[0]]
                found.append((schema, [pack for runs in self._rounds(mine) for pack in self._packs(runs, schema)]))
        return found

    @cached_property
    def _seconds_of_jobs(self) -> list[float]:
        return [sum(self._seconds(pack, schema) for pack in packs) for schema, packs in self._packs_of_jobs]

    @property
    def disk(self) -> dict[str, int]:
        """Bytes at the peak: prepared data, what is kept of all runs, and what jobs hold until runs are scored."""
        rows = (sum(schema.rows.values()) * (1 + 4 * _columns(schema)) for schema in self.schemas.values() if schema)
        kept = sum(len(self.config["seeds"]) * self._kept(cell, schema) for cell, schema in self.known)
        held = sorted((self._held(packs, schema) for schema, packs in self._packs_of_jobs), reverse=True)
        return {"prepared data": sum(rows), "kept of the runs": kept, "held by jobs": sum(held[: self.jobs])}

    def lines(self, price: float | None = None) -> Iterator[str]:
        """The plan in words.

        Args:
            price: of an hour of this machine.
        """
        found = list(cells(self.config))
        tried = self.trainings - len(found) * len(self.config["seeds"])
        least = "at least " if tried and self.config["embedding_lr_factors"] == AUTO else ""
        candidates = f", {least}{tried} of them candidates that arms try" if tried else ""
        yield f"{self.config['profile']}: {len(found)} cells, {least}{self.trainings} trainings{candidates}"
        for name, schema in self.schemas.items():
            told = "sizes are not known before it is prepared, and nothing below counts it"
            if schema is not None:
                told = f"{sum(schema.rows.values()):,} rows, {sum(schema.table_sizes):,} table rows"
            yield f"{name}: {told}"
        optimizer = self.config["training"]["optimizer"]
        for model in self.config["models"]:
            if own := untried_optimizer(MODELS[model], optimizer):
                yield f"{model}: {optimizer} may diverge; its own recipe takes {RECIPES[own]['optimizer']}: {own}"
        if not self.known:
            return
        disk = self.disk
        parts = ", ".join(f"{_size(value)} {name}" for name, value in disk.items())
        yield f"disk: {_size(sum(disk.values()))} at its peak, beside the raw files: {parts}"
        need, cell = max((self._memory(cell, schema), f"{cell.dataset} {cell.name}") for cell, schema in self.known)
        yield f"memory: {_size(need)} a job at most ({cell})"
        for jobs in self.wanted or [self.jobs]:
            hours, at_once = self.hours_with(jobs), f"{jobs} job{'s' if jobs > 1 else ''} at once"
            took = f"{hours:,.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"
            yield f"time: {took} of training and scoring with {at_once} on {device_label(self.device)}"
        yield f"      (from {STEPS} timed steps of each of {len(self.paces)} shapes; beside other jobs it takes longer)"
        if price is not None:
            yield f"money: {self.hours * price:,.2f}, at {price:g} an hour"

    def _specs(self, cell: Cell) -> list[RunSpec]:
        return [cell_spec(self.config, cell, seed) for seed in self.config["seeds"]]

    def _rounds(self, of_job: Sequence[Cell]) -> tuple[list[RunSpec], list[RunSpec]]:
        """What a job trains at once: the first candidates beside all runs that do not tune, then those that do."""
        first, then = [], []
        for cell in of_job:
            specs, tunes = self._specs(cell), ARMS[cell.arm].tunes_lr
            (then if tunes else first).extend(specs)
            for factor in first_factors(self.config["embedding_lr_factors"]) if tunes else ():
                first += candidate(specs[0], factor)
        return first, then

    def _packs(self, runs: Sequence[RunSpec], schema: DatasetSchema) -> Iterator[list[RunSpec]]:
        """The packs that runs are trained in."""
        groups: dict[str, list[RunSpec]] = {}
        for spec in runs:
            groups.setdefault(digest(in_common(spec, schema)), []).append(spec)
        for group in groups.values():
            size = pack_size(group[0], schema, self.device, len(group))
            yield from (group[first : first + size] for first in range(0, len(group), size))

    def _seconds(self, pack: Sequence[RunSpec], schema: DatasetSchema) -> float:
        spec = pack[0]
        # Neither initial values nor rates take time.
        shape = (spec.dataset, spec.model, spec.settings.method, spec.dim, self._tables(spec, schema).width, len(pack))
        if shape not in self.paces:
            self.paces[shape] = measure_pace(pack, schema, self.device)
        return len(pack) * self.paces[shape].seconds(spec, schema.rows)

    def _tables(self, spec: RunSpec, schema: DatasetSchema) -> FieldTables:
        with torch.device("meta"):  # shapes without memory
            return empty_embedding(spec, schema.table_sizes)

    def _fits(self, cell: Cell, schema: DatasetSchema) -> bool:
        try:
            self._tables(self._specs(cell)[0], schema)
        except OverBudgetError:
            return False
        return True

    def _memory(self, cell: Cell, schema: DatasetSchema) -> int:
        spec = self._specs(cell)[0]
        return OVERHEAD + training_need(spec, schema).bytes

    def _kept(self, cell: Cell, schema: DatasetSchema) -> int:
        """Bytes of a run that stay: scores of 5 bytes a test row, and models by ``keep``."""
        keep, spec = self.config["keep"], self._specs(cell)[0]
        served = 4 * cell.dim * sum(schema.table_sizes) if keep != "metrics" else 0
        return 5 * schema.rows["test"] + served + (self._tables(spec, schema).training_bytes() if keep == "all" else 0)

    def _held(self, packs: Sequence[Sequence[RunSpec]], schema: DatasetSchema) -> int:
        """Bytes of a job: a checkpoint of each run in training, with the optimizer's state, and the served models."""
        kept = [len(pack) * self._checkpoint(pack[0], schema) for pack in packs]
        served = sum(
            4 * spec.dim * sum(schema.table_sizes) for pack in packs for spec in pack if not is_candidate(spec)
        )
        return max(kept) + served

    def _checkpoint(self, spec: RunSpec, schema: DatasetSchema) -> int:
        return (1 + optimizers(spec.optimizer)[0].state_per_value) * self._tables(spec, schema).training_bytes()


def outlook(name: str, settings: dict[str, Any], results: Path) -> DatasetSchema | None:
    """The sizes of a data set: as prepared, or as published for the complete file; None where they are not known.

    Of a part of a file no table is taken to have more rows than the part, and of a file none more than it has room for.
    """
    folder = results / "data" / name
    if (folder / "schema.json").is_file():
        return DatasetSchema.read(folder)
    kind = dataset_of(name, settings)
    if settings["source"] == "sample" or not (kind.full_rows and kind.table_sizes):
        return None
    data = described(name, settings)
    rows = settings.get("rows", data.full_rows)
    rows = min(rows, settings.get("max_rows") or rows)
    if settings["source"] == "file" and os.path.isfile(settings["file"]):
        rows = min(rows, os.path.getsize(settings["file"]) // SHORTEST_ROW + 1)
    sizes = table_sizes(kind, rows) if settings["source"] == "synthesize" else [min(n, rows) for n in data.table_sizes]
    counts = {split: int(share * rows) for split, share in SHARES.items()}
    counts["train"] += rows - sum(counts.values())
    return DatasetSchema(
        name=name,
        fields=tuple(Field(*pair) for pair in zip(data.fields, sizes, strict=True)),
        dense=tuple(feature.column for feature in data.dense),
        rows=counts,
        **{"clicks": {}, "source": {}, "preparation": {}, "version": 0},
    )


def _columns(schema: DatasetSchema) -> int:
    return len(schema.fields) + len(schema.dense)


def _size(value: int) -> str:
    return f"{value / 1e9:,.1f} GB" if value >= 1e8 else f"{value / 1e6:,.1f} MB"
