"""What a release says of itself agrees wherever it is said."""

import re
import tomllib
from pathlib import Path

import yaml

from mlet_bench.version import __version__

ROOT = Path(__file__).parents[1]


def citation():
    return yaml.safe_load((ROOT / "CITATION.cff").read_text())


def test_one_version_everywhere():
    text = (ROOT / "CHANGELOG.md").read_text()
    newest = re.search(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$", text, re.MULTILINE)
    assert newest[1] == __version__ == citation()["version"]
    assert newest[2] == citation()["date-released"]


def test_one_licence_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == citation()["license"] == "Apache-2.0"
    assert "Apache License\n                           Version 2.0" in (ROOT / "LICENSE").read_text()


def test_the_citation_has_what_its_format_requires():
    content = citation()
    assert content["cff-version"] == "1.2.0"
    assert all(content[key] for key in ("message", "title", "authors"))
    paper = content["preferred-citation"]
    assert paper["url"].endswith("2006.05623")
    assert len(paper["authors"]) == 7
    assert all(author["family-names"] and author["given-names"] for author in paper["authors"])
