"""Staleness: a change of code or configuration runs again what depends on it, and nothing else."""

import ast
import shutil
from pathlib import Path

import pytest
from toy_dag import ROOT, TOY, jobs, snakemake

CELLS = 4  # of the toy: two data sets, two arms
DOWNSTREAM = {"overhead": 2, "report": 1, "sync": 1, "all": 1}


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A copy of the code to change."""
    for name in ("mlet_bench", "workflow", "profiles"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def planned(finished: Path, checkout: Path) -> dict[str, int]:
    """The jobs that the changed code asks for on the finished results."""
    counts = jobs(snakemake(finished, "-n", snakefile=checkout / "Snakefile"))
    counts.pop("total", None)
    return counts


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{file} has {old!r} {text.count(old)} times"
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_unchanged_code_makes_nothing_stale(finished, checkout):
    assert planned(finished, checkout) == {}


def test_comments_docstrings_and_layout_make_nothing_stale(finished, checkout):
    for file in (checkout / "mlet_bench").rglob("*.py"):
        file.write_text("# A comment.\n\n" + ast.unparse(ast.parse(file.read_text())))
    assert planned(finished, checkout) == {}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("training/loss.py", ".div_(label.shape[1])", ".div_(1 * label.shape[1])"),
        ("kernels/kernels.cpp", "AHEAD = 16;", "AHEAD = 32;"),
    ],
)
def test_a_change_of_the_training_step_trains_again_and_prepares_nothing(finished, checkout, file, old, new):
    replace(checkout / "mlet_bench" / file, old, new)
    assert planned(finished, checkout) == DOWNSTREAM | {"cell": CELLS}


def test_a_change_of_the_preparation_runs_everything_after_it(finished, checkout):
    replace(checkout / "mlet_bench/data/split.py", "BLOCKS = 7", "BLOCKS = 8")
    assert planned(finished, checkout) == DOWNSTREAM | {"synthesize": 2, "prepare": 2, "cell": CELLS}


def test_a_change_of_the_report_trains_nothing(finished, checkout):
    replace(checkout / "mlet_bench/report/page.py", "WIDE = 40", "WIDE = 41")
    assert planned(finished, checkout) == {"report": 1, "all": 1}


def test_a_change_of_the_sync_syncs_alone(finished, checkout):
    replace(checkout / "mlet_bench/tracking/mapping.py", "LAYOUT = 6", "LAYOUT = 7")
    assert planned(finished, checkout) == {"sync": 1, "all": 1}


def test_the_glue_of_one_stage_is_nothing_to_another(finished, checkout):
    """cli.py serves every stage and decides no result; a command's own module decides that stage's alone."""
    replace(checkout / "mlet_bench/cli.py", "return 0\n", "return 0 * 1\n")
    assert planned(finished, checkout) == {}
    replace(checkout / "mlet_bench/report/command.py", "def run(arguments:", "def run(arguments, more=0):  #")
    assert planned(finished, checkout) == {"report": 1, "all": 1}


def test_a_change_of_one_data_set_runs_its_own_cells_alone(finished):
    config = TOY | {"datasets": TOY["datasets"] | {"avazu": {"source": "synthesize", "rows": 1500, "seed": 1}}}
    changed = jobs(snakemake(finished, "-n", config=config))
    assert changed["synthesize"] == changed["prepare"] == 1
    assert changed["cell"] == 2


TOY_METHOD = """
from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.single import SingleTables

@METHODS.add
class ToyTables(SingleTables):
    name = "toy"
"""
TOY_MODEL = """
from mlet_bench.models import MODELS
from mlet_bench.models.dlrm import DLRM

@MODELS.add
class ToyModel(DLRM):
    name = "toy"
"""


def test_a_method_an_arm_and_a_model_beside_them_make_no_run_stale(finished, checkout):
    package = checkout / "mlet_bench"
    (package / "embeddings/toy.py").write_text(TOY_METHOD)
    (package / "models/toy.py").write_text(TOY_MODEL)
    replace(package / "models/__init__.py", '"dlrm": "DLRM",', '"dlrm": "DLRM",\n    "toy": "Toy",')
    last = 'Arm("mlet-lr-tuned",'
    replace(package / "arms.py", last, f'Arm("toy", "toy", "a method of a reader"),\n    {last}')
    assert planned(finished, checkout) == {"report": 1, "all": 1}  # which says what the arms are for


def test_a_plugin_makes_no_run_stale(finished, tmp_path):
    (tmp_path / "mine.py").write_text(TOY_METHOD + TOY_MODEL)
    added = jobs(snakemake(finished, "-n", config=TOY | {"plugins": [str(tmp_path / "mine.py")]}))
    added.pop("total")
    assert added == {"config": 1, "report": 1, "sync": 1, "all": 1}


def test_a_change_of_a_metric_scores_again(finished, checkout):
    """Whether that trains again is the command's business: see ``tests/stages/test_cell.py``."""
    replace(
        checkout / "mlet_bench/evaluation/metrics.py",
        "probability.mean() / label.mean()",
        "probability.mean() / (1 * label.mean())",
    )
    assert planned(finished, checkout) == DOWNSTREAM | {"cell": CELLS}


def test_one_more_arm_trains_its_own_cells(finished):
    config = TOY | {"controls": {"enabled": True, "arms": ["single-lr-tuned"]}}
    added = jobs(snakemake(finished, "-n", config=config))
    assert added["cell"] == 2
    assert "prepare" not in added


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("runs/avazu/dlrm/mlet-d4-k8/seed1/spec.json", {"cell"}),
        ("runs/avazu/dlrm/mlet-d4-k8/seed1/deployed.json", {"cell"}),
        ("runs/avazu/dlrm/mlet-d4-k8/runs.json", {"cell"}),
        ("data/avazu/schema.json", {"prepare", "cell"}),
        ("raw/avazu.txt", {"synthesize", "prepare", "cell"}),
        ("overhead/avazu/dlrm.parquet", {"overhead"}),
    ],
)
def test_a_stage_that_failed_when_run_again_is_not_passed_over(finished, tmp_path, file, stages):
    """Its files are gone, those of later stages are still there."""
    path = finished / "results" / "toy" / file
    path.rename(tmp_path / "away")
    try:
        assert stages <= jobs(snakemake(finished, "-n")).keys()
    finally:
        (tmp_path / "away").rename(path)
