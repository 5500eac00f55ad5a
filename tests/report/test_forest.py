"""The forest plot of estimates that no claim of the package made: it reads the table alone."""

import math
import re
from itertools import pairwise
from types import SimpleNamespace

import pandas as pd
import pytest

from mlet_bench.claims.ledger import ESTIMATES
from mlet_bench.display.document import Report, Section
from mlet_bench.report.forest import axes_of, ledger, worded
from mlet_bench.report.ledger import Entry
from mlet_bench.report.page import render

NAN = math.nan
ROW = dict.fromkeys(ESTIMATES) | {"claim": "T1", "comparison": "against single", "dataset": "avazu", "model": "dlrm"}
ROW |= {"seeds": 5, "unit": "AUC", "scale": "linear", "reference": 0.0, "paper_low": NAN, "paper_high": NAN}
ROW |= {"verdict": "reproduced", "planted": False, "cells": "mlet-d4-k64 single-d4", "label": "gain"}
FACTOR = {"claim": "T2", "unit": "x", "scale": "log", "reference": 1.0, "paper_low": 4.0, "paper_high": 8.0}


def of(*rows):
    table = pd.DataFrame([ROW | row for row in rows], columns=ESTIMATES)
    return SimpleNamespace(table=lambda make: table)


GAIN = {"value": 0.002, "low": 0.001, "high": 0.003}
WORLD = of(
    GAIN,
    {"value": -0.001, "low": NAN, "high": NAN, "seeds": 2, "comparison": "both tuned", "verdict": "undecided"},
    FACTOR | {"value": 8.0, "low": 4.0, "high": NAN},
    FACTOR | {"value": 2.0, "low": 1.0, "high": 4.0, "planted": True},
)


def test_an_axis_is_of_one_claim_and_unit_and_holds_all_that_is_drawn():
    gain, factor = axes_of(WORLD)
    assert (gain.claim, gain.unit, factor.claim, factor.unit) == ("T1", "AUC", "T2", "x")
    # From -.001 to .003 and 6% more on either side: 0 lies (.001 + .00024) / .00448 from the left.
    assert gain.place(0.0) == pytest.approx(100 * 0.00124 / 0.00448, abs=0.01)
    # On a log scale from 1 to 8 the ratio of neighbours is the same.
    places = [factor.place(x) for x in (1.0, 2.0, 4.0, 8.0)]
    assert [b - a for a, b in pairwise(places)] == pytest.approx([places[1] - places[0]] * 3, abs=0.02)
    assert places[0] > 0 and places[-1] < 100
    assert [text for _, text in factor.ticks] == ["1x", "2x", "4x", "8x"] and factor.papers == "4x to 8x"


def test_an_end_that_is_not_known_is_an_arrow_and_few_seeds_are_a_point():
    (gain, few), (bound, planted) = (axis.bars for axis in axes_of(WORLD))
    ends = axes_of(WORLD)[1].ends
    assert gain.says == "+0.00200 [+0.00100, +0.00300]" and gain.opens == (False, False)
    assert few.says == "-0.00100 (2 seeds)" and few.span((-1, 1)) == (-0.001, -0.001) and few.opens == (False, False)
    assert bound.says == "8x, 4x or more" and bound.opens == (False, True) and bound.span(ends) == (4.0, ends[1])
    assert planted.verdict == "" and "(generated)" in planted.name
    assert gain.folder == "runs/avazu/dlrm/mlet-d4-k64/"


def test_the_page_draws_it_with_a_chip_for_each_verdict_and_the_papers_value():
    axes = axes_of(WORLD)
    verdicts = {"against single": "reproduced", "both tuned": "undecided"}
    entries = [
        Entry("T1", "A toy <holds>.", "nowhere", verdicts, axes[:1], ""),
        Entry("T2", "Another.", "nowhere", {}, axes[1:], ""),
        Entry("T3", "A third.", "nowhere", {"against single": "not run"}, [], "needs two models"),
    ]
    report = Report("Toys", "", [], [Section("The ledger", figures=[ledger.name], text=["."])], entries)
    page = render("report.html.j2", report, {})
    assert "T1: A toy &lt;holds&gt;." in page and "needs two models" in page
    for verdict in ("reproduced", "undecided", "not run"):
        assert f'<span class="chip {verdict.replace(" ", "-")}">{verdict}</span>' in page
    assert "the paper: 4x to 8x" in page and page.count('class="paper"') == 2
    assert page.count("▶") == 1 and "◀" not in page
    assert re.search(r'<svg class="reproduced" role="img" aria-label="\+0.00200 ', page)
    assert "**T1** A toy" in render("report.md.j2", report, {})


def test_the_figure_for_print_has_an_axes_for_each_axis_and_a_line_for_each_number():
    figure = ledger.draw(WORLD)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["T1, AUC", "T2, x; the paper: 4x to 8x"]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [
        "against single, avazu: gain",
        "both tuned, avazu: gain",
    ]
    assert ledger.draw(of()) is None


@pytest.mark.parametrize(
    ("value", "unit", "text"), [(0.00123, "AUC", "+0.00123"), (3.94, "x", "3.94x"), (12.0, "%", "+12.0%")]
)
def test_numbers_in_the_words_of_their_unit(value, unit, text):
    assert worded(value, unit) == text
