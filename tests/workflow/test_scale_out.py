"""The Slurm profile resolves, asks for GPUs, and asks for the memory that a training's tables and data need."""

import re

import pytest
from toy_dag import ROOT, snakemake

from mlet_bench.spec import DatasetSchema, RunSpec
from mlet_bench.training.memory import OVERHEAD, training_need

PROFILE = ("--profile", str(ROOT / "profiles" / "slurm"), "-n")
pytest.importorskip("snakemake_executor_plugin_slurm", reason="the Slurm plugin comes with the 'slurm' extra")


def asked(done):
    """rule → what its first job asks for."""
    assert done.returncode == 0, done.stdout + done.stderr
    text = done.stdout + done.stderr
    found = {}
    for name, block in re.findall(r"^rule (\w+):\n(.*?)(?=\n\[|\n\n|\Z)", text, re.MULTILINE | re.DOTALL):
        line = re.search(r"resources: (.*)", block)
        found.setdefault(name, dict(pair.split("=") for pair in line[1].split(", ")) if line else {})
    return found


def test_before_the_data_is_there_the_memory_is_asked_for_later(tmp_path):
    found = asked(snakemake(tmp_path, *PROFILE))
    assert found["cell"]["gpu"] == found["overhead"]["gpu"] == "1" and "gpu" not in found["prepare"]
    assert found["cell"]["mem_mb"] == "<TBD>" and found["cell"]["runtime"] == "1440"
    assert found["prepare"]["mem_mb"] == "8000"


def test_afterwards_it_follows_from_the_tables(finished):
    found = asked(snakemake(finished, *PROFILE, "--forcerun", "cell"))
    schema = DatasetSchema.read(finished / "results/toy/data/criteo-kaggle")
    needs = {
        (training_need(RunSpec(schema.name, schema.fingerprint, "dlrm", arm, 4, k, 0), schema).bytes + OVERHEAD)
        // 2**20 + 1
        for schema in (schema, DatasetSchema.read(finished / "results/toy/data/avazu"))
        for arm, k in (("single", None), ("mlet", 8))
    }  # fmt: skip
    assert int(found["cell"]["mem_mb"]) in needs
