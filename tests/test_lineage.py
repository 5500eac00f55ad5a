"""What a stage reaches by name holds everything that it executes: compared with what really runs."""

import inspect
import sys

import pytest
from fake_results import make_results

from mlet_bench import lineage
from mlet_bench.cli import main
from mlet_bench.errors import BenchError

HERE = str(lineage.PACKAGE)


def executed(*words) -> set[tuple[str, str]]:
    """(module, top-level definition) of every function of the package that a command calls."""
    called = set()

    def note(frame, event, _):
        if frame.f_code.co_filename.startswith(HERE):
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
    *("main", "build_parser", "_command", "_run_options", "_training_options", "_device_options", "device_label"),
    *("stop_at_once", "_heard_by"),  # around every command
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
        "collapse": executed("collapse", run, tuned),
        "evaluate": executed("evaluate", run, tuned),
        "spectrum": executed("spectrum", run, tuned),
        "overhead": executed(
            *("overhead", "--data", data, "--dims", 4, "--inner-dims", 8, "--pairs", 2, "--steps", 1),
            *("--out", place / "overhead.parquet"),
        ),
        "report": executed("report", results),
        "sync": executed("sync", results),
    }


COMMANDS = ("synthesize", "prepare", "train", "collapse", "evaluate", "spectrum", "overhead", "report", "sync")


@pytest.mark.parametrize("command", COMMANDS)
def test_everything_executed_is_reached(ran, command):
    reached = lineage.reached(f"mlet_bench.cli:_{command}")
    missed = {
        (module, name)
        for module, name in ran[command]
        if name not in reached.get(module, ()) and module not in lineage.SKIPPED and name not in FRAME
    }
    assert not missed
    assert len(ran[command]) > 5  # the tracing saw something


def test_stages_do_not_reach_each_other():
    reached = lineage.reached("mlet_bench.cli:_train")
    assert {"train_together", "epoch_order"} <= reached["mlet_bench.training.loop"]
    assert "train_runs" in reached["mlet_bench.stages"] and "evaluate_runs" not in reached["mlet_bench.stages"]
    assert not [module for module in reached if "reporting" in module or "analysis" in module or "tracking" in module]
    assert not [m for m in lineage.reached("mlet_bench.cli:_report") if ".training" in m or ".models" in m]


def test_a_digest_a_module_and_an_unknown_entry():
    digests = lineage.code_digests("mlet_bench.cli:_train")
    assert len({line.split()[0] for line in digests}) == len(digests) > 10
    with pytest.raises(BenchError, match=r"mlet_bench\.cli:_nothing is no function of the package"):
        lineage.reached("mlet_bench.cli:_nothing")


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
    assert lineage.reached("toy.start:begin") == {
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
    digests = []
    for name, content in (("code.cpp", "1"), ("code.cpp", "2"), ("notes.txt", "3")):
        (package / name).write_text(content)
        digests.append([lineage.code_digests(f"other.build:{entry}") for entry in ("begin", "other")])
    assert digests[0][0] != digests[1][0] == digests[2][0]
    assert digests[0][1] == digests[1][1]


def test_a_training_depends_on_the_kernels():
    reached = lineage.reached("mlet_bench.cli:_train")
    assert "SOURCE" in reached["mlet_bench.kernels.build"]
    assert not [module for module in lineage.reached("mlet_bench.cli:_prepare") if "kernels" in module]
