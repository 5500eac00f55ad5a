"""The guard of the house: one file of a user's own adds a member to every registry, and the whole DAG goes with it."""

import json
import random
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from toy_dag import jobs, snakemake

PLUGIN = '''
"""Hashing with two of five rows, a model of two lines, a data set, a metric, a claim and a figure."""

from dataclasses import dataclass

import torch
from matplotlib.figure import Figure

from mlet_bench.arms import ARMS, Arm
from mlet_bench.claims import CLAIMS
from mlet_bench.claims.claim import Claim
from mlet_bench.claims.comparisons import AS_PAPER
from mlet_bench.claims.finding import Finding
from mlet_bench.claims.verdicts import NOT_REPRODUCED, REPRODUCED, Judged
from mlet_bench.data import DATASETS
from mlet_bench.data.base import Column, DataSet, Dense
from mlet_bench.display.document import plot
from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.base import FieldTables
from mlet_bench.evaluation.metrics import METRICS, Metric
from mlet_bench.models import MODELS
from mlet_bench.models.base import ClickModel
from mlet_bench.models.mlp import MLP
from mlet_bench.report import FIGURES


@METHODS.add
class HashTables(FieldTables):
    name = "two-rows"

    def __init__(self, table_sizes, embedding_dim, rows=5):
        self.rows = rows
        super().__init__(table_sizes, embedding_dim, [min(n, rows) for n in table_sizes], embedding_dim, num_slots=2)
        self.register_buffer("moduli", torch.tensor(self.stored, device="cpu"), persistent=False)

    def slots(self, ids):
        pair = torch.stack([ids % self.moduli, ids // self.moduli % self.moduli], 2)  # (B, F, 2)
        return (pair + self.starts[:, None]).transpose(0, 1)

    def options(self):
        return {"rows": self.rows}


ARMS.add(Arm("hash-2x", "two-rows", "a few rows for all categories", options={"rows": 5}))


@dataclass(frozen=True)
class Hyper:
    width: int = 3


@MODELS.add
class ToyModel(ClickModel):
    name, Hyper, wide = "toy", Hyper, True

    def __init__(self, embedding, num_dense, hyper, draws, linear=None):
        super().__init__(embedding, linear)
        self.mlp = MLP([num_dense + embedding.embedding_dim, hyper.width, 1], draws, last_relu=False)

    def head(self, dense, vectors, linear=None):
        return self.mlp(torch.cat([dense, vectors.sum(1)], 1)).squeeze(1) + linear.sum((1, 2))


@DATASETS.add
class Shop(DataSet):
    name = "shop"
    columns = (Column("bought", "label"), Column("price", "int", True), Column("city", "text"), Column("id", "int"))
    dense = (Dense("price"),)
    fields = ("city", "id")
    splits = ("random",)
    separator = "|"
    header = True


METRICS.add(Metric("brier", "Brier", lambda scored: float(((scored.probability - scored.label) ** 2).mean()), False))


def judge(loss):
    """T1: hashing loses less than 0.5 of AUC."""
    return Judged(REPRODUCED if loss < 0.5 else NOT_REPRODUCED, 0.0)


def toy_table(results):
    return results.runs.groupby("arm", as_index=False)["test_brier"].mean()


@CLAIMS.add
class ToyClaim(Claim):
    name, source, models, comparisons = "T1", "a reader", ("toy",), (AS_PAPER,)
    sentence = "Ten numbers of a table are enough."
    rule = staticmethod(judge)
    tables = {"briers": toy_table}

    def find(self, setting, comparison):
        auc = setting.runs.groupby("arm")["test_auc"].mean()
        loss = auc["single"] - auc["hash-2x"]
        return Finding(judge(loss), f"AUC lost {loss:.3f}", cells=tuple(setting.runs["cell"]))


@FIGURES.add
@plot("Bars of a reader", "The Brier score of each arm.")
def bars(results):
    table, figure = results.table(toy_table), Figure()
    figure.subplots().bar(table["arm"], table["test_brier"])
    return figure
'''
CONFIG = {
    "profile": "mine",
    "plugins": ["mine.py"],
    "datasets": {"shop": {"source": "file", "file": "shop.txt"}},
    "models": {"toy": {"width": 2}},
    "arms": ["single", "mlet", "hash-2x"],
    "dims": [4],
    "inner_dims": [8],
    "seeds": [0],
    "training": {"validations": 2},
    "device": "cpu",
    "overhead": {"pairs": 5, "steps": 1, "when_busy": "time"},
}
ROWS, CITIES, IDS = 400, 7, 60
CELLS = ("single-d4", "mlet-d4-k8", "hash-2x-d4")


def shop() -> str:
    """Rows of the data set; whether somebody buys hangs on the city and the price."""
    draw, lines = random.Random(0), ["bought|price|city|id"]
    for row in range(ROWS):
        city, price = draw.randrange(CITIES), draw.randrange(100)
        lines.append(f"{int(draw.random() < 0.1 + 0.1 * city)}|{price or ''}|town {city}|{row % IDS}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def driven(tmp_path_factory):
    """The working directory of a DAG that ran on a plugin; its results."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "mine.py").write_text(PLUGIN)
    (folder / "shop.txt").write_text(shop())
    done = snakemake(folder, "--cores", "2", "--show-failed-logs", config=CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def results(driven):
    return driven / "results" / "mine"


def test_every_cell_is_trained_deployed_and_scored(results):
    """The arm's name has a digit, which a wildcard once refused."""
    schema = json.loads((results / "data/shop/schema.json").read_text())
    assert [(field["name"], field["size"]) for field in schema["fields"]] == [("city", CITIES), ("id", IDS)]
    for cell in CELLS:
        run = results / f"runs/shop/toy/{cell}/seed0"
        spec, metrics, deployed = (json.loads((run / f"{n}.json").read_text()) for n in ("spec", "metrics", "deployed"))
        assert (spec["model"], spec["hyper"], spec["dataset"]) == ("toy", {"width": 2}, "shop")
        assert 0 < metrics["test"]["brier"] < 1
        assert deployed["embedding"]["method"] == ("two-rows" if "hash" in cell else "single")
        rows = 2 * 5 if "hash" in cell else CITIES + IDS
        assert metrics["bytes"]["deployed_tables"] == 4 * 4 * rows


def test_tables_figures_and_pages_show_all_of_it(results):
    runs = pd.read_parquet(results / "tables/runs.parquet")
    assert runs["status"].tolist() == ["done"] * 3 and runs["test_brier"].notna().all()
    briers = pd.read_csv(results / "tables/briers.csv").set_index("arm")["test_brier"]
    assert briers.to_dict() == pytest.approx(runs.set_index("arm")["test_brier"].to_dict())
    claims = pd.read_parquet(results / "tables/claims.parquet").set_index("claim")
    assert claims.loc["T1", "verdict"] == "reproduced" and claims.loc["T1", "number"].startswith("shop: AUC lost ")
    assert set(claims.loc["C1", "verdict"]) == {"not run"}  # about another model
    assert "brier" in set(pd.read_parquet(results / "tables/differences.parquet")["metric"])
    for name in ("bars", "quality_over_d"):
        for suffix in ("svg", "png"):
            assert (results / f"figures/{name}.{suffix}").stat().st_size > 0
    page, summary, ledger = ((results / name).read_text() for name in ("report.html", "summary.md", "claims.md"))
    for text in (page, summary):
        assert "Bars of a reader" in text and "hash-2x" in text and "TOY" in text and "shop" in text
    for text in (page, ledger):
        assert "Ten numbers of a table are enough." in text
    assert "Rule: Hashing loses less than 0.5 of AUC." in ledger
    assert "hash-2x" in (results / "figures/quality_over_d.svg").read_text()


def test_mlflow_has_its_runs(driven, results, monkeypatch):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{driven}/results/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("mine/shop").experiment_id])
    assert {run.data.tags["mlet_bench.cell"] for run in runs} == set(CELLS)
    for run in runs:
        assert (run.data.params["model"], run.data.params["width"]) == ("toy", "2")
        metrics = json.loads(
            (results / f"runs/shop/toy/{run.data.tags['mlet_bench.cell']}/seed0/metrics.json").read_text()
        )
        assert run.data.metrics["test_brier"] == metrics["test"]["brier"]


def test_a_second_call_has_nothing_to_do(driven):
    assert jobs(snakemake(driven, "-n", config=CONFIG)) == {}


def test_a_change_of_the_plugin_makes_stale_what_is_made_with_it(driven, tmp_path):
    """Its code counts as a whole file, and it holds the metric: all is scored again."""
    kept = (driven / "mine.py").read_text()
    try:
        (driven / "mine.py").write_text(kept.replace("< 0.5 else", "< 0.4 else"))
        planned = jobs(snakemake(driven, "-n", config=CONFIG))
    finally:
        (driven / "mine.py").write_text(kept)
    assert planned["cell"] == 3 and planned["prepare"] == planned["report"] == 1


def test_the_report_of_a_results_folder_finds_its_plugin(driven, results, tmp_path, monkeypatch):
    """By hand, in the directory where the DAG ran."""
    copy = shutil.copytree(results, tmp_path / "copy")
    words = [sys.executable, "-m", "mlet_bench", "report", str(copy)]
    done = subprocess.run(words, cwd=driven, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (copy / "claims.md").read_bytes() == (results / "claims.md").read_bytes()
