"""What a stage reaches by name holds everything that it executes: compared with what really runs."""

import inspect
import sys

import pytest
from fake_results import make_results

from mlet_bench import lineage
from mlet_bench.arms import ARMS, BASELINE, TREATED
from mlet_bench.claims import CLAIMS
from mlet_bench.cli import main
from mlet_bench.data import DATASETS
from mlet_bench.embeddings import METHODS
from mlet_bench.errors import BenchError
from mlet_bench.models import MODELS
from mlet_bench.report import FIGURES
from mlet_bench.stages import code

HERE = str(lineage.PACKAGE)


def executed(*words) -> set[tuple[str, str]]:
    """(module, top-level definition) of every function of the package that a command calls."""
    called = set()

    def note(frame, event, _):
        if frame.f_code.co_filename.startswith(HERE) and frame.f_code.co_filename.endswith(".py"):
            called.add((frame.f_globals["__name__"], frame.f_code))

    sys.settrace(note)  # told of calls alone: it returns no tracer for the lines
    try:
        code = main([str(word) for word in words])
    finally:
        sys.settrace(None)
    assert code == 0
    found = set()
    for module, function in called:
        name = function.co_qualname.partition(".")[0]
        # Not the bodies of modules and classes: they run where a module is first imported, whoever needs it.
        if function.co_flags & inspect.CO_OPTIMIZED and not name.startswith("<"):
            found.add((module, name))
    return found


# What parses the words, prints the error and notes the origin decides no result.
FRAME = {
    *("main", "build_parser", "_plugins", "_check_command", "_plugin_option"),
    *("load_plugins", "add_options", "run_options", "count", "positive", "finite", "_whole", "_factor"),
    *("recipe_options", "hyper_options", "device_options", "formats_option", "_every_option", "device_label"),
    *("stop_at_once", "_heard_by"),  # around every command
    *("Registry", "_place"),  # looks members up, which are named as further entries
    *("code_of", "code_digests", "reached", "Module"),  # lineage itself
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> dict[str, set[tuple[str, str]]]:
    """Command → what it executed, once through all the stages."""
    place = tmp_path_factory.mktemp("lineage")
    raw, data, run, tuned = (place / name for name in ("raw.csv", "data", "run", "tuned"))
    train = ("train", "--data", data, "--dim", 4, "--device", "cpu", "--authors-selection", "--lr", 0.01)
    results = make_results(place)
    return {
        "synthesize": executed("synthesize", "avazu", "--rows", 600, "--out", raw)
        | executed("synthesize", "criteo-kaggle", "--rows", 600, "--out", place / "raw.txt"),
        "prepare": executed("prepare", "criteo-kaggle", "--raw", place / "raw.txt", "--out", place / "criteo")
        | executed("prepare", "avazu", "--raw", raw, "--out", data),
        "train": executed(
            *train, "--arm", "mlet", "--inner-dim", 8, "--out", run, "--optimizer", "adagrad", "--lr", 0.01
        )
        | executed(*train, "--arm", "single-lr-tuned", "--embedding-lr-factors", 1, 2, "--out", tuned),
        "deploy": executed("deploy", run, tuned),
        "evaluate": executed("evaluate", run, tuned),
        "cell": executed(
            *("cell", *train[1:], "--arm", "mlet", "--inner-dim", 8, "--out", place / "cell"),
            *("--index", place / "runs.json"),
        ),
        "spectrum": executed("spectrum", run, tuned),
        "overhead": executed(
            *("overhead", "--data", data, "--dims", 4, "--inner-dims", 8, "--pairs", 2, "--steps", 1),
            *("--out", place / "overhead.parquet"),
        ),
        "report": executed("report", results),
        "sync": executed("sync", results),
    }


TIMED = (BASELINE, TREATED)
MODULES = {"report": "report.command", "sync": "tracking.sync_command"}


def entries(command: str) -> list[str]:
    """What a command's code begins with, as the rules of the DAG name it."""
    module, found = f"mlet_bench.{MODULES.get(command, f'stages.{command}')}", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code, "code_digests", lambda entries: found.extend(entries) or [])
        match command:
            case "synthesize" | "prepare":
                code.code_of(module, more=[DATASETS.module_of(name) for name in DATASETS])
            case "train" | "deploy" | "evaluate" | "spectrum" | "cell":
                for arm in ("mlet", "single-lr-tuned"):
                    code.code_of(module, arm, "dlrm")
            case "overhead":
                code.code_of(module, model="dlrm", more=[METHODS.module_of(ARMS[arm].method) for arm in TIMED])
            case "report":
                code.code_of(module, more=[*CLAIMS.modules(), *FIGURES.modules()], metrics=True)
            case _:
                code.code_of(module)
    return found


COMMANDS = ("synthesize", "prepare", "train", "deploy", "evaluate", "spectrum", "cell", "overhead")


@pytest.mark.parametrize("command", (*COMMANDS, "report", "sync"))
def test_everything_executed_is_reached(ran, command):
    reached = lineage.reached(entries(command))
    missed = {
        (module, name)
        for module, name in ran[command]
        if name not in reached.get(module, ()) and module not in lineage.SKIPPED and name not in FRAME
    }
    assert not missed
    assert len(ran[command]) > 5  # the tracing saw something


def test_stages_do_not_reach_each_other():
    reached = lineage.reached(entries("train"))
    assert {"train_together", "epoch_order"} <= reached["mlet_bench.training.loop"]
    assert "train_runs" in reached["mlet_bench.stages.train"] and "mlet_bench.stages.evaluate" not in reached
    above = {"report", "statistics", "claims", "tables", "tracking", "display"}
    higher = {module for module in reached if module.count(".") > 1 and module.split(".")[1] in above}
    assert higher == {"mlet_bench.statistics.labels"}  # which metrics check their rows with
    assert not [module for module in lineage.reached(entries("report")) if module.startswith("mlet_bench.training")]


def test_a_run_reaches_its_own_method_alone():
    """A registry leads to none of its members, so that one that is added changes no run of the others."""
    reached = lineage.reached(["mlet_bench.stages.cell:run", "mlet_bench.embeddings.single"])
    assert "mlet_bench.embeddings.single" in reached
    for others in (MODELS.modules(), [module for module in METHODS.modules() if not module.endswith(".single")]):
        assert not set(others) & reached.keys()
    assert not set(DATASETS.modules()) & reached.keys()


def test_a_digest_a_module_and_an_unknown_entry():
    digests = lineage.code_digests(entries("train"))
    assert len({line.split()[0] for line in digests}) == len(digests) > 10
    with pytest.raises(BenchError, match=r"mlet_bench\.cli:nothing is no function of the package"):
        lineage.reached(["mlet_bench.cli:nothing"])


def test_what_a_module_defines_and_leads_to(tmp_path, monkeypatch):
    """By hand: a function, a table of functions, a lazy import, a call at import, and what none of them reaches."""
    package = tmp_path / "toy"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "start.py").write_text(
        "from toy.tables import TABLE\nfrom toy import whole\nimport os\n\n"
        "def begin():\n    from toy.late import helper\n    return TABLE, whole.anything, os\n\ndef other(): pass\n"
    )
    (package / "tables.py").write_text("def used(): pass\ndef unused(): pass\nTABLE = {'a': used}\nTABLE['b'] = 1\n")
    (package / "late.py").write_text("def helper(): pass\ndef noted(): pass\nnoted()\n")
    (package / "whole.py").write_text("def anything(): pass\ndef more(): pass\n")
    monkeypatch.setattr(lineage, "PACKAGE", package)
    assert lineage.reached(["toy.start:begin"]) == {
        "toy.start": {"begin"},
        "toy.tables": {"TABLE", "used"},
        "toy.late": {"helper", "noted"},
        "toy.whole": {"anything", "more"},
        "toy": set(),
    }


def test_a_file_that_a_module_names_counts_with_its_content(tmp_path, monkeypatch):
    package = tmp_path / "other"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "build.py").write_text("SOURCE = 'code.cpp'\ndef begin(): return SOURCE\ndef other(): pass\n")
    monkeypatch.setattr(lineage, "PACKAGE", package)
    for name in ("_code_digests", "_other_files"):  # nothing is remembered
        monkeypatch.setattr(lineage, name, getattr(lineage, name).__wrapped__)
    (package / "templates").mkdir()
    digests, including = [], '{% include "style.css" %}'
    files = [("code.cpp", "1"), ("code.cpp", "2"), ("notes.txt", "3")]
    files += [("code.cpp", including), ("templates/style.css", "4"), ("templates/style.css", "5")]
    for name, content in files:
        (package / name).write_text(content)
        digests.append([lineage.code_digests([f"other.build:{entry}"]) for entry in ("begin", "other")])
    assert digests[0][0] != digests[1][0] == digests[2][0]
    assert digests[3][0] != digests[4][0] != digests[5][0]  # named by a file that is named
    assert len({tuple(of_other) for _, of_other in digests}) == 1


def test_the_report_depends_on_its_templates():
    module = lineage._module("mlet_bench.report.page")
    parts = [part for parts in module.definitions.values() for part in parts]
    folder = lineage.PACKAGE / "report" / "templates"
    found = lineage._files_beside("mlet_bench.report.page", parts)
    assert set(found) == {file.read_text() for file in folder.iterdir()}


def test_a_training_depends_on_the_kernels():
    reached = lineage.reached(entries("train"))
    assert "SOURCES" in reached["mlet_bench.kernels.build"]
    assert {"update_kernel", "rows_of"} <= {name for names in reached.values() for name in names}
    assert not [module for module in lineage.reached(entries("prepare")) if "kernels" in module]
