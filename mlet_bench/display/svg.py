"""Figures as vectors: what a point says under a pointer, which arm and k a line is of, and figures as parts of a page.

matplotlib writes an artist's gid as the id of its group, so a gid carries what a page needs to know: of a line its arm
and k, as classes that a page can hide; of a point its words, which become the group's ``<title>`` and show on hover; of
axes and legends their place, so that a page can stack them where it is narrow. No script, nothing to load.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlet_bench.display.text import classes_of

MARK, PANEL, KEYS = "mark:", "panel:", "keys:"
PIXELS = 96 / 72  # of CSS a point
SPACE = "http://www.w3.org/2000/svg"
ElementTree.register_namespace("", SPACE)
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")


@dataclass(frozen=True)
class Panel:
    """A part of a figure as an ``<svg>`` element, and its own width in CSS pixels."""

    svg: str
    width: int


def add_tip(ax: Axes, x: float, y: float, words: str) -> None:
    """Lay an unseen disc over a point; its ``words`` show on hover."""
    style = {"marker": "o", "markersize": 11, "linestyle": "none", "markeredgewidth": 1.2, "zorder": 20}
    # Of one point alone, and out of the legend; the limits of the axes stay as they are.
    (point,) = ax.plot([x], [y], color="#111111", alpha=0, label="_tip", scalex=False, scaley=False, **style)
    point.set_gid(f"{MARK}:{words}")


def mark(artists: Iterable[Artist], arm: str, inner_dim: Any) -> None:
    """Say of which arm and k artists are; words that they have already stay."""
    for artist in artists:
        _, _, words = (artist.get_gid() or "").partition("::")
        artist.set_gid(f"{MARK}{classes_of(arm, inner_dim)}:{words}")


def place_panels(figure: Figure) -> None:
    """Lay a figure out, for good, and write into it where each of its axes and legends lies, in points."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    height = figure.get_figheight()
    for part in (*figure.axes, *figure.legends):
        box: Any = part.get_tightbbox()
        if box is None:
            continue
        low, high = figure.dpi_scale_trans.inverted().transform([[box.x0, box.y0], [box.x1, box.y1]])
        edges = (low[0], height - high[1], high[0] - low[0], high[1] - low[1])
        kind = KEYS if part.get_gid() == KEYS else PANEL
        part.set_gid(kind + " ".join(f"{72 * edge + pad:.1f}" for edge, pad in zip(edges, (-3, -3, 6, 6))))


def with_titles(svg: str) -> str:
    """An SVG of matplotlib's whose marks are classes and ``<title>`` elements; the writer has escaped their words."""

    def group(found: re.Match) -> str:
        _, classes, words, empty = found.groups()
        if empty:  # nothing was drawn
            return ""
        classes = " ".join(filter(None, ("tip" if words else "", classes)))
        return f'<g class="{classes}">' + (f"<title>{words}</title>" if words else "")

    # An id with a quotation mark in it stands between apostrophes.
    return re.sub(rf"""<g id=(["']){MARK}([^:]*):(.*?)\1(/?)>""", group, svg)


def panels_of_page(svg: str, name: str, caption: str) -> list[Panel]:
    """A figure as elements of an HTML page, one for each of its axes and legends, but for the keys of marks.

    Args:
        svg: laid out by ``place_panels``.
        name: goes before each id, so that two figures of one page share none.
        caption: what a screen reader says.
    """
    svg = re.sub(r'(\bid="|href="#|url\(#)(?!panel:|keys:)', rf"\g<1>{name}-", svg)
    root = ElementTree.fromstring(svg)
    figure = next(element for element in root.iter(f"{{{SPACE}}}g") if element.get("id") == f"{name}-figure_1")
    shared = [element for element in root if element.tag == f"{{{SPACE}}}defs"]
    kinds = (PANEL,) if marks_of(svg)[0] else (PANEL, KEYS)  # a figure without marks needs its own keys
    made = []
    for group in figure:
        kind, colon, box = (group.get("id") or "").partition(":")
        if kind + colon not in kinds:
            continue
        del group.attrib["id"]
        width = float(box.split()[2])
        attributes = {"viewBox": box, "role": "img", "aria-label": caption}
        attributes["style"] = (
            f"max-width: {1.35 * width * PIXELS:.0f}px"  # more would make its text larger than the page's
        )
        element = ElementTree.Element(f"{{{SPACE}}}svg", attributes)
        element.extend([*([] if made else shared), group])  # clip paths are found by their ids in the whole page
        made.append(Panel(ElementTree.tostring(element, encoding="unicode"), round(width * PIXELS)))
    return made


def marks_of(svg: str) -> tuple[set[str], list[int]]:
    """Classes of the arms, and the k in ascending order, that a figure shows."""
    classes = {one for found in re.findall(r'<g class="([^"]*)"', svg) for one in found.split()}
    inner_dims = sorted(int(one.removeprefix("k-")) for one in classes if one.startswith("k-"))
    return {one for one in classes if one.startswith("arm-")}, inner_dims
