"""The whole report: what it says, what it escapes, and that it is there whatever is missing."""

import csv
import re
from html.parser import HTMLParser

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_results import make_results, small_config

from mlet_bench.arms import ARMS
from mlet_bench.display.plots import look_of
from mlet_bench.files import write_json
from mlet_bench.report.page import write_report

CELLS = ("single-d4", "mlet-d4-k16")
REASON = "<script>alert('x')</script> | **loud** & [link](http://x) \u202egnp"
GENUINE = {"datasets": {"criteo-kaggle": {"source": "download"}}}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A report with a missing run and a hostile reason for a failure."""
    results = make_results(tmp_path_factory.mktemp("toy"), fields=("C1", "<script>alert(1)</script>", "=1+1"))
    failed = results / "runs/avazu/dlrm/mlet-d4-k16/seed1/failed.json"
    write_json(
        failed,
        {"stage": "train", "kind": "other", "error": REASON},
    )
    write_report(results)
    return results


def read(results, name):
    return (results / name).read_text(encoding="utf-8")


def contents(results):
    return {
        str(path.relative_to(results)): path.read_bytes()
        for path in sorted(results.rglob("*"))
        if path.is_file() and "runs/" not in str(path.relative_to(results))
    }


def test_every_file_is_there(toy):
    figures = ("quality_over_size", "quality_over_d", "rare", "curves", "effective_rank", "reweighting", "overhead")
    figures += ("ledger",)
    tables = ("runs", "cells", "differences", "spectrum", "reweighting", "overhead", "claims", "estimates")
    names = {f"figures/{name}.{kind}" for name in figures for kind in ("svg", "png")}
    names |= {f"tables/{name}.{kind}" for name in tables for kind in ("csv", "parquet")}
    assert names | {"summary.md", "claims.md", "report.html"} <= set(contents(toy))
    assert not list(toy.rglob("*.partial*"))


def test_markup_in_data_is_text(toy):
    page = read(toy, "report.html")
    assert "<script" not in page.lower() and "&lt;script&gt;" in page
    summary = read(toy, "summary.md")
    assert "<script" not in re.sub(r"\\<", "", summary)
    assert r"\| \*\*loud\*\* & \[link\]" in summary
    assert "\u202e" not in page + summary and "\ufffdgnp" in page and "\ufffdgnp" in summary


def test_a_name_is_no_formula_to_a_spreadsheet(toy):
    with (toy / "tables/spectrum.csv").open(encoding="utf-8") as file:
        cells = {cell for row in csv.reader(file) for cell in row}
    assert "'=1+1" in cells and not [cell for cell in cells if cell.startswith("=")]


class Parser(HTMLParser):
    """Checks that tags close; keeps addresses, ids, what toggles and their labels name, and rows of tables."""

    def __init__(self, page):
        super().__init__()
        self.open, self.addresses, self.ids, self.toggles, self.labels, self.rows = [], [], [], set(), set(), []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.addresses += [value for name, value in attributes if name.split(":")[-1] in ("src", "href")]
        self.ids += [given["id"]] if "id" in given else []
        self.toggles |= {given["id"]} if given.get("type") == "checkbox" else set()
        self.labels |= {given["for"]} if "for" in given else set()
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append(given.get("data-of"))
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_asks_for_nothing(toy):
    page = read(toy, "report.html")
    parser = Parser(page)
    inside = {address[1:] for address in parser.addresses if address.startswith("#")}
    assert len(parser.ids) == len(set(parser.ids)) and inside <= set(parser.ids)
    # Links lead to files beside the page, none elsewhere; nothing is loaded.
    beside = {address.partition("#")[0] for address in parser.addresses} - {""}
    assert "runs/avazu/dlrm/mlet-d4-k16/" in beside
    assert [address for address in beside if not (toy / address).exists()] == ["mlflow.html"]  # which a sync writes
    assert not re.search(r"<(script|link|img|iframe)|@import|url\((?!#)", page)


def test_contents_lead_to_every_section(toy):
    page = read(toy, "report.html")
    sections = re.findall(r'<section id="([^"]+)">', page)
    assert sections and re.findall(r'<li><a href="#([^"]+)">', page) == sections


def test_arms_and_k_can_be_hidden(toy):
    page = read(toy, "report.html")
    parser = Parser(page)
    assert parser.toggles == parser.labels == {"arm-single", "arm-mlet", "k-16"}
    for name in parser.toggles:
        assert f"body:has(#{name}:not(:checked)) .{name} {{ display: none; }}" in page
    assert '<g class="arm-mlet k-16">' in page and '<tr class="arm-mlet k-16">' in page
    # A registered arm says what it is where it first appears.
    assert 'title="the paper&#39;s baseline: one n×d table"' in page


def test_no_column_is_cut_off(toy):
    """Where it is narrow each number stands beside its heading; in print tables wrap and what is shut opens."""
    page = read(toy, "report.html")
    rows = Parser(page).rows
    header = None
    for row in rows:
        if None in row:
            header = row
        else:
            assert header is not None and len(row) == len(header) and all(row)
    narrow, printed = page.split("(max-width: 40rem)")[1].split("@media print")
    assert "content: attr(data-of)" in narrow
    assert "overflow: visible" in printed and "details::details-content" in printed
    assert "prefers-color-scheme: dark" in page


def test_text_in_figures_is_text(toy):
    page = read(toy, "report.html")
    assert re.search(r"<text[^>]*>avazu, DLRM \(synthetic\)</text>", page) and page.count("<text") > 50
    assert "avazu, DLRM (synthetic)" in read(toy, "figures/quality_over_d.svg")


def test_synthetic_rows_are_named_in_the_title_and_in_bold(toy):
    summary = read(toy, "summary.md")
    assert summary.startswith(
        "# Multi-Layer Embedding Training: toy (synthetic data)\n\n**No verdict: generated rows.**"
    )
    assert read(toy, "report.html").count("No verdict: generated rows.") == 1
    assert "<title>Multi-Layer Embedding Training: toy (synthetic data)</title>" in read(toy, "report.html")


def test_a_part_of_the_rows_is_said_in_bold_and_all_of_them_need_no_word(tmp_path):
    config = small_config(**GENUINE)
    part, whole = (make_results(tmp_path / str(full), config, planted=None, full=full) for full in (False, True))
    for results in (part, whole):
        write_report(results)
    bold = "\n**Only a part of the rows of criteo-kaggle was used: no claim about quality is decided by it.**\n"
    assert bold in read(part, "summary.md") and "Only a part" not in read(whole, "summary.md")


def test_genuine_rows_carry_no_such_mark(tmp_path):
    results = make_results(tmp_path, small_config(**GENUINE), planted=None)
    write_report(results)
    assert read(results, "summary.md").startswith("# Multi-Layer Embedding Training: toy\n")
    assert "synthetic" not in read(results, "report.html") and "No verdict" not in read(results, "summary.md")


def test_a_failed_run_is_listed_with_its_reason(toy):
    summary = read(toy, "summary.md")
    assert "\n1 run failed; nothing stands in for it above.\n" in summary
    assert "| avazu | dlrm | mlet-d4-k16 | 1 | failed | train: " in summary
    assert re.search(r"\| mlet \| 4 \| 16 \| 1 of 2 \|", summary)


def test_a_missing_cell_shows_as_missing(tmp_path):
    results = make_results(tmp_path, skip={(CELLS[1], 0), (CELLS[1], 1)})
    write_report(results)
    summary = read(results, "summary.md")
    assert "| mlet | 4 | 16 | 0 of 2 | missing | missing | – |" in summary
    assert "| avazu | dlrm | mlet-d4-k16 | 0 | missing | not trained |" in summary


def test_the_difference_worked_out_by_hand_is_shown(tmp_path):
    gain = {"single": 0.0, "mlet": 0.01}
    results = make_results(tmp_path, auc=lambda cell, seed: 0.7 + 0.02 * seed + gain[cell.arm] * (1 + 2 * seed))
    write_report(results)
    # Differences .01 and .03: two seeds have no interval.
    assert "| +0.02000 | undecided | -0.02000 |" in read(results, "summary.md")


def test_one_seed_claims_no_interval(tmp_path):
    results = make_results(tmp_path, small_config(seeds=[3]), auc=lambda cell, seed: 0.7 + 0.01 * (cell.arm == "mlet"))
    write_report(results)
    summary = read(results, "summary.md")
    assert "one seed each, so no interval can be given" in summary
    assert "| mlet | 4 | 16 | 1 | 0.71000 | 0.49000 | +0.01000 | undecided | -0.01000 |" in summary
    assert "±" not in summary.split("### avazu")[1].split("## Learning")[0] and "nan" not in summary.lower()


def test_with_no_run_at_all_the_report_says_so(tmp_path):
    every = {(cell, seed) for cell in CELLS for seed in (0, 1)}
    results = make_results(tmp_path, skip=every, overhead=False)
    (results / "data/avazu/schema.json").unlink()
    (results / "figures").mkdir()
    (results / "figures/curves.svg").write_text("of an earlier report")
    write_report(results)
    summary = read(results, "summary.md")
    assert "0 of 4 runs are done" in summary and "not prepared" in summary and "Not measured" in summary
    assert not list((results / "figures").iterdir()) and "<svg" not in read(results, "report.html")
    assert "(synthetic data)" in summary


def test_equal_folders_give_equal_reports(toy, tmp_path):
    first = contents(toy)
    write_report(toy)
    assert contents(toy) == first
    other = make_results(tmp_path, planted=0.5)
    write_report(other)
    assert contents(other)["report.html"] != first["report.html"]


def test_overhead_stands_beside_the_papers(toy):
    # Ratios are 1.1 + .001 · 16 and up to .01 more.
    (found,) = re.findall(r"(\+\d+\.\d)% on average over 1 \(d, k\), beside the paper's \+25%", read(toy, "summary.md"))
    assert 11.6 <= float(found) <= 12.6


@pytest.mark.parametrize(
    "changes",
    [
        {"arms": ["single"]},
        {"arms": ["mlet"]},
        {"overhead": {"batch_sizes": [128, 1024]}, "arms": ["single", "mlet", "mlet-unit"], "inner_dims": [4, 16]},
        {"datasets": {"avazu": {"source": "synthesize", "rows": 100}, "criteo-kaggle": {"source": "download"}}},
    ],
)
def test_a_report_of_any_grid(tmp_path, changes):
    results = make_results(tmp_path, small_config(**changes), spectrum=len(changes) > 1)
    write_report(results)
    assert (results / "figures/quality_over_d.png").stat().st_size > 10_000
    assert "nan" not in read(results, "summary.md").lower()


def test_runs_without_validations_have_no_curves(tmp_path):
    results = make_results(tmp_path)
    for path in results.rglob("curve.parquet"):
        table = pq.read_table(path)
        frame = table.to_pandas().assign(val_auc=float("nan"))
        pq.write_table(pa.Table.from_pandas(frame).replace_schema_metadata(table.schema.metadata), path)
    write_report(results)
    assert "Learning curves" not in read(results, "summary.md")


def test_every_arm_has_a_line_of_its_own():
    assert len({str(look_of(arm)) for arm in ARMS}) == len(ARMS)


def test_generated_rows_decide_no_claim(toy):
    claims = pd.read_parquet(toy / "tables" / "claims.parquet")
    assert claims["claim"].unique().tolist() == [f"C{number}" for number in range(1, 10)]
    assert not claims["verdict"].isin(["reproduced", "not reproduced"]).any()
    assert "## The ledger" in read(toy, "summary.md")


def test_every_claim_is_told_with_its_rule_and_of_generated_rows_without_a_verdict(toy):
    claims = read(toy, "claims.md")
    assert claims.startswith("# The claims. Multi-Layer Embedding Training: toy (synthetic data)\n\n**No verdict")
    for number in range(1, 8):
        section = claims.split(f"\n## C{number}\n")[1].split("\n## ")[0]
        assert "Rule: " in section and "| against single |" in section and "arXiv" in section
        assert "| not run |" not in section  # the rows are generated, which is said once, above
    assert "| avazu/dlrm: mlet d=4 k=16 |" in claims
