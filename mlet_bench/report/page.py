"""``write_report``: tables, figures, ``summary.md``, ``claims.md`` and the self-contained ``report.html``."""

import re
from pathlib import Path

import jinja2
import matplotlib
import pandas as pd

from mlet_bench.claims.ledger import claims, claims_table, estimates_table
from mlet_bench.claims.verdicts import VERDICTS
from mlet_bench.display.document import Plot, Report
from mlet_bench.display.plots import STYLE, Key, keys_of
from mlet_bench.display.svg import Panel, marks_of, panels_of_page, place_panels, with_titles
from mlet_bench.display.text import slug
from mlet_bench.files import atomic
from mlet_bench.report.answer import answer_table
from mlet_bench.report.content import all_plots, make_report
from mlet_bench.report.curves import longer_table
from mlet_bench.report.ledger import claims_page
from mlet_bench.report.reweighting import reweighting_table
from mlet_bench.tables.budget import budget_table, served_table
from mlet_bench.tables.quality import cells_table, differences_table
from mlet_bench.tables.read import read_results
from mlet_bench.tables.results import Results

# Text longer than this may break over lines.
WIDE = 40
# Marks that turn the direction of text, so that a page would show another name than the one that is there.
TURNED = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd")
# Tables of more rows scroll by themselves on a screen.
TALL = 20


def write_report(folder: Path | str) -> None:
    """Write the report of ``results/<profile>`` into that folder; equal run folders give equal files.

    Written are ``tables/*.{csv,parquet}``, ``figures/*.{svg,png}``, ``summary.md``, ``claims.md`` and ``report.html``.
    Runs that failed or are missing are listed as such; with no run at all the report says that.

    Raises:
        BenchError: ``config.json`` is absent, or it, a data set's schema or the timings are unreadable.
    """
    folder = Path(folder)
    results = read_results(folder)
    write_tables(all_tables(results), folder / "tables")
    drawn = write_figures(results, folder / "figures")
    report = make_report(results)
    ledger = claims_page(results, report.title, report.warning)
    pages = {
        "summary.md": render("report.md.j2", report, drawn),
        "claims.md": render("report.md.j2", ledger, {}),
        "report.html": render("report.html.j2", report, drawn),
    }
    for name, text in pages.items():
        with atomic(folder / name) as partial:
            partial.write_text(text.translate(TURNED), encoding="utf-8")


def all_tables(results: Results) -> dict[str, pd.DataFrame]:
    """All tables by file name."""
    makers = {"answer": answer_table, "claims": claims_table, "estimates": estimates_table}
    makers |= {"cells": cells_table, "differences": differences_table}
    makers |= {"served": served_table, "budget": budget_table}
    makers |= {"longer": longer_table, "reweighting": reweighting_table}
    for claim in claims():
        makers |= claim.tables
    made = {name: results.table(make) for name, make in makers.items()}
    return made | {"runs": results.runs, "tuned": results.tuned}


def _no_formula(value: object) -> object:
    """Text that a spreadsheet would take for a formula, behind an apostrophe: columns of somebody's file have names."""
    return f"'{value}" if isinstance(value, str) and re.match(r"[=@\t\r]|[+-](?![\d.\s])", value) else value


def write_tables(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """Each table as ``<name>.csv`` and ``<name>.parquet``."""
    for name, table in tables.items():
        with atomic(folder / f"{name}.csv") as partial:
            words = table.select_dtypes(exclude="number").map(_no_formula)
            table.assign(**{str(column): words[column] for column in words}).to_csv(partial, index=False)
        with atomic(folder / f"{name}.parquet") as partial:
            table.to_parquet(partial, index=False)


def write_figures(results: Results, folder: Path) -> dict[str, tuple[Plot, Path]]:
    """Draw what there are data for, as SVG and PNG; figures of an earlier report that have none are removed.

    Returns:
        each figure drawn with its SVG, by name.
    """
    drawn = {}
    with matplotlib.rc_context(STYLE):
        for plot in all_plots():
            figure = plot.draw(results)
            if figure is not None:
                place_panels(figure)  # laid out once for both files: that is half of the work
            for suffix in ("svg", "png"):
                path = folder / f"{plot.name}.{suffix}"
                if figure is None:
                    path.unlink(missing_ok=True)
                    continue
                # The date would make two equal reports differ.
                metadata = {"Date": None} if suffix == "svg" else {"Software": None}
                with atomic(path) as partial:
                    figure.savefig(partial, dpi=150, metadata=metadata)
                    if suffix == "svg":
                        partial.write_text(with_titles(partial.read_text(encoding="utf-8")), encoding="utf-8")
            if figure is not None:
                drawn[plot.name] = plot, folder / f"{plot.name}.svg"
    return drawn


def render(template: str, report: Report, drawn: dict[str, tuple[Plot, Path]]) -> str:
    """A page of a report; in HTML the figures are part of it, so that the file opens anywhere, offline.

    Args:
        template: a file of ``templates/``; what ends in ``.html.j2`` escapes all text.
        drawn: as ``write_figures`` returns it; other figures are left out, with sections of nothing else.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mlet_bench.report"),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"plain": _plain, "panels": _panels, "keys": _keys, "kind": _kind, "slug": slug}
    sections = [
        (section, [drawn[name] for name in section.figures if name in drawn])
        for section in report.sections
        if section.text or section.tables or any(name in drawn for name in section.figures)
    ]
    marks = [marks_of(path.read_text(encoding="utf-8")) for _, path in drawn.values()]
    arms = set().union(*(arms for arms, _ in marks))
    keys = keys_of(arms, sorted(set().union(*(inner_dims for _, inner_dims in marks))))
    words = {"verdicts": VERDICTS, "tall": TALL, "keys": keys}
    return environment.get_template(template).render(report=report, sections=sections, **words)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: one line, with the characters that mean something escaped."""
    return re.sub(r"([\\`*\[\]<>|]|(?<!\w)_|_(?!\w))", r"\\\1", " ".join(text.split()))


def _panels(drawn: tuple[Plot, Path]) -> list[Panel]:
    """A figure as parts of the page."""
    plot, path = drawn
    return panels_of_page(path.read_text(encoding="utf-8"), plot.name, plot.title)


def _keys(drawn: tuple[Plot, Path]) -> list[Key]:
    """The arms and k of a figure's lines."""
    return keys_of(*marks_of(drawn[1].read_text(encoding="utf-8")))


def _kind(text: str, is_number: bool) -> str:
    """The class of a table's cell."""
    return "number" if is_number else "wide" if len(text) > WIDE else ""
