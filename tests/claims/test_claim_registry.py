"""A claim that somebody adds: one class in the registry, and it is on every page with its rule."""

import pytest
from fake_results import make_results, small_config

from mlet_bench.claims import CLAIMS
from mlet_bench.claims.claim import Claim
from mlet_bench.claims.comparisons import AS_PAPER
from mlet_bench.claims.finding import Finding
from mlet_bench.claims.ledger import claims_table
from mlet_bench.claims.verdicts import NOT_REPRODUCED, REPRODUCED, Judged
from mlet_bench.display.document import Section
from mlet_bench.report.page import write_report
from mlet_bench.tables.read import read_results

LEAST = 3


def judge_toy(seeds: int) -> Judged:
    """T1: the runs have ``LEAST`` seeds or more. *Reproduced*: they have."""
    return Judged(REPRODUCED if seeds >= LEAST else NOT_REPRODUCED, 0.0)


class ToyClaim(Claim):
    name, sentence, source = "T1", "There are many seeds.", "nobody"
    rule = staticmethod(judge_toy)
    comparisons = (AS_PAPER,)
    part_decides = True
    tables = {"toys": lambda results: results.runs[["dataset", "seed"]].assign(toy=1.5)}  # noqa: RUF012

    def find(self, setting, comparison):
        seeds = setting.runs["seed"].nunique()
        return Finding(
            judge_toy(seeds), f"{seeds} seeds", cells=tuple(comparison.baseline_cells(setting.runs).values())
        )

    def section(self, results):
        return Section("Of toys", ["Toys were counted."])


@pytest.fixture
def toy_claim():
    """The toy in the registry, and the registry as it was afterwards."""
    before = list(CLAIMS)
    CLAIMS.add(ToyClaim)
    yield ToyClaim
    CLAIMS.remove(ToyClaim.name)
    assert list(CLAIMS) == before


def test_a_claim_is_in_the_ledger_and_on_every_page_with_its_rule(toy_claim, tmp_path):
    config = small_config(datasets={"avazu": {"source": "download"}}, arms=["single"], seeds=[0, 1, 2])
    results = make_results(tmp_path, config, planted=None)
    row = read_results(results).table(claims_table).set_index("claim").loc["T1"]
    assert (row["verdict"], row["comparison"]) == ("reproduced", "against single")
    assert (row["number"], row["cells"]) == ("avazu: 3 seeds", "avazu/dlrm: single d=4")
    write_report(results)
    summary, page, claims = ((results / name).read_text() for name in ("summary.md", "report.html", "claims.md"))
    rule = "The runs have 3 seeds or more. Reproduced: they have."
    assert f"Rule: {rule}" in claims.split("## T1")[1] and rule in page
    for text in (summary, page, claims):
        assert "There are many seeds." in text
    assert "**T1** There are many seeds. (against single: **reproduced**)" in summary
    assert "T1: There are many seeds." in page.split('id="the-ledger"')[1] and "avazu: 3 seeds" in page
    assert "## Of toys" in summary and "Toys were counted." in page
    assert (results / "tables" / "toys.parquet").is_file()


def test_every_claim_says_what_it_is():
    for name in CLAIMS:
        claim = CLAIMS[name]
        assert claim.name == name and claim.sentence.endswith(".")
        assert claim.source.startswith(("arXiv ", "OpenReview "))
