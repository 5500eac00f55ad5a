"""Words on a point, and SVGs as parts of a page."""

import io
from xml.etree import ElementTree

from matplotlib.figure import Figure

from mlet_bench.display.svg import add_tip, inlined, with_titles

SPACE = "{http://www.w3.org/2000/svg}"


def svg(words):
    figure = Figure()
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1])
    add_tip(ax, 0.5, 0.5, words)
    file = io.StringIO()
    figure.savefig(file, format="svg")
    return with_titles(file.getvalue())


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


def test_two_figures_of_a_page_share_no_id():
    one, two = (inlined(svg("point"), name, "a caption") for name in ("one", "two"))
    ids = [{element.get("id") for element in ElementTree.fromstring(part).iter()} - {None} for part in (one, two)]
    assert ids[0] and not ids[0] & ids[1]
    assert one.startswith('<svg role="img" aria-label="a caption"') and "metadata" not in one
    links = [value for e in ElementTree.fromstring(one).iter() for name, value in e.items() if name.endswith("href")]
    assert links and {link[1:] for link in links} <= ids[0]
