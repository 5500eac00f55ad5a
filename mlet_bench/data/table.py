"""A table of one's own."""

from mlet_bench.data import DATASETS
from mlet_bench.data.base import PREPARED
from mlet_bench.data.tabular import TableData


@DATASETS.add
class Table(TableData):
    name = "table"

    @classmethod
    def sources(cls) -> tuple[str, ...]:
        return (cls.name, PREPARED)
