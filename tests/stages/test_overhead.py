"""The log of the timings says how busy the machine was, and how far they are."""

import os

from fake_results import make_results, small_config
from staged import call

from mlet_bench import device
from mlet_bench.parquet import read_table, table_of_records, write_table
from mlet_bench.runs import NOT_TIMED, OVERHEAD, overhead_file
from mlet_bench.tables.read import read_results

SMALL = ("--pairs", 2, "--steps", 1, "--batch-sizes", 64, "--device", "cpu", "--threads", 1)


def test_load_and_progress_are_told(whole, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (99.5, 0, 0))
    words = ("overhead", "--data", whole / "data", "--dims", 4, "--inner-dims", 8, 16, "--out", tmp_path / "o.parquet")
    assert call(*words, *SMALL) == 0
    said = capsys.readouterr()
    for when in ("before", "after"):
        assert f"{when}: load average 99.50 on " in said.out
    assert "the machine is busy, other jobs take part of what is timed" in said.out
    assert [line for line in said.err.splitlines() if line.startswith("timing ")] == [
        "timing avazu d=4 k=8, 1 of 2",
        "timing avazu d=4 k=16, 2 of 2",
    ]


def test_a_busy_machine_is_not_timed_where_that_is_asked_for(whole, tmp_path, capsys, monkeypatch):
    loads = tmp_path / "loadavg"
    monkeypatch.setattr(device, "LOAD", loads)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    words = ("overhead", "--data", whole / "data", "--dims", 4, "--inner-dims", 8, "--when-busy", "skip")
    for running, timed in ((5, 0), (4, 1)):  # this process is one of them
        loads.write_text(f"0.1 0.2 0.3 {running}/99 1234\n")
        out = tmp_path / f"{running}.parquet"
        assert call(*words, "--out", out, *SMALL) == 0
        table = read_table(out, "")
        assert (len(table) > 0) == bool(timed)
        note = (table.schema.metadata or {}).get(NOT_TIMED.encode(), b"").decode()
        assert note.startswith("the machine was busy, 4.0 other threads ran on its 4 cores") == (not timed)


def test_the_report_says_why_there_are_no_timings(tmp_path):
    results = make_results(tmp_path, small_config(seeds=[0]))
    path = overhead_file(results, "avazu", "dlrm")
    write_table(path, table_of_records([], OVERHEAD.columns), notes={NOT_TIMED: "the machine was busy"})
    read = read_results(results)
    assert read.untimed == {"avazu, DLRM": "the machine was busy"} and read.overhead.empty
