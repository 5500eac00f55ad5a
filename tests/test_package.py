"""What the whole package promises: light imports, an environment in step, help with examples."""

import ast
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fake_results import make_results, small_config

from mlet_bench import cli

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mlet_bench"
COMMANDS = [
    *("download", "synthesize", "prepare", "train", "deploy", "evaluate", "spectrum", "verify", "cell"),
    *("formats", "overhead", "plan", "report", "status", "sync", "restore"),
]
HEAVY = (
    "torch",
    "numpy",
    "pandas",
    "pyarrow",
    "polars",
    "matplotlib",
    "mlflow",
    "jsonschema",
    "jinja2",
    "huggingface_hub",
)


def test_nothing_above_a_registry_knows_a_member_by_name():
    """But for the two arms that the papers compare, and what a baseline or a linear part is made of."""
    from mlet_bench.data import DATASETS
    from mlet_bench.models import MODELS

    members = {*DATASETS.modules(), *MODELS.modules()}
    for file in PACKAGE.rglob("*.py"):
        imported = {node.module for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)}
        assert not imported & members, file.relative_to(ROOT)


def test_only_tracking_knows_mlflow_and_nothing_knows_snakemake():
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text()
        assert "snakemake" not in {
            line.split()[1] for line in text.splitlines() if line.startswith(("import ", "from "))
        }
        uses = any(line.strip().startswith(("import mlflow", "from mlflow")) for line in text.splitlines())
        assert file.parent.name == "tracking" or not uses, file


def test_training_needs_the_small_set_of_packages_alone():
    """GPU hosts often come with a fixed image: no snakemake, mlflow, polars, jsonschema, matplotlib needed.

    ``test_cli`` runs these commands without them.
    """
    code = """
import sys
ABSENT = {"mlflow", "snakemake", "polars", "jsonschema", "matplotlib", "kagglehub", "huggingface_hub"}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
for name in ("torch", "pandas"):
    __import__(name)
from importlib import import_module
import mlet_bench.cli
for stage in ("train", "deploy", "evaluate", "spectrum", "verify", "cell", "overhead"):
    import_module(f"mlet_bench.stages.{stage}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def loaded_by(code: str) -> set[str]:
    """Which of the heavy packages are imported once some code has run."""
    code = f"import sys\n{code}\nprint('loaded', *(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


def run(*words) -> str:
    return f"""
from mlet_bench.cli import main
try:
    assert main({[str(word) for word in words]}) == 0
except SystemExit as end:
    assert not end.code
"""


def test_importing_the_package_imports_nothing_heavy():
    assert loaded_by("import mlet_bench, mlet_bench.cli, mlet_bench.arms, mlet_bench.spec, mlet_bench.plugins") == set()
    assert "torch" not in loaded_by("import mlet_bench.config, mlet_bench.tracking, mlet_bench.report, mlet_bench.runs")


def test_help_imports_nothing_heavy():
    assert loaded_by(run("--help")) == set()
    for command in ("download", "synthesize", "prepare", "report"):
        assert loaded_by(run(command, "--help")) == set(), command
    for command in ("sync", "restore"):
        assert loaded_by(run(command, "--help")) <= {"numpy", "pyarrow"}, command


def test_report_and_sync_do_not_import_torch(tmp_path):
    results = make_results(tmp_path, small_config(seeds=[0]))
    assert "torch" not in loaded_by(run("report", results))
    pytest.importorskip("mlflow", reason="MLflow comes with the 'workflow' extra")
    assert "torch" not in loaded_by(run("sync", results))


def test_making_a_model_imports_nothing_that_is_slow():
    """torch imports sympy where it first meets a shape without values: half a second for each command of a stage."""
    code = """
import sys, torch
from mlet_bench.embeddings.draw import Draws
from mlet_bench.models.mlp import MLP
before = torch.get_rng_state()
MLP([4, 3, 2], Draws(0), last_relu=True)
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
        if requirement.name == "triton":  # left to the build of torch, which may need a version of its own
            continue
        assert requirement.specifier.contains(pinned[requirement.name]), line


def test_every_command_is_tested():
    assert sorted(cli.COMMANDS) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_shows_an_example_that_parses(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    example = capsys.readouterr().out.split("example:\n")[1].strip()
    words = shlex.split(example)
    assert words[:2] == ["mlet-bench", command]
    cli.build_parser(command).parse_args(words[1:])


def test_the_package_says_that_it_is_typed():
    """PEP 561: without the mark type checkers ignore the package's annotations."""
    assert (PACKAGE / "py.typed").is_file()
    assert "py.typed" in (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
