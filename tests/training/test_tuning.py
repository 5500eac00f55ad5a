"""Tuning: the choice is the best on validation over all seeds, recorded, and continues after a kill."""

import json

import pandas as pd
import pytest
from toys import make_spec

from mlet_bench.errors import BenchError
from mlet_bench.files import write_json
from mlet_bench.spec import RunSpec
from mlet_bench.training.loop import train, train_together
from mlet_bench.training.tuning import train_tuned

REACHED = {1: (0.70, 0.72), 2: (0.80, 0.60), 4: (0.73, 0.74), 8: (0.60, 0.60)}


@pytest.fixture
def runs(schema, tmp_path):
    """Spec and folder of two seeds."""
    return [(make_spec(schema, "single-lr-tuned", seed=seed), tmp_path / f"seed{seed}") for seed in (0, 1)]


def fake_training(calls):
    """Leaves the files of a run whose last validation AUC is the one of ``REACHED``."""

    def train_all(candidates):
        for spec, folder in candidates:
            calls.append((spec.embedding_lr_factor, spec.seed))
            folder.mkdir(parents=True)
            auc = REACHED[spec.embedding_lr_factor][spec.seed]
            pd.DataFrame({"val_auc": [0.99, auc]}).to_parquet(folder / "curve.parquet")
            (folder / "model.safetensors").write_text(f"model of {spec.embedding_lr_factor:g}")
            spec.write(folder)
            write_json(folder / "provenance.json", {})

    return train_all


def test_the_best_mean_over_seeds_is_chosen_and_recorded(runs):
    calls = []
    assert train_tuned(runs, (8, 1, 2, 4), fake_training(calls)) == 4
    assert sorted(calls) == [(factor, seed) for factor in (1, 2, 4, 8) for seed in (0, 1)]
    for seed, (_, folder) in enumerate(runs):
        assert RunSpec.read(folder).embedding_lr_factor == 4
        assert (folder / "model.safetensors").read_text() == "model of 4"
        record = json.loads((folder / "tuning.json").read_text())
        assert record["chosen"] == 4
        assert [candidate["factor"] for candidate in record["candidates"]] == [1, 2, 4, 8]
        assert record["candidates"][1]["val_auc_by_seed"][str(seed)] == REACHED[2][seed]
        assert not (folder / "candidates").exists()


def test_a_killed_tuning_trains_only_what_is_left(runs):
    calls = []
    train_all = fake_training(calls)

    def killed(candidates):
        for spec, folder in candidates:
            if spec.embedding_lr_factor == 4 and spec.seed == 1:
                raise KeyboardInterrupt
            train_all([(spec, folder)])

    with pytest.raises(KeyboardInterrupt):
        train_tuned(runs, (1, 2, 4), killed)
    models = sorted(str(path.relative_to(runs[0][1].parent)) for path in runs[0][1].parent.rglob("*.safetensors"))
    assert models == [
        f"seed{seed}/candidates/lr-x{factor}/model.safetensors" for seed, factor in ((0, 1), (0, 4), (1, 1))
    ]
    calls.clear()
    assert train_tuned(runs, (1, 2, 4), train_all) == 4
    assert calls == [(4, 1)]


def test_equal_candidates_go_to_the_smaller_factor(runs, monkeypatch):
    monkeypatch.setitem(REACHED, 2, REACHED[1])
    assert train_tuned(runs, (2, 1), fake_training([])) == 1


def test_the_chosen_run_is_the_one_trained_alone(schema, splits, runs, tmp_path):
    """On real training: the same files as a run with the chosen factor."""
    chosen = train_tuned(runs, (1, 8), lambda candidates: train_together(candidates, schema, splits, 1))
    spec = make_spec(schema, "single-lr-tuned", embedding_lr_factor=chosen)
    train(spec, schema, splits, tmp_path / "alone")
    for name in ("model.safetensors", "curve.parquet", "spec.json"):
        assert (tmp_path / "alone" / name).read_bytes() == (runs[0][1] / name).read_bytes()


def test_a_candidate_that_diverges_is_recorded_and_not_chosen(schema, splits, runs):
    trained = train_tuned(runs, (1, 1e6), lambda candidates: train_together(candidates, schema, splits, 1))
    assert trained == 1
    for _, folder in runs:
        best, diverged = json.loads((folder / "tuning.json").read_text())["candidates"]
        assert best["factor"] == 1 and "failed" not in best
        assert diverged["factor"] == 1e6 and "seed 0: the training loss is" in diverged["failed"]
        assert diverged["val_auc"] is None and diverged["val_auc_by_seed"] == {}


def test_no_candidate_that_finishes_is_an_error(schema, splits, runs):
    with pytest.raises(BenchError, match=r"every candidate failed: .*diverged"):
        train_tuned(runs, (1e6,), lambda candidates: train_together(candidates, schema, splits, 1))


def test_nothing_to_choose_from_or_on_is_refused(schema, runs, tmp_path):
    with pytest.raises(BenchError, match="at least one factor"):
        train_tuned(runs, (), fake_training([]))
    blind = [(make_spec(schema, "single-lr-tuned", validations=0), tmp_path)]
    with pytest.raises(BenchError, match="validations must be 1 or more"):
        train_tuned(blind, (1, 2), fake_training([]))
