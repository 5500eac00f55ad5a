"""``write_report``: tables, figures, ``summary.md``, ``claims.md`` and the self-contained ``report.html``."""

from html import escape
from pathlib import Path

from mlet_bench.analysis import verdicts
from mlet_bench.files import atomic
from mlet_bench.reporting.claims_page import claims_report
from mlet_bench.reporting.collect import collect
from mlet_bench.reporting.content import make_report
from mlet_bench.reporting.document import Report, Section, Table
from mlet_bench.reporting.markdown import render_markdown
from mlet_bench.reporting.tables import make_tables, write_tables

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; }
body { margin: 1.2rem auto; max-width: 78rem; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; border-bottom: 1px solid #ddd; padding-bottom: .25rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p { max-width: 58rem; margin: .5rem 0; }
.lead, .warning { margin: .45rem 0; max-width: none; }
.warning { background: #fff4e0; border-left: 4px solid #E69F00; padding: .35rem .8rem; font-weight: 600; }
figure { margin: 1rem 0; }
figure svg { max-width: 100%; height: auto; display: block; }
.tip { cursor: help; }
.tip:hover use { fill-opacity: .25 !important; }
summary { cursor: pointer; margin: .4rem 0; }
figcaption { color: #555; font-size: .9rem; }
.scroll { overflow-x: auto; border: 1px solid #e4e4e4; }
.tall { max-height: 34rem; overflow-y: auto; }
table { border-collapse: collapse; font-size: .78rem; font-variant-numeric: tabular-nums; width: 100%; }
th { position: sticky; top: 0; background: #f4f4f4; text-align: left; }
th, td { padding: .28rem .5rem; border-bottom: 1px solid #eee; vertical-align: top; }
td { white-space: nowrap; }
td.wide { white-space: pre-line; overflow-wrap: anywhere; min-width: 12rem; }
td.verdict { font-weight: 600; }
.number { text-align: right; }
@media (min-width: 70rem) {
  /* The first screen: the figure, and beside it the verdicts. */
  section:first-of-type { display: grid; grid-template-columns: 5fr 4fr; column-gap: 1.5rem; align-items: start; }
  section:first-of-type > :is(h2, p) { grid-column: 1 / -1; max-width: none; margin-top: .8rem; }
  section:first-of-type > .scroll { margin-top: 1rem; }
}
@media print {
  body { max-width: none; font-size: 10pt; }
  .scroll { max-height: none; overflow: visible; border: none; }
  figure, tr { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  thead { display: table-header-group; }
}
"""
VERDICTS = {verdicts.REPRODUCED, verdicts.NOT_REPRODUCED, verdicts.UNDECIDED, verdicts.NOT_RUN}
# Text longer than this may break over lines.
WIDE = 40
# Tables of more rows scroll by themselves on a screen.
TALL = 20


def write_report(results: Path | str) -> None:
    """Write the report of ``results/<profile>`` into that folder; equal run folders give equal files.

    Written are ``tables/*.{csv,parquet}``, ``figures/*.{svg,png}``, ``summary.md``, ``claims.md`` and ``report.html``.
    Runs that failed or are missing are listed as such; with no run at all the report says that.

    Raises:
        BenchError: ``config.json`` is absent, or it, a data set's schema or the timings are unreadable.
    """
    # matplotlib takes a second, and only the report needs it.
    from mlet_bench.reporting.figures import write_figures

    results = Path(results)
    collected = collect(results)
    tables = make_tables(collected)
    write_tables(tables, results / "tables")
    figures = write_figures(collected, results / "figures")
    report = make_report(collected, tables, list(figures))
    claims = claims_report(tables["claims"], report.title, report.warning)
    pages = {
        "summary.md": render_markdown(report),
        "claims.md": render_markdown(claims),
        "report.html": render_page(report, figures),
    }
    for name, text in pages.items():
        with atomic(results / name) as partial:
            partial.write_text(text, encoding="utf-8")


def render_page(report: Report, figures: dict[str, Path]) -> str:
    """The whole page; figures are part of it, so that the file opens anywhere, offline, and points answer the pointer.

    Args:
        figures: the SVG file of each figure's name.
    """
    warning = f'<p class="warning">{escape(report.warning)}</p>' if report.warning else ""
    lead = "\n".join(f'<p class="lead">{_lead(sentence)}</p>' for sentence in report.lead)
    body = "\n".join(_section(section, figures) for section in report.sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(report.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(report.title)}</h1>\n{warning}\n{lead}\n{body}\n</body>\n</html>\n"
    )


def _section(section: Section, figures: dict[str, Path]) -> str:
    parts = [f"<p>{escape(paragraph)}</p>" for paragraph in section.text]
    parts += [_figure(name, figures[name], caption) for name, caption in section.figures]
    for title, table in section.tables:
        parts += [f"<h3>{escape(title)}</h3>"] if title else []
        parts.append(_table(table))
    return f"<section>\n<h2>{escape(section.title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def _lead(sentence: str) -> str:
    """What comes before the first colon, the question, stands out."""
    question, colon, rest = sentence.partition(": ")
    return f"<strong>{escape(question)}{colon}</strong>{escape(rest)}" if colon else escape(sentence)


def _figure(name: str, path: Path, caption: str) -> str:
    from mlet_bench.reporting.vector import inlined

    drawn = inlined(path.read_text(encoding="utf-8"), name, escape(caption))
    return f"<figure>{drawn}<figcaption>{escape(caption)}</figcaption></figure>"


def _table(table: Table) -> str:
    def cells(tag: str, row: list[str]) -> str:
        return "".join(f"<{tag}{_classes(place, text, table)}>{escape(text)}</{tag}>" for place, text in enumerate(row))

    head = f"<thead><tr>{cells('th', table.header)}</tr></thead>"
    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in table.rows)
    tall = " tall" if len(table.rows) > TALL else ""
    whole = f'<div class="scroll{tall}"><table>{head}\n<tbody>\n{body}\n</tbody></table></div>'
    if not table.folded:
        return whole
    return f"<details><summary>{escape(table.folded)}</summary>{whole}</details>"


def _classes(place: int, text: str, table: Table) -> str:
    if place in table.numeric:
        return ' class="number"'
    if text in VERDICTS:
        return ' class="verdict"'
    return ' class="wide"' if len(text) > WIDE else ""
