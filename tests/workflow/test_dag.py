"""The DAG on toy data: from generated raw files of both formats to the report, and the traps that make no noise."""

import json

import pandas as pd
import pytest
import yaml
from toy_dag import ROOT, RUNS, TOY, jobs, snakemake

from mlet_bench.tracking import restore


def test_every_run_and_the_report_are_there(finished):
    results = finished / "results" / "toy"
    for run in RUNS:
        metrics = json.loads((results / run / "metrics.json").read_text())
        assert 0 < metrics["test"]["auc"] < 1
        assert (results / run / "spectrum.parquet").exists()
    table = pd.read_parquet(results / "tables" / "runs.parquet")
    assert len(table) == len(RUNS)
    assert "synthetic" in (results / "summary.md").read_text().lower().splitlines()[0]
    for name in ("report.html", "claims.md", "figures/quality_over_d.svg", "figures/curves.png", "mlflow.synced.txt"):
        assert (results / name).stat().st_size > 0
    assert (finished / "results" / "mlflow.db").exists()


def test_the_store_holds_all_that_the_report_was_made_from(finished, tmp_path, monkeypatch):
    """The timings too, which are the last to be there."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{finished}/results/mlflow.db")
    assert restore("toy", tmp_path / "again") == len(RUNS)
    for again in (tmp_path / "again").rglob("*.parquet"):
        assert again.read_bytes() == (finished / "results/toy" / again.relative_to(tmp_path / "again")).read_bytes()
    timed = sorted(
        path.relative_to(tmp_path / "again/overhead").as_posix() for path in (tmp_path / "again/overhead").glob("*/*")
    )
    assert timed == ["avazu/dlrm.parquet", "criteo-kaggle/dlrm.parquet"]


def test_a_second_call_has_nothing_to_do(finished):
    again = snakemake(finished, "--cores", "2")
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr


def test_keep_decides_what_stays_of_a_run(finished):
    run = finished / "results" / "toy" / RUNS[-1]
    assert (run / "deployed.safetensors").exists()  # the default keeps the n×d model,
    assert not (run / "model.safetensors").exists()  # not W1 and W2


def test_another_seed_is_trained_and_nothing_prepared(finished):
    planned = jobs(snakemake(finished, "-n", config=TOY | {"seeds": [0, 1, 2]}))
    assert planned["cell"] == 4
    assert "prepare" not in planned and "synthesize" not in planned


def test_a_key_that_stands_twice_stops_the_workflow(tmp_path):
    """Snakemake itself keeps the second and says nothing."""
    (tmp_path / "mine.yaml").write_text(f"{yaml.safe_dump(TOY)}\narms: [single]\n")
    done = snakemake(tmp_path, "-n", "--configfile", str(tmp_path / "mine.yaml"), config=None)
    assert done.returncode != 0 and "mine.yaml has the key 'arms' twice" in done.stdout + done.stderr


def test_a_new_width_trains_only_its_own_cells(finished):
    planned = jobs(snakemake(finished, "-n", config=TOY | {"inner_dims": [8, 16]}))
    assert planned["cell"] == 2


def test_the_default_config_is_the_full_reproduction(tmp_path):
    planned = jobs(snakemake(tmp_path, "-n", config=None))
    assert planned["cell"] == 2 * (5 + 2 * 8 + 7 * 5)
    assert planned["download"] == planned["prepare"] == planned["overhead"] == 2
    assert list(tmp_path.iterdir()) == [tmp_path / ".snakemake"]


def test_on_a_gpu_the_arms_of_a_method_at_one_d_are_one_job(tmp_path):
    controls = {"enabled": True, "arms": ["single-lr-tuned", "single-init"], "inner_dims": [8]}
    planned = snakemake(tmp_path, "-n", "-p", config=TOY | {"device": "cuda", "controls": controls, "dims": [4, 8]})
    assert jobs(planned)["cell"] == 2 * 2 * 2  # data sets, methods, d
    runs = "results/toy/runs/avazu/dlrm"
    told = [line for line in planned.stdout.splitlines() if "--dim 8" in line and f"{runs}/single-d8" in line]
    assert len(told) == 1 and f"--index {runs}/single-d8/runs.json" in told[0]
    assert f"--beside single-lr-tuned {runs}/single-lr-tuned-d8" in told[0]
    assert f"--beside single-init:8 {runs}/single-init-d8-k8" in told[0]
    assert "--embedding-lr-factors auto" in told[0] and "touch results/toy/jobs/avazu/dlrm/single-d8.done" in told[0]


@pytest.mark.parametrize(("options", "at_once"), [((), 2), (("--resources", "gpu=3"), 3)])
def test_one_gpu_job_trains_while_another_is_scored_and_more_run_only_where_told(tmp_path, options, at_once):
    """Four jobs that ask for the GPU as the stages do, each noting when it starts and ends."""
    (tmp_path / "Snakefile").write_text(
        f"""
include: "{ROOT}/workflow/rules/common.smk"
rule all:
    default_target: True
    input: expand("{{number}}.txt", number=range(4))
rule job:
    output: "{{number}}.txt"
    resources: gpu=GPUS
    shell: "date +%s.%N > {{output}}; sleep 1; date +%s.%N >> {{output}}"
"""
    )
    done = snakemake(
        tmp_path, "--cores", "4", *options, config=TOY | {"device": "cuda"}, snakefile=tmp_path / "Snakefile"
    )
    assert done.returncode == 0, done.stderr
    spans = [tuple(map(float, file.read_text().split())) for file in tmp_path.glob("?.txt")]
    overlaps = [sum(start <= other < end for other, _ in spans) for start, end in spans]
    assert max(overlaps) == at_once


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"epoch": 1}, "config: unknown key 'epoch'; allowed are arms, budgets, controls"),
        ({"arms": ["mlt"]}, "config.arms[0] is 'mlt'; allowed are single, mlet"),
        ({"dims": [16]}, "config.dims has d=16, above every k in config.inner_dims [8]"),
        ({"datasets": {"avazu": {"source": "file", "file": "no.csv"}}}, "config.datasets.avazu.file is 'no.csv'"),
    ],
)
def test_mistakes_stop_at_once_with_a_sentence(tmp_path, change, sentence):
    done = snakemake(tmp_path, "--cores", "1", config=TOY | change)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_grid_that_would_take_too_long_without_a_gpu_stops_with_its_forecast(tmp_path):
    (tmp_path / "impatient.py").write_text("from mlet_bench.stages import plan\nplan.LONG_HOURS = plan.LONG_ROWS = 0\n")
    patient = TOY | {"plugins": ["impatient.py"], "device": "auto"}
    done = snakemake(tmp_path, "--cores", "1", config=patient)
    if "cuda" in done.stderr:
        pytest.skip("there is a GPU")
    assert done.returncode != 0
    assert "hours without a GPU; say 'device: cpu' to begin all the same" in done.stderr
    assert "toy: 4 cells, 8 trainings" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_the_quiet_way_says_a_line_a_finished_cell_and_no_more(finished):
    """Of a run that has everything: one line alone, of where the report is."""
    done = snakemake(finished, "--workflow-profile", str(ROOT / "profiles/quiet"), "--cores", "1", "--forcerun", "sync")
    assert done.returncode == 0, done.stderr
    said = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("Using workflow")]
    assert said == ["Report: results/toy/report.html   Summary: results/toy/summary.md   Claims: results/toy/claims.md"]


def test_the_workflow_is_lint_clean(tmp_path):
    done = snakemake(tmp_path, "--lint", config=None)
    assert done.returncode == 0, done.stdout + done.stderr
