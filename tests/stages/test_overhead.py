"""The log of the timings says how busy the machine was, and how far they are."""

import os

from staged import call

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
        "timing avazu d=4 k=8",
        "timing avazu d=4 k=16",
    ]
