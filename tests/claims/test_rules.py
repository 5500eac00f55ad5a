"""The rules in words: every claim has one, constants stand as values, and it is the text beside the code."""

from mlet_bench.claims import CLAIMS, c1_reduction
from mlet_bench.claims.verdicts import common_rules, rule_text


def test_every_claim_has_a_rule_without_a_constant_by_name():
    for claim in CLAIMS:
        text = rule_text(CLAIMS[claim].rule)
        assert "`" not in text and "_" not in text and "Args" not in text and text[0].isupper()
        assert "eproduced" in text or claim == "C3"


def test_a_constant_that_moves_moves_the_text(monkeypatch):
    rule = CLAIMS["C1"].rule
    assert rule_text(rule).startswith("MLET of width d is as good as a single layer 4 times as wide.")
    assert "k = 64, the mean over those of d = 4, 8, 16 that have run. Reproduced:" in rule_text(rule)
    monkeypatch.setattr(c1_reduction, "REDUCTION", 6.0)
    assert rule_text(rule).startswith("MLET of width d is as good as a single layer 6 times as wide.")


def test_a_range_is_written_from_end_to_end():
    assert "lie within 0.15 to 0.35" in rule_text(CLAIMS["C5"].rule)


def test_what_is_common_is_a_list_of_sentences():
    common = common_rules()
    assert len(common) == 8 and all(item.endswith(".") for item in common)
    assert "Fewer than 5 seeds give a range and no verdict." in common[0]
