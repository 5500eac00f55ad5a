"""Run every comparison whose peer is here: `python tests/peers/agreement.py`.

Writes AGREEMENT.md and, between the MARKS of docs/agreement.md, the summary.
Rows of comparisons that could not run are kept as they stand in the file, so that one machine need not have all peers.
"""

from __future__ import annotations

import sys

import torch
from agreements import FOLDER, Agreement, PeerAbsent, everything, run

TABLE = FOLDER / "AGREEMENT.md"
PAGE = FOLDER.parent.parent / "docs" / "agreement.md"
MARKS = ("<!-- agreement.py: begin -->\n", "<!-- agreement.py: end -->\n")
TITLE = """# What we agree with

Made by `python tests/peers/agreement.py`; the README of this folder says how to get the peers.
Comparisons in float32 have tolerances of 1e-6 and more, those in float64 of 1e-12 and less.

"""
SUMMARY = """| peer | version | what was compared | largest difference | tolerance |
|---|---|---|---|---|
"""
DETAILS = """
## Each comparison

| peer | version | what was compared | on | largest difference | tolerance |
|---|---|---|---|---|---|
"""


def line(found: Agreement) -> str:
    """One row of the table."""
    cells = [found.peer, found.version, found.what, found.shape, f"{found.largest:.1e}" if found.largest else "0"]
    return "| " + " | ".join([*cells, f"{found.tolerance:.0e}" if found.tolerance else "equal"]) + " |"


def key(text: str) -> tuple[str, str, str]:
    """What a row is about: peer, what was compared, and the first word of what it was compared on."""
    cells = [cell.strip() for cell in text.split("|")]
    return cells[1], cells[3], cells[4].split(" ")[0]


def merged(old: list[str], new: list[str], complete: bool) -> list[str]:
    """The new rows and, where some comparison could not run, the old ones that none of them replaces; by peer."""
    replaced = {key(text) for text in new}
    rows = new if complete else new + [text for text in old if key(text) not in replaced]
    return sorted(rows, key=lambda text: key(text)[0].lower())


def summary(rows: list[str]) -> list[str]:
    """One row for all rows of a peer that are about one thing (`what` up to its colon) and have one tolerance."""
    groups: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for row in rows:
        peer, version, what, _, value, tolerance = (cell.strip() for cell in row.strip("|").split("|"))
        topic, _, item = what.partition(": ")
        groups.setdefault((peer, version, topic, tolerance), []).append((item, value))
    lines = []
    for (peer, version, topic, tolerance), members in groups.items():
        items = "; ".join(dict.fromkeys(item for item, _ in members if item))
        value = max((value for _, value in members), key=lambda text: (text == "nan", float(text)))
        lines.append(f"| {peer} | {version} | {topic}{': ' if items else ''}{items} | {value} | {tolerance} |")
    return lines


def between_marks(text: str, table: str) -> str:
    """A text with what stands between the two MARKS replaced; unchanged without them."""
    before, begin, rest = text.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    return before + begin + table + end + after if begin and end else text


def main() -> int:
    """0 when all that ran agree, 1 otherwise."""
    torch.set_num_threads(1)  # small tensors are faster on one
    found: list[Agreement] = []
    complete = True
    for function in everything():
        try:
            for one in run(function):
                print(line(one), "" if one.agrees else "  <-- DIFFERS", flush=True)
                found.append(one)
        except PeerAbsent as absent:
            print(f"not run: {function.__name__}: {absent}", flush=True)
            complete = False
    old = TABLE.read_text().partition(DETAILS)[2].splitlines() if TABLE.exists() else []
    rows = merged(old, [line(one) for one in found], complete)
    short = SUMMARY + "".join(row + "\n" for row in summary(rows))
    TABLE.write_text(TITLE + short + DETAILS + "".join(row + "\n" for row in rows))
    text = PAGE.read_text()
    if (new := between_marks(text, short)) != text:
        PAGE.write_text(new)
    return 0 if all(one.agrees for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
