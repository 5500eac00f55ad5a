"""Text files are UTF-8 in any locale: each is opened with an encoding. Ruff sees those whose type it knows."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
READERS = {"read_text": 0, "write_text": 1}  # how many arguments stand before the encoding
FILES = sorted(path for folder in ("mlet_bench", "benchmarks", "docs") for path in (ROOT / folder).rglob("*.py"))


def without_encoding(source: str) -> list[str]:
    """The calls that open text, or start a program and read text, in the locale's encoding."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if "encoding" in given or (name in READERS and len(node.args) > READERS[name]):
            continue
        mode = given.get("mode", node.args[1] if len(node.args) > 1 else None)
        opens = isinstance(node.func, ast.Name) and name == "open" and (mode is None or "b" not in ast.unparse(mode))
        program = "True" in (ast.unparse(given[word]) for word in ("text", "universal_newlines") if word in given)
        if name in READERS or opens or program:
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_text_file_has_an_encoding(path):
    assert without_encoding(path.read_text(encoding="utf-8")) == []


def test_the_search_finds_what_it_is_for():
    bad = "open(p)\nopen(p, 'w')\np.read_text()\np.write_text(t)\nsubprocess.run(w, text=True)\n"
    good = "open(p, 'rb')\nopen(p, encoding='utf-8')\np.read_text('utf-8')\np.write_text(t, 'utf-8')\nos.open(p, 0)\n"
    assert len(without_encoding(bad)) == 5 and without_encoding(good) == []
