"""Words on a point, marks on a line, and figures as parts of pages."""

import io
from xml.etree import ElementTree

import matplotlib
import pandas as pd
import pytest
from matplotlib.figure import Figure

from mlet_bench.display import plots
from mlet_bench.display.svg import add_tip, marks_of, panels_of_page, place_panels, with_titles

SPACE = "{http://www.w3.org/2000/svg}"


def written(figure):
    file = io.StringIO()
    with matplotlib.rc_context(plots.STYLE):
        place_panels(figure)
        figure.savefig(file, format="svg")
    return with_titles(file.getvalue())


def svg(words, columns=1):
    figure = Figure()
    for ax in figure.subplots(1, columns, squeeze=False)[0]:
        ax.plot([0, 1], [0, 1])
        ax.set_title("Of a point")
        add_tip(ax, 0.5, 0.5, words)
    return written(figure)


@pytest.fixture(scope="module")
def lines():
    """Two lines of MLET and one of a single table, with a tip each, below a legend."""
    rows = [
        ("mlet", 4, 16),
        ("mlet", 8, 16),
        ("mlet", 4, 64),
        ("mlet", 8, 64),
        ("single", 4, None),
        ("single", 8, None),
    ]
    table = pd.DataFrame(rows, columns=["arm", "dim", "inner_dim"]).astype({"inner_dim": "Int64"})
    figure, axes = plots.grid(1, 2, "d", "AUC", 2.0)
    for ax in axes[0]:
        for arm, inner_dim, line, _ in plots.each_line(ax, table):
            ax.plot(line["dim"], line["dim"], **plots.line_style(arm, inner_dim, [16, 64]))
            ax.errorbar(line["dim"], line["dim"], yerr=1.0, fmt="none")
            add_tip(ax, 4, 4, f"{arm} of {inner_dim}")
    plots.legend(figure, table)
    return written(figure)


def test_the_words_are_the_title_of_the_points_group_and_nothing_else():
    words = 'C1 <script> & "k" = 4: 50%'
    groups = [group for group in ElementTree.fromstring(svg(words)).iter(f"{SPACE}g") if group.get("class") == "tip"]
    (title,) = [title.text for group in groups for title in group.findall(f"{SPACE}title")]
    assert title == words
    assert groups[0].find(f".//{SPACE}use") is not None  # something to point at


def test_a_tip_moves_no_axis_and_enters_no_legend():
    ax = Figure().subplots()
    ax.plot([0, 1], [0, 1], label="line")
    before = ax.get_xlim(), ax.get_ylim()
    add_tip(ax, 5.0, 5.0, "far away")
    assert (ax.get_xlim(), ax.get_ylim()) == before
    assert ax.get_legend_handles_labels()[1] == ["line"]


def test_text_is_text():
    (panel,) = panels_of_page(svg("point"), "one", "a caption")
    assert "Of a point" in [text.text for text in ElementTree.fromstring(panel.svg).iter(f"{SPACE}text")]


def test_panels_stand_apart_and_share_no_id():
    panels = [panel for name in ("one", "two") for panel in panels_of_page(svg("point", 2), name, 'a "caption"')]
    elements = [ElementTree.fromstring(panel.svg) for panel in panels]
    assert len(elements) == 4 and all(element.get("aria-label") == 'a "caption"' for element in elements)
    ids = [element.get("id") for root in elements for element in root.iter() if element.get("id")]
    links = [value for root in elements for e in root.iter() for name, value in e.items() if name.endswith("href")]
    assert ids and len(ids) == len(set(ids))
    assert links and {link[1:] for link in links} <= set(ids)  # of another panel too: a page has them all
    boxes = [[float(number) for number in element.get("viewBox").split()] for element in elements[:2]]
    assert boxes[0][0] + boxes[0][2] < boxes[1][0] + 15  # side by side, but for the labels' margin
    assert panels[0].width == round(boxes[0][2] * 96 / 72)


def test_all_that_is_drawn_of_a_line_bears_its_arm_and_k(lines):
    root = ElementTree.fromstring(lines)
    marked = [group.get("class").removeprefix("tip ") for group in root.iter(f"{SPACE}g") if group.get("class")]
    # A line, its error bars and its tip, in each of two panels.
    assert sorted(set(marked)) == ["arm-mlet k-16", "arm-mlet k-64", "arm-single"]
    assert {marked.count(of) for of in set(marked)} == {6}
    assert marks_of(lines) == ({"arm-mlet", "arm-single"}, [16, 64])


def test_the_legend_of_arms_is_left_to_the_page(lines):
    panels = panels_of_page(lines, "one", "")
    assert len(panels) == 2 and not any(">mlet<" in panel.svg for panel in panels)
    assert ">mlet<" in lines  # for print


def test_keys_stand_in_a_fixed_order_with_the_lines_colours():
    keys = plots.keys_of({"arm-single-lr", "arm-single", "arm-of-a-plugin"}, [16, 64])
    assert [key.label for key in keys] == ["single", "single-lr", "of-a-plugin", "k = 16", "k = 64"]
    assert keys[0].color == plots.look_of("single").color and keys[0].meaning
    assert [key.marker for key in keys[3:]] == ["●", "■"]


def test_more_columns_than_a_page_holds_stand_below_each_other():
    figure, axes = plots.grid(2, 18, "d", ["AUC", "LogLoss"], 2.6)
    assert axes.shape == (2, 18) and figure.get_figwidth() <= plots.WIDEST
    place = {ax.get_subplotspec().get_geometry()[2] for ax in axes.ravel()}
    assert len(place) == 36
    assert {ax.get_ylabel() for ax in axes[1]} == {"LogLoss"} and {ax.get_xlabel() for ax in axes[0]} == {"d"}


def test_columns_are_spread_evenly_where_they_do_not_fit_beside_each_other():
    _, axes = plots.grid(2, 4, "d", "AUC", 2.6, 4.2)
    assert {ax.get_subplotspec().get_geometry()[:2] for ax in axes.ravel()} == {(4, 2)}


@pytest.mark.parametrize(
    ("ends", "shown"),
    [((0.3, 1.5), ["0.5", "1"]), ((0.006, 0.6), ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5"]),
     ((0.001, 9e3), ["0.001", "0.01", "0.1", "1", "10", "100", "1000"])],
)  # fmt: skip
def test_ticks_of_sizes_are_round_and_written_out(ends, shown):
    figure = Figure()
    ax = figure.add_subplot(xlim=ends)
    plots.ticks_of_size(ax)
    figure.draw_without_rendering()
    low, high = ax.get_xlim()
    written = [tick.get_text() for tick in ax.get_xticklabels() if low <= tick.get_position()[0] <= high]
    assert written == shown and not any(tick.get_text() for tick in ax.get_xticklabels(minor=True))
