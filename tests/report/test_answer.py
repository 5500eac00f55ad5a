"""The sentence of the first screen, in worlds made by hand."""

import math

import pytest
from fake_results import make_results, small_config

from mlet_bench.models import MODELS
from mlet_bench.report.answer import answer, answer_table, models_section
from mlet_bench.tables.read import read_results

SEEDS = [0, 1, 2, 3, 4]
TUNED, BOTH = "single-lr-tuned", "mlet-lr-tuned"
GENUINE = {"datasets": {"avazu": {"source": "download"}}}


def world(tmp_path, worth, noise=None, planted=None, **changes):
    """Results where an arm is as good as a single layer ``worth[arm]`` times as wide, .01 AUC a doubling of d.

    ``noise[arm]`` is added to its seeds in turn.
    """

    def auc(cell, seed):
        own = (noise or {}).get(cell.arm, 0.0) * (-1) ** seed
        return 0.7 + 0.01 * math.log2(cell.dim * worth[cell.arm]) + 0.001 * math.sin(seed) + own

    config = small_config(**{"arms": list(worth), "dims": [4, 16, 32], "inner_dims": [64], "seeds": SEEDS} | changes)
    return read_results(make_results(tmp_path, config, planted=planted, auc=auc, full=True))


def said(*arguments, **options):
    options = options if "datasets" in options or options.get("planted") else GENUINE | options
    (sentence,) = answer(world(*arguments, **options))
    return sentence


def test_mlet_is_better(tmp_path):
    # 5 times: .01 log2 5 = .0232 above single, which the tuned rival is.
    assert said(tmp_path, {"single": 1, "mlet": 5, TUNED: 1}) == (
        "On avazu, MLET at d=4 is as good as a single table at d=20 (5.0x, 5.0-5.0x); "
        "MLET is 0.0232 AUC (+0.0232 to +0.0232) above a single table with a tuned step: use MLET."
    )


def test_a_tuned_single_table_is_as_good(tmp_path):
    assert said(tmp_path, {"single": 1, "mlet": 4, TUNED: 4}) == (
        "On avazu, MLET at d=4 is as good as a single table at d=16 (4.0x, 4.0-4.0x); "
        "a single table with a tuned step is as good: use that."
    )


def test_mlet_is_worse(tmp_path):
    assert said(tmp_path, {"single": 1, "mlet": 0.5, TUNED: 2}) == (
        "On avazu, MLET at d=4 is 0.0100 AUC (-0.0100 to -0.0100) below a single table of its width; "
        "MLET is 0.0200 AUC (-0.0200 to -0.0200) below a single table with a tuned step: use that."
    )


def test_it_is_undecided(tmp_path):
    sentence = said(tmp_path, {"single": 1, "mlet": 1.1, TUNED: 1}, noise={"mlet": 0.01})
    assert sentence.count("which is too little to tell") == 2 and "use" not in sentence


def test_rows_are_generated(tmp_path):
    assert said(tmp_path, {"single": 1, "mlet": 5, TUNED: 1}, planted=0.8).startswith(
        "On avazu (generated rows), MLET at d=4 is as good as a single table at d=20"
    )


def test_with_both_tuned_the_fairer_comparison_speaks(tmp_path):
    sentence = said(tmp_path, {"single": 1, "mlet": 5, TUNED: 8, BOTH: 8})
    assert sentence.endswith("; a single table with a tuned step is as good as MLET with a tuned step: use that.")


def test_a_single_table_that_does_not_need_its_width_is_told_first(tmp_path):
    results = make_results(
        tmp_path,
        small_config(**GENUINE, arms=["single", "mlet"], dims=[4, 16], inner_dims=[64], seeds=SEEDS),
        planted=None,
        auc=lambda cell, seed: 0.7 + 0.001 * math.sin(seed) + 0.01 * (cell.arm == "mlet"),
    )
    (sentence,) = answer(read_results(results))
    assert "a single table gains nothing from more width than d=4, so there is none to save" in sentence
    assert sentence.endswith("a single table with a tuned step has not run.")


def test_beyond_the_widths_measured_there_is_no_number(tmp_path):
    sentence = said(tmp_path, {"single": 1, "mlet": 50, TUNED: 1})
    assert "MLET at d=4 is better than a single table of any width up to d=32" in sentence


def test_few_seeds_are_said_to_be_few(tmp_path):
    sentence = said(tmp_path, {"single": 1, "mlet": 2, TUNED: 1}, seeds=[0, 1])
    assert sentence == (
        "On avazu, MLET at d=4 is 0.0100 AUC above a single table of its width, 0.0100 AUC above a single table with a "
        "tuned step; 2 seeds, where 5 are needed, cannot decide."
    )


def test_a_missing_cell_takes_the_advice_away(tmp_path):
    worth = {"single": 1, "mlet": 5, TUNED: 1}
    config = small_config(**GENUINE, arms=list(worth), dims=[4, 16], inner_dims=[64], seeds=SEEDS)
    results = make_results(tmp_path, config, planted=None, skip={("single-lr-tuned-d4", 0)})
    found = read_results(results)
    (sentence,) = answer(found)
    assert "whether a single table with a tuned step does as well is open, without single-lr-tuned-d4" in sentence
    assert answer_table(found)["reading"].tolist() == ["undecided"]


def test_where_both_sides_are_tuned_and_nothing_else_ran(tmp_path):
    sentence = said(tmp_path, {"single": 1, TUNED: 1, BOTH: 2})
    assert sentence == (
        "On avazu, MLET at d=4, its step tuned as well, is 0.0100 AUC (+0.0100 to +0.0100) above a single table with a "
        "tuned step of its width: use MLET."
    )


def test_nothing_to_compare_is_said(tmp_path):
    assert said(tmp_path, {"single": 1}) == "On avazu, no seed of MLET and a single table of its width is done."


@pytest.fixture
def toy():
    MODELS.add(type("Toy", (MODELS["dlrm"],), {"name": "toy"}))
    yield
    MODELS.remove("toy")


def test_several_models_are_counted_and_stand_side_by_side(toy, tmp_path):
    def auc(cell, seed):
        ahead = {"dlrm": 0.01, "toy": 0.0}[cell.model] * (cell.arm == "mlet")
        return 0.7 + 0.01 * math.log2(cell.dim) + 0.001 * math.sin(seed) + ahead

    config = small_config(**GENUINE, arms=["single", "mlet", TUNED], models=["dlrm", "toy"], dims=[4, 16])
    config |= {"inner_dims": [64], "seeds": SEEDS}
    results = read_results(make_results(tmp_path, config, planted=None, auc=auc, full=True))
    assert answer(results) == [
        "On avazu, MLET at d=4, beside a single table with a tuned step, is ahead with 1 and level with 1 of 2 models."
    ]
    section = models_section(results)
    assert section is not None and [row[-1] for row in section.tables[0][1].rows] == ["ahead", "level"]
    assert section.tables[0][1].rows[0][:4] == ["avazu", "DLRM", "4", "64"]
