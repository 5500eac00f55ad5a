"""What the whole package promises: light imports, no upward imports, an environment in step, help with examples."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mlet_bench.cli import build_parser, main

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mlet_bench"
# Lowest floor first; a module may import from its own floor and from those below it.
FLOORS = [
    {
        "errors",
        "version",
        "files",
        "parquet",
        "owned",
        "spec",
        "device",
        "gpus",
        "provenance",
        "config",
        "lineage",
        "stopping",
        "failures",
        "kernels",
    },
    {"data", "embeddings"},
    {"models"},
    {"evaluation"},
    {"training"},
    {"analysis"},
    {"reporting", "stages", "tracking", "bench"},
    {"cli"},
    {"__main__"},
]
COMMANDS = [
    "download",
    "synthesize",
    "prepare",
    "train",
    "collapse",
    "evaluate",
    "compare",
    "spectrum",
    "verify",
    "overhead",
    "bench",
    "report",
    "sync",
    "restore",
]


def imports_of(file: Path) -> set[str]:
    """The parts of the package that a file imports, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom):
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("mlet_bench.")}
    return found


def test_nothing_imports_upward():
    floor = {part: number for number, parts in enumerate(FLOORS) for part in parts}
    for file in PACKAGE.rglob("*.py"):
        part = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        above = {other for other in imports_of(file) if floor[other] > floor[part]}
        assert not above, f"{file.relative_to(ROOT)} imports {above}"


def test_only_tracking_knows_mlflow_and_nothing_knows_snakemake():
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text()
        assert "snakemake" not in {
            line.split()[1] for line in text.splitlines() if line.startswith(("import ", "from "))
        }
        uses = any(line.strip().startswith(("import mlflow", "from mlflow")) for line in text.splitlines())
        assert file.parent.name == "tracking" or not uses, file


def test_training_needs_the_small_set_of_packages_alone():
    """GPU hosts often come with a fixed image: no snakemake, mlflow, polars, jsonschema, matplotlib needed."""
    code = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"mlflow", "snakemake", "polars", "jsonschema", "matplotlib", "requests", "filelock"}:
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
for name in ("torch", "pandas"):
    __import__(name)
import mlet_bench.stages, mlet_bench.cli
"""
    # torch itself imports filelock lazily: only our own imports are looked at here.
    code = code.replace('"requests", "filelock"', '"requests"')
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_does_not_import_torch():
    code = "import sys, mlet_bench, mlet_bench.cli, mlet_bench.config; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_making_a_model_imports_nothing_that_is_slow():
    """torch imports sympy where it first meets a shape without values: half a second for each command of a stage."""
    code = """
import sys, torch
from mlet_bench.models.mlp import MLP
before = torch.get_rng_state()
MLP([4, 3, 2], torch.Generator().manual_seed(0), last_relu=True)
print("sympy" in sys.modules, torch.equal(before, torch.get_rng_state()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_conda_environment_is_the_lock_and_this_package():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = environment["dependencies"][-1]["pip"]
    assert pip == ["-r requirements.lock", "-e .[workflow,test]"]
    assert environment["dependencies"][0] == "python=3.11"


def test_lock_pins_every_requirement_and_names_no_address():
    import tomllib

    from packaging.requirements import Requirement

    lines = (ROOT / "requirements.lock").read_text().split()
    pinned = dict(line.split("==") for line in lines)
    assert not any(sign in line for line in lines for sign in ("://", "@", "+"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for line in project["dependencies"] + extras["workflow"] + extras["test"]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(pinned[requirement.name]), line


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_shows_an_example_that_parses(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    example = capsys.readouterr().out.split("example:\n")[1].strip()
    words = example.split()
    assert words[:2] == ["mlet-bench", command]
    build_parser().parse_args(words[1:])
