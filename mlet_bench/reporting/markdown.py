"""``summary.md``: the report as GitHub-flavoured Markdown."""

import re

from mlet_bench.reporting.document import Report, Section, Table


def render_markdown(report: Report) -> str:
    """The whole summary; figures are linked to their PNG files in ``figures/``."""
    parts = [f"# {_plain(report.title)}"]
    if report.warning:
        parts.append(f"**{_plain(report.warning)}**")
    parts += map(_plain, report.lead)
    for section in report.sections:
        parts += _section(section)
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> list[str]:
    parts = [f"## {_plain(section.title)}"]
    parts += [_plain(paragraph) for paragraph in section.text]
    parts += [f"![{_plain(caption)}](figures/{name}.png)" for name, caption in section.figures]
    for title, table in section.tables:
        parts += [f"### {_plain(title)}"] if title else []
        parts.append(_table(table))
    return parts


def _table(table: Table) -> str:
    if table.folded:
        return f"{_plain(table.folded)}."
    rule = ["---:" if place in table.numeric else "---" for place in range(len(table.header))]
    rows = [[_plain(text) for text in table.header], rule, *([_plain(text) for text in row] for row in table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: one line, with the characters that mean something escaped."""
    return re.sub(r"([\\`*\[\]<>|]|(?<!\w)_|_(?!\w))", r"\\\1", " ".join(text.split()))
