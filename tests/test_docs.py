"""The documentation holds: the README stays short, links lead somewhere, code and commands in it work."""

import json
import random
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import yaml
from fake_results import make_results, small_config
from staged import call

from mlet_bench.arms import ARMS
from mlet_bench.claims import CLAIMS
from mlet_bench.cli import build_parser
from mlet_bench.data import DATASETS
from mlet_bench.embeddings import METHODS
from mlet_bench.evaluation.metrics import METRICS
from mlet_bench.models import MODELS
from mlet_bench.plugins import load_plugins
from mlet_bench.report import FIGURES
from mlet_bench.report.page import write_report

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "DATA_LICENSES.md", "results/README.md")
]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```(\w*)(?: title=\"([\w.]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[tuple[str, str]]:
    """The fenced blocks of a page in one language: title and text."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(title, text) for other, title, text in found if other == language]


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readme_has_at_most_1200_words():
    """Everything between two blanks counts, the cells of tables and the words of code blocks too."""
    assert len((ROOT / "README.md").read_text().split()) <= 1200


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", page.read_text())):
        path, _, anchor = target.partition("#")
        if re.match(r"https?://", target) or path.startswith("../../actions/"):  # of the repository's own CI
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} of {page}"
        assert not anchor or anchor in anchors(file), f"{target} of {page}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page):
    text = page.read_text()
    if page.name == "CHANGELOG.md":  # says what was, too
        return
    for name in re.findall(r"`((?:mlet_bench|benchmarks|tests|workflow|profiles|docs|examples)/[\w./-]*)`", text):
        assert (ROOT / name).exists(), f"{name} of {page}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_are_those_of_the_command_line(page):
    for _, text in blocks(page, ""):
        for line in re.sub(r"\\\n", " ", text).splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["mlet-bench"]:
                build_parser(words[1]).parse_args(words[1:])


def test_the_readme_s_code_runs():
    ((_, code),) = blocks(ROOT / "README.md", "python")
    toy = """
import torch
class MyModel(torch.nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.table = torch.nn.Embedding(50, dim)
"""
    made: dict = {}
    exec(toy + code, made)
    assert made["model"].state_dict().keys() == {"table.weight"} and made["model"].table.weight.shape == (50, 4)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A prepared data set of 600 planted rows."""
    folder = tmp_path_factory.mktemp("extending")
    assert call("synthesize", "criteo-kaggle", "--rows", 600, "--out", folder / "raw.txt") == 0
    assert call("prepare", "criteo-kaggle", "--raw", folder / "raw.txt", "--out", folder / "data") == 0
    return folder / "data"


@pytest.fixture
def plugin(tmp_path):
    """Write a titled block of docs/extending.md as the file that its title names; what it registers is forgotten."""
    registries = (ARMS, CLAIMS, DATASETS, FIGURES, METHODS, METRICS, MODELS)
    known = {registry.kind: set(registry) for registry in registries}
    written = []

    def write(title: str) -> Path:
        (code,) = (text for found, text in blocks(ROOT / "docs" / "extending.md", "python") if found == title)
        (tmp_path / title).write_text(code)
        written.append(title.removesuffix(".py"))
        return tmp_path / title

    yield write
    for registry in registries:
        for name in set(registry) - known[registry.kind]:
            registry.remove(name)
    for name in written:
        sys.modules.pop(name, None)


def test_the_method_of_the_page_goes_from_training_to_scores(data, plugin, tmp_path, capsys):
    added = ("--plugin", plugin("halves.py"))
    settings = ("--data", data, "--dim", 4, "--seed", 0, "--batch-size", 32, "--device", "cpu")
    assert call("train", *settings, "--arm", "single", "--out", tmp_path / "single") == 0
    assert call("train", *added, *settings, "--arm", "halves-8", "--out", tmp_path / "halves") == 0
    for run in ("single", "halves"):
        assert call("deploy", *added, tmp_path / run) == 0
        assert call("evaluate", *added, tmp_path / run, "--device", "cpu") == 0
    assert capsys.readouterr().out.count("test auc") == 2
    sizes = {run: json.loads((tmp_path / run / "metrics.json").read_text())["bytes"] for run in ("single", "halves")}
    assert sizes["halves"]["deployed_tables"] < sizes["single"]["deployed_tables"]


def test_the_method_of_the_page_is_what_its_formula_says(plugin):
    load_plugins([str(plugin("halves.py"))])
    sizes, c = (1000, 5, 300), 16
    tables = METHODS["halves"](sizes, 4, c=c)
    tables.reset_parameters(seed=0)
    assert tables.stored == (63 + 16, 10, 19 + 16)
    assert tables.slots(torch.tensor([[999, 4, 299]])).shape == (3, 1, tables.num_slots)
    for field, n in enumerate(sizes):
        rows, ids = tables.field_rows(field), torch.arange(n)
        by_hand = rows.view(5, 4) if n == 5 else torch.cat([rows[ids // c], rows[-(-n // c) + ids % c]], 1)
        assert torch.equal(tables.table(field), by_hand)
    again = METHODS["halves"](sizes, 4, **tables.options())
    again.load_state_dict(tables.state_dict(), strict=True)
    assert again.training_bytes() == 4 * 2 * sum(tables.stored)


def test_the_model_and_the_metric_of_the_page_are_trained_and_scored(data, plugin, tmp_path):
    added = ("--plugin", plugin("mean_model.py"), "--plugin", plugin("brier.py"))
    settings = ("--model", "mean", "--hidden", 8, "--arm", "mlet", "--dim", 4, "--inner-dim", 8, "--batch-size", 32)
    assert call("train", *added, "--data", data, *settings, "--device", "cpu", "--out", tmp_path / "run") == 0
    assert call("deploy", *added, tmp_path / "run") == 0
    assert call("evaluate", *added, tmp_path / "run", "--device", "cpu") == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert 0 < metrics["test"]["brier"] < 1 and metrics["test"]["auc"] != 0.5
    assert json.loads((tmp_path / "run" / "spec.json").read_text())["hyper"] == {"hidden": [8]}


def test_the_data_set_of_the_page_is_prepared_and_its_faults_are_named(plugin, tmp_path, capsys):
    rng = random.Random(0)
    films = ["", "ran", "alien"]
    rows = [(int(rng.random() < 0.3), rng.randrange(50), rng.choice(films), rng.randrange(900)) for _ in range(800)]
    lines = ["clicked,user,film,seconds", *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "clicks.csv").write_text("\n".join(lines) + "\n")
    words = ("prepare", "films", "--plugin", plugin("films.py"), "--raw", tmp_path / "clicks.csv")
    assert call(*words, "--out", tmp_path / "data") == 0
    schema = json.loads((tmp_path / "data" / "schema.json").read_text())
    assert [(field["name"], field["size"]) for field in schema["fields"]] == [("user", 50), ("film", 3)]
    assert sum(schema["clicks"].values()) == sum(label for label, *_ in rows)
    lines[4] = "1,who,alien,3"
    (tmp_path / "clicks.csv").write_text("\n".join(lines) + "\n")
    assert call(*words, "--out", tmp_path / "again") == 2
    assert "line 5" in (said := capsys.readouterr().err) and "user" in said


def test_the_claim_and_the_figure_of_the_page_are_in_the_report(plugin, tmp_path):
    load_plugins([str(plugin("never_worse.py")), str(plugin("training_bytes.py"))])
    config = small_config(datasets={"avazu": {"source": "download"}}, inner_dims=[64], seeds=[0, 1, 2, 3, 4])
    results = make_results(tmp_path, config, planted=None, full=True)
    write_report(results)
    claims = (results / "claims.md").read_text()
    own = claims.partition("MLET is never worse")[2].partition("\n## ")[0]
    assert "reproduced" in own and "On average over d, MLET's AUC is less than 0.001 below" in own
    assert (results / "figures" / "training_bytes.svg").is_file()
    assert "Quality over bytes while training" in (results / "report.html").read_text()


def test_the_page_on_agreement_is_that_of_the_comparisons():
    table = (ROOT / "tests/peers/AGREEMENT.md").read_text().partition("\n\n|")[2].partition("\n## ")[0].strip()
    page = (ROOT / "docs/agreement.md").read_text()
    assert page.partition("begin -->\n|")[2].partition("<!-- agreement.py: end")[0].strip() == table


def test_the_notebook_has_no_outputs_and_runs():
    path = ROOT / "examples" / "quickstart.ipynb"
    assert path.stat().st_size < 100_000
    for cell in json.loads(path.read_text())["cells"]:
        assert not cell.get("outputs") and not cell.get("execution_count"), "strip the notebook's outputs"
    nbformat, nbclient = (pytest.importorskip(name) for name in ("nbformat", "nbclient"))
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(path, 4)
    nbclient.NotebookClient(notebook, timeout=300).execute()
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert "28,009 parameters to deploy" in printed and "test auc" in printed


def test_the_site_is_built(tmp_path):
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = "".join(path.read_text() for path in (tmp_path / "site").rglob("*.html"))
    assert "fonts.googleapis" not in pages and "factorize" in pages


def test_the_pythons_that_ci_tests_are_those_that_the_package_names():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    names = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    versions = [name.split(" :: ")[-1] for name in names if name.startswith("Programming Language")]
    assert jobs["test"]["strategy"]["matrix"]["python"] == versions
    assert {"lint", "docs", "notebook", "smoke"} < set(jobs)
    assert (
        all(version.replace(".", "") for version in versions)
        and ", ".join(versions) in (ROOT / "README.md").read_text()
    )


def test_the_lock_pins_what_the_site_needs():
    pinned = (ROOT / "requirements.lock").read_text()
    assert "mkdocs-material==" in pinned and "mkdocstrings-python==" in pinned
