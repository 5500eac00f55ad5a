"""Figures as vectors: what a point says when a pointer rests on it, and an SVG as part of a page.

matplotlib writes an artist's gid as the id of its group. A gid that starts with ``tip:`` carries the words, and becomes
the group's ``<title>``, which browsers show by themselves: no script, nothing to load.
"""

import re

from matplotlib.axes import Axes

TIP = "tip:"


def add_tip(ax: Axes, x: float, y: float, words: str) -> None:
    """Lay an unseen disc over a point; its ``words`` show on hover."""
    style = {"marker": "o", "markersize": 11, "linestyle": "none", "markeredgewidth": 1.2, "zorder": 20}
    # Of one point alone, and out of the legend; the limits of the axes stay as they are.
    (point,) = ax.plot([x], [y], color="#111111", alpha=0, label="_tip", scalex=False, scaley=False, **style)
    point.set_gid(TIP + words)


def with_titles(svg: str) -> str:
    """An SVG of matplotlib's whose tips are ``<title>`` elements; the writer has escaped their words."""
    # An id with a quotation mark in it stands between apostrophes.
    return re.sub(rf"""<g id=(["']){TIP}(.*?)\1>""", r'<g class="tip"><title>\2</title>', svg)


def inlined(svg: str, name: str, caption: str) -> str:
    """An SVG as an element of an HTML page.

    Args:
        name: goes before each id, so that two figures of one page share none.
        caption: escaped; what a screen reader says.
    """
    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", element)
    return element.replace("<svg", f'<svg role="img" aria-label="{caption}"', 1)
