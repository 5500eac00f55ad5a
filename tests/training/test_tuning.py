"""Tuning: the choice is the best on validation over all seeds, recorded, and continues after a kill or a new seed."""

import pytest
from toys import make_spec, train

from mlet_bench.errors import BenchError, DivergedError, RunsFailed
from mlet_bench.parquet import table_of_records
from mlet_bench.runs import CURVE, METRICS, MODEL, PROVENANCE, SAMPLING, SCORES, TUNING, RunFolder
from mlet_bench.spec import RunSpec
from mlet_bench.training.loop import train_together
from mlet_bench.training.tuning import train_tuned

# Last validation AUC of each candidate with seeds 0, 1 and 2; None: it diverges.
REACHED = {1: (0.70, 0.72, 0.71), 2: (0.80, 0.60, 0.75), 4: (0.73, 0.74, 0.72), 8: (0.60, 0.60, 0.60)}


@pytest.fixture
def runs(schema, tmp_path):
    """Spec and folder of two seeds."""
    return runs_of(schema, tmp_path, 2)


def runs_of(schema, folder, count):
    return [(make_spec(schema, "single-lr-tuned", seed=seed), folder / f"seed{seed}") for seed in range(count)]


def fake_training(calls):
    """Leaves the files of a run whose last validation AUC is the one of ``REACHED``."""

    def train_all(candidates):
        failures = {}
        for spec, folder in candidates:
            calls.append((spec.embedding_lr_factor, spec.seed))
            folder.mkdir(parents=True)
            auc = REACHED[spec.embedding_lr_factor][spec.seed]
            if auc is None:
                failures[folder] = DivergedError(f"seed {spec.seed} diverged")
                continue
            run, points = RunFolder(folder), [(1, 32, 0.7, 0.99, 0.6), (2, 64, 0.6, auc, 0.5)]
            spec.write(folder)
            run.write_table(CURVE, table_of_records(points, CURVE.columns), spec.id)
            (folder / MODEL).write_text(f"model of {spec.embedding_lr_factor:g}")
            run.write_document(PROVENANCE, dict.fromkeys(PROVENANCE.keys), spec.id)
        if failures:
            raise RunsFailed(failures)

    return train_all


def record_of(folder):
    return RunFolder(folder).document(TUNING)


def test_the_best_mean_over_seeds_is_chosen_and_recorded(runs):
    calls = []
    assert train_tuned(runs, (8, 1, 2, 4), fake_training(calls)) == 4
    assert sorted(calls) == [(factor, seed) for factor in (1, 2, 4, 8) for seed in (0, 1)]
    for seed, (_, folder) in enumerate(runs):
        assert RunSpec.read(folder).embedding_lr_factor == 4
        assert (folder / MODEL).read_text() == "model of 4"
        record = record_of(folder)
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


def test_a_seed_that_is_added_trains_its_own_candidates_alone(runs, schema, tmp_path):
    calls = []
    train_tuned(runs, (1, 2, 4, 8), fake_training(calls))
    kept = {folder: (folder / MODEL).stat().st_ino for _, folder in runs}
    calls.clear()
    three = runs_of(schema, tmp_path, 3)
    assert train_tuned(three, (1, 2, 4, 8), fake_training(calls)) == 4
    assert sorted(calls) == [(factor, 2) for factor in (1, 2, 4, 8)]
    assert {folder: (folder / MODEL).stat().st_ino for _, folder in runs} == kept
    for _, folder in three:
        assert RunSpec.read(folder).embedding_lr_factor == 4
        by_factor = {candidate["factor"]: candidate for candidate in record_of(folder)["candidates"]}
        assert by_factor[4]["val_auc_by_seed"] == dict(zip("012", REACHED[4], strict=True))
        assert by_factor[4]["val_auc"] == pytest.approx(sum(REACHED[4]) / 3)
    calls.clear()
    assert train_tuned(three, (1, 2, 4, 8), fake_training(calls)) == 4
    assert calls == []


def test_a_choice_that_changes_with_a_new_seed_trains_the_other_seeds_once(runs, schema, tmp_path, monkeypatch):
    """Their candidates were thrown away; what was made from the old choice goes as well."""
    calls = []
    train_tuned(runs, (1, 2, 4), fake_training(calls))
    for spec, folder in runs:
        for document in (METRICS, SAMPLING):
            RunFolder(folder).write_document(document, dict.fromkeys(document.keys), spec.id)
        (folder / SCORES.file).touch()
    calls.clear()
    monkeypatch.setitem(REACHED, 2, (0.80, 0.60, 0.95))
    three = runs_of(schema, tmp_path, 3)
    assert train_tuned(three, (1, 2, 4), fake_training(calls)) == 2
    assert sorted(calls) == [(1, 2), (2, 0), (2, 1), (2, 2), (4, 2)]
    for _, folder in three:
        run = RunFolder(folder)
        assert run.spec.embedding_lr_factor == 2 and (folder / MODEL).read_text() == "model of 2"
        assert record_of(folder)["chosen"] == 2
        assert not (folder / "candidates").exists()
        assert not any(map(run.has, (METRICS, SAMPLING, SCORES)))


def test_a_factor_that_is_added_is_the_only_one_trained(runs):
    calls = []
    train_tuned(runs, (1, 2), fake_training(calls))
    calls.clear()
    assert train_tuned(runs, (1, 2, 4), fake_training(calls)) == 4
    assert sorted(calls) == [(4, 0), (4, 1)]


def test_a_candidate_that_diverged_is_not_trained_again_for_a_new_seed(runs, schema, tmp_path, monkeypatch):
    monkeypatch.setitem(REACHED, 8, (0.9, None, 0.9))
    calls = []
    train_tuned(runs, (1, 8), fake_training(calls))
    calls.clear()
    three = runs_of(schema, tmp_path, 3)
    assert train_tuned(three, (1, 8), fake_training(calls)) == 1
    assert calls == [(1, 2)]
    assert record_of(three[2][1])["candidates"][1]["failed"] == "seed 1 diverged"
    calls.clear()
    # Without the seed that it diverged with, the candidate counts again.
    assert train_tuned([three[0], three[2]], (1, 8), fake_training(calls)) == 8
    assert sorted(calls) == [(8, 0), (8, 2)]


def test_equal_candidates_go_to_the_smaller_factor(runs, monkeypatch):
    monkeypatch.setitem(REACHED, 2, REACHED[1])
    assert train_tuned(runs, (2, 1), fake_training([])) == 1


def test_the_chosen_run_is_the_one_trained_alone(schema, splits, runs, tmp_path):
    """On real training: the same files as a run with the chosen factor."""
    chosen = train_tuned(runs, (1, 8), lambda candidates: train_together(candidates, schema, splits))
    spec = make_spec(schema, "single-lr-tuned", embedding_lr_factor=chosen)
    train(spec, schema, splits, tmp_path / "alone")
    for name in ("model.safetensors", "curve.parquet", "spec.json"):
        assert (tmp_path / "alone" / name).read_bytes() == (runs[0][1] / name).read_bytes()


def test_a_candidate_that_diverges_is_recorded_and_not_chosen(schema, splits, runs):
    trained = train_tuned(runs, (1, 1e6), lambda candidates: train_together(candidates, schema, splits))
    assert trained == 1
    for _, folder in runs:
        best, diverged = record_of(folder)["candidates"]
        assert best["factor"] == 1 and "failed" not in best
        assert diverged["factor"] == 1e6 and "seed 0: the training loss is" in diverged["failed"]
        assert diverged["val_auc"] is None and diverged["val_auc_by_seed"] == {}


def test_no_candidate_that_finishes_is_an_error(schema, splits, runs):
    with pytest.raises(BenchError, match=r"every candidate failed: .*diverged"):
        train_tuned(runs, (1e6,), lambda candidates: train_together(candidates, schema, splits))


def test_nothing_to_choose_from_or_on_is_refused(schema, runs, tmp_path):
    with pytest.raises(BenchError, match="at least one factor"):
        train_tuned(runs, (), fake_training([]))
    blind = [(make_spec(schema, "single-lr-tuned", validations=0), tmp_path)]
    with pytest.raises(BenchError, match="validations must be 1 or more"):
        train_tuned(blind, (1, 2), fake_training([]))
