"""The command of a DAG's job: each stage only where it is due, and what is up to date is not touched."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from staged import call, give

from mlet_bench import device
from mlet_bench.errors import BenchError, RunsFailed
from mlet_bench.evaluation import deploy, evaluate
from mlet_bench.gpus import claim_gpu, release_gpus
from mlet_bench.runs import RunFolder
from mlet_bench.stages import cell as cell_stage
from mlet_bench.stages import evaluate as evaluate_stage
from mlet_bench.stages import train
from mlet_bench.stages.cell import lacking
from mlet_bench.stages.evaluate import evaluate_runs
from mlet_bench.training import loop
from mlet_bench.training.tuning import TUNING_SEEDS

ROOT = Path(__file__).parents[2]
KEPT = (
    "curve.parquet",
    "metrics.json",
    "provenance.json",
    "spec.json",
    "deployed.json",
    "rare.parquet",
    "scores.parquet",
)
ARMS = {"mlet": ("mlet", "--inner-dim", 8), "tuned": ("single-lr-tuned", "--embedding-lr-factors", 0.01, 1)}


@pytest.fixture
def cell(whole, tmp_path):
    """A cell's command in a folder with a data set: ``cell(arm, seeds, *options)``."""
    give(whole, tmp_path, "prepare")

    def words(arm, seeds, *options):
        found = ("cell", "--data", tmp_path / "data", "--arm", *ARMS[arm], "--dim", 4, "--seed", *seeds)
        found += ("--out", tmp_path / "cell/seed{seed}", "--index", tmp_path / "cell/runs.json", "--device", "cpu")
        return [str(word) for word in (*found, "--batch-size", 64, "--validations", 2, *options)]

    return words


@pytest.fixture
def trained(monkeypatch):
    """(seed, embedding learning rate factor) of every run that is trained."""
    seen, original = [], train.train_together

    def noting(runs, *arguments, **options):
        seen.extend((spec.seed, spec.embedding_lr_factor) for spec, _ in runs)
        return original(runs, *arguments, **options)

    monkeypatch.setattr(train, "train_together", noting)
    return seen


def stamps(folder: Path, names=KEPT) -> dict:
    found = {name: (folder / name).stat() for name in names}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}


@pytest.mark.parametrize("keep", ["metrics", "deployed", "all"])
@pytest.mark.parametrize("arm", ARMS)
def test_a_seed_that_is_added_is_trained_and_the_others_stay(cell, trained, tmp_path, arm, keep):
    assert call(*cell(arm, [0, 1], "--keep", keep)) == 0
    before = {seed: stamps(tmp_path / f"cell/seed{seed}") for seed in (0, 1)}
    trained.clear()
    assert call(*cell(arm, [0, 1, 2], "--keep", keep)) == 0
    tuning = tmp_path / "cell/seed0/tuning.json"  # a rate that was chosen stays
    assert trained == [(2, json.loads(tuning.read_text())["chosen"] if tuning.exists() else 1.0)]
    assert {seed: stamps(tmp_path / f"cell/seed{seed}") for seed in (0, 1)} == before
    index = json.loads((tmp_path / "cell/runs.json").read_text())
    assert list(index["runs"]) == ["seed0", "seed1", "seed2"]
    for seed in (0, 1, 2):
        run = tmp_path / f"cell/seed{seed}"
        assert run.joinpath("model.safetensors").exists() == (keep == "all")
        assert run.joinpath("deployed.safetensors").exists() == (keep != "metrics")
        assert json.loads((run / "metrics.json").read_text())["run_id"] == index["runs"][f"seed{seed}"]["run_id"]
    trained.clear()
    assert call(*cell(arm, [0, 1, 2], "--keep", keep)) == 0 and trained == []


def test_a_seed_that_is_added_ends_in_the_numbers_of_a_cell_of_all(cell, whole, tmp_path, trained):
    assert call(*cell("tuned", [0, 1])) == 0 and call(*cell("tuned", [0, 1, 2])) == 0
    step_by_step = {seed: (tmp_path / f"cell/seed{seed}/metrics.json").read_bytes() for seed in (0, 1, 2)}
    shutil.rmtree(tmp_path / "cell")
    assert call(*cell("tuned", [0, 1, 2])) == 0
    assert step_by_step == {seed: (tmp_path / f"cell/seed{seed}/metrics.json").read_bytes() for seed in (0, 1, 2)}


def test_another_setting_in_the_place_of_a_cell_leaves_nothing_of_it(cell, trained, tmp_path):
    assert call(*cell("mlet", [0])) == 0
    old = {name: (tmp_path / "cell/seed0" / name).read_bytes() for name in KEPT}
    trained.clear()
    assert call(*cell("mlet", [0], "--lr", 0.05)) == 0 and trained == [(0, 1.0)]
    assert not [name for name, content in old.items() if (tmp_path / "cell/seed0" / name).read_bytes() == content]


@pytest.mark.parametrize(
    ("file", "stays"),
    [
        ("metrics.json", ("curve.parquet", "provenance.json", "deployed.json")),
        ("rare.parquet", ("curve.parquet", "provenance.json", "deployed.json")),
        ("scores.parquet", ("curve.parquet", "provenance.json", "deployed.json")),
        ("spectrum.parquet", ("curve.parquet", "model.safetensors")),
        ("deployed.safetensors", ("curve.parquet", "model.safetensors")),
        ("curve.parquet", ()),
        ("provenance.json", ()),
    ],
)
def test_what_vanished_is_made_again_and_no_more(cell, tmp_path, file, stays):
    words = cell("mlet", [0, 1], "--keep", "all")
    assert call(*words) == 0
    run, sibling = tmp_path / "cell/seed0", stamps(tmp_path / "cell/seed1")
    content, before = (run / file).read_bytes(), stamps(run, stays)
    (run / file).unlink()
    assert lacking(tmp_path / "cell/runs.json", "all") == [f"seed0/{file}"]  # which makes Snakemake call it
    assert call(*words) == 0 and lacking(tmp_path / "cell/runs.json", "all") == []
    assert file == "provenance.json" or (run / file).read_bytes() == content
    assert stamps(run, stays) == before and stamps(tmp_path / "cell/seed1") == sibling


def test_to_keep_more_trains_what_is_gone(cell, trained, tmp_path):
    assert call(*cell("mlet", [0], "--keep", "metrics")) == 0
    numbers = {name: (tmp_path / "cell/seed0" / name).read_bytes() for name in ("metrics.json", "curve.parquet")}
    trained.clear()
    assert call(*cell("mlet", [0], "--keep", "deployed")) == 0 and trained == [(0, 1.0)]
    assert (tmp_path / "cell/seed0/deployed.safetensors").exists()
    assert numbers == {name: (tmp_path / "cell/seed0" / name).read_bytes() for name in numbers}


@pytest.mark.parametrize("keep", ["metrics", "deployed"])
def test_a_format_that_is_added_scores_the_deployed_model_alone(cell, trained, tmp_path, keep):
    run, index = tmp_path / "cell/seed0", tmp_path / "cell/runs.json"
    assert call(*cell("mlet", [0], "--keep", keep, "--formats", "fp32", "int4")) == 0
    assert list(json.loads((run / "formats.json").read_text())["formats"]) == ["fp32", "int4"]
    assert call(*cell("mlet", [0], "--keep", keep, "--formats", "fp32", "int4")) == 0 and len(trained) == 1
    before = stamps(run)
    assert call(*cell("mlet", [0], "--keep", keep, "--formats", "fp32", "int4", "fp16")) == 0
    assert list(json.loads((run / "formats.json").read_text())["formats"]) == ["fp32", "int4", "fp16"]
    # With its model gone the run is trained once more, to the same numbers.
    assert len(trained) == (2 if keep == "metrics" else 1) and (stamps(run) == before) == (keep == "deployed")
    assert (run / "served-fp16.safetensors").exists() == (keep == "deployed") and lacking(index, keep) == []
    if keep == "deployed":
        (run / "served-int4.safetensors").unlink()
        assert lacking(index, keep) == ["seed0/served-int4.safetensors"]
        assert call(*cell("mlet", [0], "--keep", keep, "--formats", "fp32", "int4", "fp16")) == 0
        assert lacking(index, keep) == [] and stamps(run) == before and len(trained) == 1


def test_a_method_that_cannot_be_so_small_is_a_finding_and_no_failure(cell, trained, tmp_path, capsys):
    words = ["md" if word == "mlet" else word for word in cell("mlet", [0, 1])]
    words = [word for word in words if word not in ("--inner-dim", "8")] + ["--budget", "1/100"]
    assert call(*words) == 0 and trained == []
    assert "md at d=4 stores" in capsys.readouterr().out
    index = json.loads((tmp_path / "cell/runs.json").read_text())
    assert index["runs"] == {} and index["over_budget"].startswith("md at d=4 stores")
    for seed in (0, 1):
        assert json.loads((tmp_path / f"cell/seed{seed}/failed.json").read_text())["kind"] == "over-budget"
    assert lacking(tmp_path / "cell/runs.json", "deployed") == []


@pytest.fixture
def checkout(tmp_path):
    """A copy of the code to change, and how to run a command of it."""
    shutil.copytree(ROOT / "mlet_bench", tmp_path / "code/mlet_bench", ignore=shutil.ignore_patterns("__pycache__"))

    def run(words, file="", old="", new=""):
        if file:
            path = tmp_path / "code/mlet_bench" / file
            assert path.read_text().count(old) == 1
            path.write_text(path.read_text().replace(old, new))
        environment = os.environ | {"PYTHONPATH": str(tmp_path / "code")}
        done = subprocess.run([sys.executable, "-m", "mlet_bench", *words], env=environment, cwd=tmp_path, text=True)
        assert done.returncode == 0

    return run


def beside(tmp_path, *cells):
    """The options that put cells beside the first, each in a folder of its own."""
    words = [("--beside", cell, tmp_path / cell.replace(":", "-k")) for cell in cells]
    return [str(word) for option in words for word in option]


def test_cells_of_one_command_leave_what_each_leaves_alone(cell, tmp_path, monkeypatch):
    """As on a GPU, where runs of equal shape go together: here in packs of up to eight."""
    packs, original = [], loop.build_pack

    def noting(specs, *arguments):
        packs.append(sorted((spec.arm, spec.seed, spec.embedding_lr_factor) for spec in specs))
        return original(specs, *arguments)

    monkeypatch.setattr(loop, "build_pack", noting)
    others = beside(tmp_path, "single", "single-init:8", "mlet:8", "mlet-frozen:8")
    assert call(*cell("tuned", [0, 1], *others, "--pack", 8)) == 0
    assert sorted(len(pack) for pack in packs) == [2, 4, 8]  # the chosen, all of MLET, all singles with the candidates
    folders = [Path(word) for word in others[2::3]]
    for folder in (tmp_path / "cell", *folders):
        assert list(json.loads((folder / "runs.json").read_text())["runs"]) == ["seed0", "seed1"]
        assert lacking(folder / "runs.json", "deployed") == []
    stored = [stamps(folder / "seed0") for folder in folders]
    packs.clear()
    more = beside(tmp_path, "single", "single-init:8", "mlet:8", "mlet-frozen:8", "single-lr:8")
    assert call(*cell("tuned", [0, 1], *more, "--pack", 8)) == 0  # a cell that is added trains no other
    assert [{arm for arm, *_ in pack} for pack in packs] == [{"single-lr"}]
    assert stored == [stamps(folder / "seed0") for folder in folders]
    alone = [word if word != str(tmp_path / "cell/seed{seed}") else f"{tmp_path}/alone/{{seed}}"
             for word in cell("mlet", [0, 1])]  # fmt: skip
    assert call(*alone) == 0
    for seed in (0, 1):
        one, other = (tmp_path / place / "metrics.json" for place in (f"alone/{seed}", f"mlet-k8/seed{seed}"))
        auc, beside_others = (json.loads(path.read_text())["test"]["auc"] for path in (one, other))
        assert beside_others == pytest.approx(auc, abs=1e-3)


def test_runs_scored_side_by_side_are_scored_as_one_after_the_other(cell, tmp_path):
    """As on a GPU; one that fails fails alone."""
    assert call(*cell("mlet", [0, 1, 2])) == 0
    folders = [tmp_path / f"cell/seed{seed}" for seed in (0, 1, 2)]
    before = {folder: (folder / "metrics.json").read_bytes() for folder in folders}
    for folder in folders:
        RunFolder(folder).drop("evaluate")
    (folders[1] / "deployed.safetensors").write_bytes(b"damaged")
    with pytest.raises(RunsFailed, match="seed1"):
        for folder, metrics in evaluate_runs(folders, None, torch.device("cpu"), at_once=3):
            assert metrics["run_id"] == RunFolder(folder).spec.id
    for folder in (folders[0], folders[2]):
        assert (folder / "metrics.json").read_bytes() == before[folder]
    assert not (folders[1] / "metrics.json").exists()


@pytest.fixture
def gpu(tmp_path, monkeypatch):
    """A pretended GPU that the command has taken; gives whether another process could take it now."""
    lock = tmp_path / "mlet-bench-gpu-a.lock"
    monkeypatch.setattr(cell_stage, "device_of", lambda arguments: torch.device("cpu", claim_gpu(["a"], tmp_path)))
    monkeypatch.setattr(evaluate_stage, "leave", lambda device: release_gpus())

    def free():
        with lock.open() as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    return free


@pytest.mark.parametrize("fails", [False, True])
def test_metrics_are_computed_when_the_gpu_is_given_back(cell, tmp_path, monkeypatch, gpu, fails):
    """After the last prediction, whether or not a metric fails; the next job need not wait for sorting on the host."""
    events, predict, score = [], evaluate.logits, evaluate.all_metrics

    def metrics(*scored):
        events.append(("metrics", gpu()))
        if fails:
            raise BenchError("no such number")
        return score(*scored)

    monkeypatch.setattr(evaluate, "logits", lambda *of: events.append(("logits", gpu())) or predict(*of))
    monkeypatch.setattr(evaluate, "all_metrics", metrics)
    assert call(*cell("mlet", [0, 1])) == (2 if fails else 0)
    asked = 1 if fails else 2  # of validation and test
    assert events == 4 * [("logits", False)] + 2 * asked * [("metrics", True)]
    assert gpu() and (tmp_path / "cell/seed0/metrics.json").exists() != fails


def test_a_gpu_gets_its_memory_back_before_another_process_may_take_it(monkeypatch):
    seen = []
    monkeypatch.setattr(torch._C, "_cuda_clearCublasWorkspaces", lambda: seen.append("workspaces"), raising=False)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: seen.append("memory"))
    monkeypatch.setattr(device, "release_gpus", lambda: seen.append("lock"))
    device.leave(torch.device("cpu"))
    assert seen == []
    device.leave(torch.device("cuda"))
    assert seen == ["workspaces", "memory", "lock"]


@pytest.mark.parametrize(("keep", "stored"), [("metrics", 0), ("deployed", 0), ("all", 2)])
def test_w1_is_stored_to_be_kept_alone(cell, monkeypatch, keep, stored):
    """Not to be deployed, and of candidates never: at full size it has up to 17 GB a run."""
    written, original = [], loop.save_file
    monkeypatch.setattr(loop, "save_file", lambda *file: written.append(file) or original(*file))
    assert call(*cell("tuned", [0, 1], "--keep", keep)) == 0
    assert len(written) == stored


def test_a_model_that_cannot_be_deployed_is_stored_and_the_others_are_finished(cell, monkeypatch, tmp_path, capsys):
    original = deploy.compare_logits
    monkeypatch.setattr(deploy, "logit_tolerance", lambda largest: -1.0 if largest == worst[0] else 1.0)
    worst = []
    monkeypatch.setattr(deploy, "compare_logits", lambda *of: worst.append((found := original(*of))[1]) or found)
    assert call(*cell("mlet", [0, 1])) == 2
    assert "seed0: the deployed model differs" in capsys.readouterr().err
    assert (tmp_path / "cell/seed0/model.safetensors").exists() and (tmp_path / "cell/seed1/metrics.json").exists()
    assert json.loads((tmp_path / "cell/seed0/failed.json").read_text())["kind"] == "refused-deploy"
    monkeypatch.undo()
    assert call(*cell("mlet", [0, 1])) == 0
    assert "seed0: trained" not in capsys.readouterr().out  # what was trained stays
    assert not (tmp_path / "cell/seed0/model.safetensors").exists()


def test_a_cell_that_fails_leaves_those_beside_it(cell, tmp_path, capsys):
    seed = TUNING_SEEDS[0]
    assert call(*cell("mlet", [seed], *beside(tmp_path, "single-lr-tuned"))) == 2
    assert "it cannot judge them" in capsys.readouterr().err
    assert (tmp_path / "cell/runs.json").exists() and not (tmp_path / "single-lr-tuned/runs.json").exists()
    assert "cannot judge" in json.loads((tmp_path / f"single-lr-tuned/seed{seed}/failed.json").read_text())["error"]
    assert call(*cell("mlet", [0], *beside(tmp_path, "single:x"))) == 2
    assert "--beside single:x: write ARM" in capsys.readouterr().err


CALIBRATION = ("evaluation/metrics.py", "probability.mean() / label.mean()", "2 * probability.mean() / label.mean()")
TRAINED = ("spec.json", "curve.parquet", "provenance.json", "deployed.json", "spectrum.parquet")


def test_a_change_of_a_metric_scores_again_without_training(cell, checkout, tmp_path):
    words, run = cell("mlet", [0]), tmp_path / "cell/seed0"
    assert call(*words) == 0
    before, metrics = stamps(run, TRAINED), json.loads((run / "metrics.json").read_text())
    checkout(words, *CALIBRATION)
    after = json.loads((run / "metrics.json").read_text())
    assert stamps(run, TRAINED) == before
    assert after["test"] == metrics["test"] | {"calibration": 2 * metrics["test"]["calibration"]}


def test_a_change_of_the_training_trains_again(cell, checkout, tmp_path):
    words, run = cell("mlet", [0]), tmp_path / "cell/seed0"
    assert call(*words) == 0
    before = stamps(run)
    checkout(words, "training/loss.py", ".div_(label.shape[1])", ".div_(1 * label.shape[1])")
    assert not set(stamps(run).values()) & set(before.values())
