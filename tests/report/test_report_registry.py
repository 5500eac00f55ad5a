"""What somebody adds to a registry is in tables, figures and pages: a figure, a metric, an arm, a model."""

import dataclasses

import pandas as pd
import pytest
from fake_results import make_results, small_config
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from mlet_bench.arms import ARMS
from mlet_bench.display.document import plot
from mlet_bench.display.plots import look_of
from mlet_bench.evaluation.metrics import METRICS, Metric
from mlet_bench.models import MODELS
from mlet_bench.report import FIGURES
from mlet_bench.report.page import all_tables, write_report
from mlet_bench.report.quality import quality_over_d, quality_over_size
from mlet_bench.tables.read import read_results

BRIER = Metric("brier", "Brier", lambda scored: 0.25, higher_is_better=False)


@pytest.fixture
def add():
    """Adds members to registries; each registry is afterwards as it was."""
    undo = []

    def added(registry, member):
        undo.append((registry, member.name, list(registry)))
        registry.add(member)

    yield added
    for registry, name, before in reversed(undo):
        registry.remove(name)
        assert list(registry) == before


@plot("Of toys", "How many runs there are, <by data set>.")
def toys(results):
    figure = Figure()
    figure.subplots().bar(*zip(*results.runs.groupby("dataset").size().items()))
    return figure


def test_a_figure_is_drawn_and_shown_with_its_caption(add, tmp_path):
    add(FIGURES, toys)
    results = make_results(tmp_path)
    write_report(results)
    assert {path.name for path in (results / "figures").glob("toys.*")} == {"toys.svg", "toys.png"}
    page = (results / "report.html").read_text()
    assert "<h2>Of toys <a" in page and "How many runs there are, &lt;by data set&gt;." in page
    assert "(figures/toys.png)" in (results / "summary.md").read_text()


def test_a_metric_is_in_runs_cells_and_differences(add, tmp_path):
    add(METRICS, BRIER)
    tables = all_tables(read_results(make_results(tmp_path)))
    assert (tables["runs"][["test_brier", "val_brier"]] == 0.5).all(axis=None)
    assert (tables["cells"][["brier", "brier_min", "brier_max"]] == 0.5).all(axis=None)
    differences = tables["differences"]
    assert differences[differences["metric"] == "brier"]["difference"].tolist() == [0.0]


def test_a_metric_that_is_newer_than_the_runs_has_no_value(add, tmp_path):
    results = make_results(tmp_path)
    add(METRICS, BRIER)
    tables = all_tables(read_results(results))
    assert (tables["runs"]["status"] == "done").all() and tables["runs"]["test_brier"].isna().all()
    assert tables["differences"].set_index("metric").loc["brier", "pairs"] == 0


def test_an_arm_without_a_look_is_in_every_figure_and_legend(add, tmp_path):
    add(ARMS, dataclasses.replace(ARMS["single-lr-tuned"], name="plain-2", look=None))
    results = read_results(make_results(tmp_path, small_config(arms=["single", "mlet", "plain-2"])))
    mine = look_of("plain-2").color.lower()
    assert mine not in {look_of(arm).color.lower() for arm in ARMS if arm != "plain-2"}
    for figure in (quality_over_size.draw(results), quality_over_d.draw(results)):
        assert "plain-2" in [text.get_text() for text in figure.legends[0].get_texts()]
        assert mine in {to_hex(line.get_color()) for ax in figure.axes for line in ax.lines}


def test_two_models_on_one_data_set_stay_apart(add, tmp_path):
    """Their cells have the same names: the report ended in a duplicate index once, and the ledger merged them."""
    add(MODELS, type("Toy", (MODELS["dlrm"],), {"name": "toy"}))
    gains = {"dlrm": 0.01, "toy": 0.02}
    config = small_config(dims=[4, 8], inner_dims=[64], models=["dlrm", "toy"])
    results = make_results(tmp_path, config, auc=lambda cell, seed: 0.7 + gains[cell.model] * (cell.arm == "mlet"))
    write_report(results)
    cells, differences = (pd.read_parquet(results / f"tables/{name}.parquet") for name in ("cells", "differences"))
    assert cells.groupby("model")["cell"].nunique().to_dict() == {"dlrm": 4, "toy": 4}
    auc = differences[differences["metric"] == "auc"]
    assert auc.groupby("model")["difference"].mean().to_dict() == pytest.approx(gains)
    summary, claims = (results / "summary.md").read_text(), pd.read_parquet(results / "tables" / "claims.parquet")
    assert "### avazu, DLRM" in summary and "### avazu, TOY" in summary
    assert "| data | model | arm |" in summary.split("## Reduction factor")[1]
    numbers = claims.drop_duplicates("claim").set_index("claim")["number"]
    assert "toy" not in numbers["C1"]  # paper A is about its own model
    assert "avazu/dlrm (generated rows): " in numbers["C7"] and "avazu/toy (generated rows): " in numbers["C7"]
