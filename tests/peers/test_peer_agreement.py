"""Every comparison with a peer that is here, within its tolerance; skipped, with the reason, where it is not."""

import math

import pytest
from agreement import MARKS, between_marks, key, line, merged, summary
from agreements import Agreement, PeerAbsent, everything, run


@pytest.mark.parametrize("function", everything(), ids=lambda function: function.__name__)
def test_agrees_with_the_peer(function):
    try:
        found = run(function)
    except PeerAbsent as absent:
        pytest.skip(str(absent))
    assert found
    assert [one for one in found if not one.agrees] == []


def test_a_difference_above_the_tolerance_or_nan_is_no_agreement():
    assert [make(largest).agrees for largest in (0.0, 1e-6, 2e-6, math.nan)] == [True, True, False, False]


def test_the_table_keeps_the_rows_of_absent_peers_alone():
    old = [line(make(peer="b")), line(make(0.5, shape="genuine")), line(make(0.5))]
    new = [line(make())]
    assert merged(old, new, complete=False) == [new[0], old[1], old[0]]
    assert merged(old, new, complete=True) == new
    assert key(new[0]) == ("a", "loss", "planted,")


def test_the_summary_has_the_worst_of_a_topic():
    found = {"model: loss": 2e-8, "model: gradient": 3e-7}
    rows = [line(make(value, what=what)) for what, value in found.items()]
    assert summary([*rows, line(make())]) == [
        "| a | 1.0 | model: loss; gradient | 3.0e-07 | 1e-06 |",
        "| a | 1.0 | loss | 0 | 1e-06 |",
    ]
    assert "| nan |" in summary([line(make(math.nan)), line(make(1.0))])[0]


def test_the_summary_goes_between_the_marks_of_the_readme():
    text = f"a\n{MARKS[0]}old\n{MARKS[1]}b\n"
    assert between_marks(text, "new\n") == f"a\n{MARKS[0]}new\n{MARKS[1]}b\n"
    assert between_marks("no marks\n", "new\n") == "no marks\n"


def make(largest: float = 0.0, peer: str = "a", shape: str = "planted, 3 rows", what: str = "loss") -> Agreement:
    return Agreement(peer, "1.0", what, shape, largest, 1e-6)
