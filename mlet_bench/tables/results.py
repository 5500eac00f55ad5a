"""One profile's results: frames as they were read, and the tables that are made of them, each once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from mlet_bench.config import OWN_MODEL
from mlet_bench.data import dataset_of
from mlet_bench.spec import DatasetSchema

# What names a cell in every table.
CELL = ["dataset", "model", "cell", "arm", "dim", "inner_dim"]


@dataclass(frozen=True, eq=False)
class Results:
    """One profile's results.

    Attributes:
        config: the checked configuration.
        schemas: data set → its schema, for those that are prepared.
        runs: one row a run that the configuration asks for, data set by data set. ``status`` is ``done``, ``failed`` or
            ``missing``; ``reason`` says why a run is not done, ``kind`` what kind of failure it is.
        longer_runs: the runs that train for more epochs; they enter no comparison of the main grid.
        budget_runs: the runs whose tables are fitted to a budget, which ``budget`` names; compared at equal bytes.
        formats: every run that is done, longer ones left out, as it is served: one row a run and format.
        curves, longer_curves: validation curves of runs that are done, one row a validation.
        spectrum: ranks of the tables of the runs that are done, one row a field, stage and weighting.
        reweighting: quantiles of the factors by which gradients are scaled, one row a run, field and stage.
        rare: quality by category frequency of the runs that are done, one row a group of test rows.
        tuned: what each tuned cell tried and chose, one row a candidate.
        overhead: one row a timed pair of steps.
        untimed: data set and model → why there are no timings, for those without.
    """

    config: dict[str, Any]
    schemas: dict[str, DatasetSchema]
    runs: pd.DataFrame
    longer_runs: pd.DataFrame
    budget_runs: pd.DataFrame
    formats: pd.DataFrame
    curves: pd.DataFrame
    longer_curves: pd.DataFrame
    spectrum: pd.DataFrame
    reweighting: pd.DataFrame
    rare: pd.DataFrame
    tuned: pd.DataFrame
    overhead: pd.DataFrame
    untimed: dict[str, str]
    _made: dict[Callable, pd.DataFrame] = field(default_factory=dict, init=False, repr=False)

    def table(self, make: Callable[[Results], pd.DataFrame]) -> pd.DataFrame:
        """The table that a function makes of these results; made when it is first asked for, and never again."""
        if make not in self._made:
            self._made[make] = make(self)
        return self._made[make]

    @property
    def profile(self) -> str:
        """The name of the results folder."""
        return self.config["profile"]

    @cached_property
    def settings(self) -> list[Setting]:
        """Every data set and model that there are runs of, in the order of ``runs``."""
        pairs = self.runs[["dataset", "model"]].drop_duplicates().itertuples(index=False, name=None)
        return [Setting(self, str(dataset), str(model)) for dataset, model in pairs]

    @cached_property
    def open_runs(self) -> pd.DataFrame:
        """The runs that are not done, longer ones and those within a budget included."""
        every = pd.concat(
            [part for part in (self.runs, self.longer_runs, self.budget_runs) if len(part)] or [self.runs]
        )
        return every[every["status"] != "done"].reset_index(drop=True)

    def planted(self, dataset: str) -> dict[str, Any] | None:
        """What is known of a data set that the generator made; None for genuine rows."""
        if dataset in self.schemas:
            return self.schemas[dataset].source.get("planted")
        return {} if self.config["datasets"][dataset]["source"] == "synthesize" else None

    def is_part(self, dataset: str) -> bool:
        """Whether only a part of a genuine data set's rows was used."""
        if dataset not in self.schemas or self.planted(dataset) is not None:
            return False
        full = dataset_of(dataset, self.config["datasets"][dataset]).full_rows
        return full not in (None, self.schemas[dataset].source["rows"])

    def is_of_papers(self, dataset: str) -> bool:
        """Whether the papers report the data set; a verdict on another one is a verdict on its rows."""
        entry = self.config["datasets"][dataset]
        return entry["source"] != OWN_MODEL and dataset_of(dataset, entry).of_papers


@dataclass(frozen=True, eq=False)
class Setting:
    """One data set and model: cells are compared within it, never across."""

    results: Results = field(repr=False)
    dataset: str
    model: str

    @property
    def where(self) -> str:
        """``avazu/dlrm``, as in the folders of the runs."""
        return f"{self.dataset}/{self.model}"

    @property
    def is_planted(self) -> bool:
        """Whether the generator made its rows."""
        return self.results.planted(self.dataset) is not None

    @property
    def is_part(self) -> bool:
        """Whether only a part of its rows was used."""
        return self.results.is_part(self.dataset)

    @property
    def is_own(self) -> bool:
        """Whether its rows and its model are a reader's own, of which the suite knows the scores alone."""
        return self.results.config["datasets"][self.dataset]["source"] == OWN_MODEL

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Its runs, done or not."""
        return self.of(self.results.runs)

    def of(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of a frame that are this setting's."""
        return frame[(frame["dataset"] == self.dataset) & (frame["model"] == self.model)]
