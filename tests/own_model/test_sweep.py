"""A toy model of a reader's own through ``sweep``: the report, MLflow, resuming, and what fails."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import mlet_bench
from mlet_bench.arms import ARMS
from mlet_bench.errors import BenchError
from mlet_bench.evaluation.metrics import auc
from mlet_bench.own_model import grid
from mlet_bench.own_model.trial import _code, scored
from mlet_bench.runs import METRICS, PROVENANCE, TUNING, RunFolder
from mlet_bench.training.tuning import TUNING_SEEDS

ROWS, TRAIN = 600, 400
GENERATOR = torch.Generator().manual_seed(0)
USER, ITEM = (torch.randint(0, size, (ROWS,), generator=GENERATOR) for size in (12, 30))
LABEL = (torch.rand(ROWS, generator=GENERATOR) < 0.1 + 0.7 * (USER % 3 == 0) * (ITEM % 2)).float()
trained = []  # (table's class, embedding lr, seed) of every call of fit


class Toy(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.user, self.item, self.head = nn.Embedding(12, dim), nn.Embedding(30, dim), nn.Linear(2 * dim, 1)

    def forward(self, user, item):
        return self.head(torch.cat([self.user(user), self.item(item)], 1)).squeeze(1)


def fit(model, groups, seed):
    trained.append((type(model.user).__name__, groups[0]["lr"], seed))
    optimizer = torch.optim.SGD(groups)
    for rows in torch.randperm(TRAIN).split(20):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(model(USER[rows], ITEM[rows]), LABEL[rows]).backward()
        optimizer.step()
    return TRAIN


@torch.no_grad()
def score(model):
    found = torch.sigmoid(model(USER, ITEM))
    return {"val": (LABEL[400:500], found[400:500]), "test": (LABEL[500:], found[500:])}


GRID = {"dims": [2, 4], "inner_dims": [8], "seeds": [0, 1], "lr": 0.5, "batch_size": 20}
GRID |= {"embedding_lr_factors": [1, 4], "dataset": "shop", "model": "toy"}


def short(out, fit=fit, score=score, **changes):
    """A sweep of one width and seed, its report aside."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid, "_report", lambda results, failures, asked: failures)
        return mlet_bench.sweep(Toy, fit, score, out=out, **GRID | {"dims": [2], "seeds": [0]} | changes)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The results folder of a whole sweep, its table, and the calls of fit."""
    trained.clear()
    out = tmp_path_factory.mktemp("own") / "results" / "shop-sweep"
    table = mlet_bench.sweep(Toy, fit, score, out=out, **GRID)
    return out, table, list(trained)


def test_every_arm_is_trained_with_its_tables_and_learning_rates(swept):
    out, _, calls = swept
    single, mlet = ("Embedding", 0.5), ("MLETEmbedding", 0.5)
    wanted = [(*kind, seed) for kind in (single, mlet) for _ in GRID["dims"] for seed in GRID["seeds"]]
    # Two seeds of their own choose a factor of 1 and 4 at each d; the runs are trained with that one.
    wanted += [("Embedding", lr, seed) for lr in (0.5, 2.0) for _ in GRID["dims"] for seed in TUNING_SEEDS]
    for d in GRID["dims"]:
        cell = out / f"runs/shop/toy/single-lr-tuned-d{d}"
        chosen = RunFolder(cell / "seed0").document(TUNING)["chosen"]
        wanted += [("Embedding", 0.5 * chosen, seed) for seed in GRID["seeds"]]
    assert sorted(calls) == sorted(wanted)


def test_the_report_is_the_suite_s_own(swept):
    out, table, _ = swept
    assert table[["seeds", "done"]].eq(2).all().all() and len(table) == 6
    for name in ("report.html", "summary.md", "claims.md", "figures/quality_over_size.svg"):
        assert (out / name).stat().st_size > 0
    page = (out / "summary.md").read_text()
    assert "The verdicts are about TOY on these rows" in page and "mlet" in page and "shop" in page
    differences = pd.read_parquet(out / "tables/differences.parquet")
    assert set(differences["cell"]) == {"mlet-d2-k8", "mlet-d4-k8", "single-lr-tuned-d2", "single-lr-tuned-d4"}
    auc = differences[differences["metric"] == "auc"]
    assert (auc["rows_low"] < auc["difference"]).all() and (auc["difference"] < auc["rows_high"]).all()


def test_a_run_holds_what_was_deployed_and_scored(swept):
    out, _, _ = swept
    run = RunFolder(out / "runs/shop/toy/mlet-d4-k8/seed1")
    metrics, head = run.document(METRICS), 4 * (8 + 1)
    tables = {"training_tables": 4 * (42 * 8 + 2 * 8 * 4), "deployed_tables": 4 * 42 * 4}
    whole = {"training": tables["training_tables"] + head, "deployed": tables["deployed_tables"] + head}
    assert metrics["bytes"] == tables | whole
    assert run.document(PROVENANCE)["rows_per_second"] > 0
    assert run.spec.batch_size == 20 and run.spec.recipe == "own"


def test_arms_of_a_seed_are_paired(tmp_path):
    """Dense layers begin alike and rows come in one order: W1 W2 in the place of E is all that differs."""
    starts = {}

    def spy(model, groups, seed):
        starts[type(model.user).__name__] = model.head.weight.detach().clone(), torch.randperm(5)
        fit(model, groups, seed)

    assert short(tmp_path, fit=spy, arms=["single", "mlet"]) == {}
    (head, order), (other_head, other_order) = starts.values()
    assert torch.equal(head, other_head) and torch.equal(order, other_order)


def test_the_tuned_arm_takes_the_factor_that_is_best_on_validation(swept):
    out, _, _ = swept
    cell = out / "runs/shop/toy/single-lr-tuned-d4"
    tuning = RunFolder(cell / "seed0").document(TUNING)
    best = max(tuning["candidates"], key=lambda one: one["val_auc"])
    assert tuning["chosen"] == best["factor"] == RunFolder(cell / "seed0").spec.embedding_lr_factor
    assert {one["factor"] for one in tuning["candidates"]} == {1, 4}
    assert best["val_auc_by_seed"].keys() == set(map(str, TUNING_SEEDS))
    assert not (cell / "seed0/candidates").exists()


def test_mlflow_has_the_runs(swept):
    from mlflow import MlflowClient

    out, _, _ = swept
    client = MlflowClient(f"sqlite:///{out.parent}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("shop-sweep/shop").experiment_id])
    assert len(runs) == 12
    run = next(
        run for run in runs if run.data.tags["mlet_bench.cell"] == "mlet-d4-k8" and run.data.params["seed"] == "1"
    )
    stored = RunFolder(out / "runs/shop/toy/mlet-d4-k8/seed1").document(METRICS)
    assert run.data.metrics["test_auc"] == stored["test"]["auc"]


def test_again_nothing_is_trained_and_another_seed_alone(swept, monkeypatch):
    monkeypatch.setattr(grid, "_report", lambda results, failures, asked: failures)
    out, _, _ = swept
    trained.clear()
    assert mlet_bench.sweep(Toy, fit, score, out=out, **GRID) == {} and trained == []
    mlet_bench.sweep(Toy, fit, score, out=out, **GRID | {"seeds": [0, 1, 2]})
    assert {seed for *_, seed in trained} == {2} and len(trained) == 2 * 3


def test_runs_of_other_code_or_settings_are_trained_again(tmp_path):
    arms = {"arms": ["single"]}
    short(tmp_path, **arms)
    for changes in ({}, {"batch_size": 10}, {"fit": lambda model, groups, seed: fit(model, groups, seed)}):
        trained.clear()
        short(tmp_path, **arms, **changes)
        assert len(trained) == bool(changes), changes


@pytest.mark.parametrize(("file", "old", "new"), [("spec.json", "sgd", "own"), ("provenance.json", "{", "")])
def test_a_run_whose_files_cannot_be_read_is_trained_again(tmp_path, file, old, new):
    short(tmp_path, arms=["single"], seeds=[0, 1], optimizer="sgd")
    path = tmp_path / f"runs/shop/toy/single-d2/seed1/{file}"
    path.write_text(path.read_text().replace(old, new, 1))
    trained.clear()
    assert short(tmp_path, arms=["single"], seeds=[0, 1], optimizer="sgd") == {}
    assert [seed for *_, seed in trained] == [1]


def test_numpy_s_numbers_are_numbers(tmp_path):
    one = {"dims": np.array([2]), "seeds": np.arange(1), "batch_size": np.int32(20)}
    assert short(tmp_path, **one, lr=np.float64(0.5), embedding_lr_factors=np.array([1, 4])) == {}
    trained.clear()
    assert short(tmp_path) == {} and trained == []


def test_a_choice_among_the_same_numbers_written_otherwise_is_of_the_same_runs(tmp_path):
    arms = ["single", "single-lr-tuned"]
    for factors in ([1.0, 4.0], [4, 1]):
        trained.clear()
        assert short(tmp_path, arms=arms, embedding_lr_factors=factors) == {}
        run = RunFolder(tmp_path / "runs/shop/toy/single-lr-tuned-d2/seed0")
        assert run.document(TUNING, run.spec)["asked"] == [1, 4]


def test_a_run_that_fails_is_recorded_and_the_others_go_on(tmp_path):
    def half(model, groups, seed):
        if seed == 1:
            raise RuntimeError("no such row")
        return fit(model, groups, seed)

    failures = short(tmp_path, fit=half, seeds=[0, 1])
    found = {folder.relative_to(tmp_path / "runs/shop/toy").as_posix() for folder in failures}
    assert found == {"single-d2/seed1", "mlet-d2-k8/seed1", "single-lr-tuned-d2/seed1"}
    failure = RunFolder(tmp_path / "runs/shop/toy/mlet-d2-k8/seed1").failure()
    assert failure.stage == "train" and "no such row" in failure.error
    assert RunFolder(tmp_path / "runs/shop/toy/mlet-d2-k8/seed0").has(METRICS)
    assert short(tmp_path, seeds=[0, 1]) == {}
    assert RunFolder(tmp_path / "runs/shop/toy/mlet-d2-k8/seed1").failure() is None


@pytest.mark.parametrize(
    ("fit", "score", "kind", "sentence"),
    [
        (fit, lambda model: score(model) | {"val": (LABEL[400:500], LABEL[400:500] * math.nan)}, "diverged", ""),
        (lambda model, groups, seed: None, score, "other", "fit has not trained the table 'user'"),
        (lambda model, groups, seed: "done", score, "other", "fit returned a str"),
        (fit, lambda model: {"val": (LABEL[:9] * 0, LABEL[:9]), "test": None}, "other", "class"),
    ],
)
def test_what_is_no_training_or_no_score_fails_with_its_kind(tmp_path, fit, score, kind, sentence):
    failures = short(tmp_path, fit=fit, score=score, arms=["single", "mlet"])
    failure = RunFolder(tmp_path / "runs/shop/toy/mlet-d2-k8/seed0").failure()
    assert tmp_path / "runs/shop/toy/mlet-d2-k8/seed0" in failures
    assert failure.kind == kind and sentence in failure.error


def test_a_sweep_of_which_nothing_is_left_says_why(tmp_path):
    with pytest.raises(BenchError, match="all 3 runs failed, the first with: single-d2 seed 0: ValueError: no rows"):
        grid._report(tmp_path, short(tmp_path, fit=no_rows), 3)


def no_rows(model, groups, seed):
    raise ValueError("no rows")


def test_metrics_of_one_s_own_are_enough():
    ready = {"auc": torch.tensor(0.7), "logloss": 0.5, "recall_at_10": 0.2}
    predictions, metrics = scored({"val": ready, "test": ready})
    assert predictions is None and metrics["test"] == {"auc": pytest.approx(0.7), "logloss": 0.5, "recall_at_10": 0.2}
    label, probability = np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.4, 0.4])
    (stored, logit), metrics = scored({"val": ready, "test": (label, probability)})
    assert metrics["test"]["auc"] == auc(label, probability) == 7 / 8
    assert stored.dtype == np.int8 and 1 / (1 + np.exp(-logit)) == pytest.approx(probability)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (None, "score gave NoneType"),
        ({"val": {}}, "score gave val: it must give a dict with 'val' and 'test'"),
        ({"val": {"auc": 1.0}, "test": {}}, "score gave no logloss for 'val'"),
    ],
)
def test_scores_that_are_none_are_refused(found, sentence):
    with pytest.raises(BenchError, match=sentence):
        scored(found)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"arms": ["mlet"]}, "lack 'single'"),
        ({"arms": ["single", "mlt"]}, "unknown arm 'mlt'"),
        ({"arms": ["single", "single-freq-lr"]}, "arm 'single-freq-lr' needs one of the suite's own models"),
        ({"arms": ["single", "hash"]}, "arm 'hash' needs one of the suite's own models"),
        ({"seeds": []}, "seeds is empty"),
        ({"embedding_lr_factors": "Auto"}, "embedding_lr_factors is 'Auto': give 'auto', or numbers"),
        ({"embedding_lr_factors": [1, "x4"]}, "give 'auto', or numbers"),
        ({"seeds": [0.5]}, r"seeds has \[0.5\]: give whole numbers"),
        ({"dims": [16]}, "no pair with k >= d for mlet"),
        ({"lr": -1.0}, "lr is -1.0"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused_before_anything_is_trained(tmp_path, changes, sentence):
    trained.clear()
    with pytest.raises(BenchError, match=sentence):
        short(tmp_path / "no", **changes)
    assert trained == [] and not (tmp_path / "no").exists()


@pytest.mark.parametrize("arm", ["single-lr", "single-init", "mlet-frozen", "mlet-unit"])
def test_controls_do_to_any_model_what_they_do_to_the_suite_s(arm):
    from mlet_bench.own_model.arrange import arrange
    from mlet_bench.spec import RunSpec

    torch.manual_seed(0)
    model, plain = Toy(4), None
    plain = model.item.weight.detach().clone()
    spec = RunSpec("shop", "", "toy", arm, dim=4, inner_dim=64, seed=0, lr=0.5)
    arrange(model, spec, {})
    if ARMS[arm].method == "single":
        assert torch.allclose(model.item.weight, plain * (2 if arm == "single-init" else 1))
    else:
        assert model.item.w2.requires_grad == (arm != "mlet-frozen")
        assert model.item.w2.std().item() == pytest.approx(1 / 8 if arm == "mlet-unit" else 0.25, rel=0.2)
    rates = [group["lr"] for group in mlet_bench.parameter_groups(model, spec.lr, spec.embedding_lr)]
    assert rates == [2.0 if arm == "single-lr" else 0.5, 0.5]


def test_a_sum_of_the_code_ignores_comments():
    def one(model):
        return 1

    kept = _code(one)

    def one(model):
        # a remark
        return 1

    assert _code(one) == kept

    def one(model):
        return 2

    assert _code(one) != kept
