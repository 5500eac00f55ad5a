"""One more seed for a finished DAG: one run a cell is trained, and no file of the others is touched."""

from toy_dag import TOY, snakemake

CONFIG = TOY | {
    "datasets": {"avazu": {"source": "synthesize", "rows": 1500}},
    "controls": {"arms": ["single-lr-tuned"]},
    "embedding_lr_factors": [0.01, 1],
    "keep": "metrics",
    "seeds": [0],
}
CELLS = ("single-d4", "mlet-d4-k8", "single-lr-tuned-d4")
KEPT = ("curve.parquet", "metrics.json", "provenance.json", "rare.parquet", "scores.parquet", "spec.json")


def test_a_seed_that_is_added_trains_one_run_a_cell(tmp_path):
    def make(seeds):
        done = snakemake(tmp_path, "--cores", "2", "--until", "cell", config=CONFIG | {"seeds": seeds})
        assert done.returncode == 0, done.stdout + done.stderr
        results = tmp_path / "results/toy"
        logs = {cell: (results / f"logs/avazu/dlrm/{cell}/cell.log").read_text() for cell in CELLS}
        runs = [results / f"runs/avazu/dlrm/{cell}/seed{seed}" for cell in CELLS for seed in seeds]
        files = {run / name: (run / name).stat() for run in runs for name in KEPT}
        assert not [path for run in runs for path in run.glob("*.safetensors")]
        return logs, {path: (stat.st_ino, stat.st_mtime_ns) for path, stat in files.items()}

    _, before = make([0])
    logs, after = make([0, 1])
    assert before.items() <= after.items() and len(after) == 2 * len(before)
    for log in logs.values():
        assert "seed0: as it was" in log and "seed1: trained" in log
