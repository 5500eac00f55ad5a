"""Tuning: the best on validation, chosen by seeds that are not judged, recorded, and continued after a kill."""

import pytest
from toys import make_spec, train

from mlet_bench.errors import BenchError, DivergedError, RunsFailed
from mlet_bench.parquet import table_of_records
from mlet_bench.runs import CURVE, METRICS, MODEL, PROVENANCE, SCORES, TUNING, RunFolder
from mlet_bench.spec import RunSpec
from mlet_bench.training.loop import train_together
from mlet_bench.training.rounds import train_rounds
from mlet_bench.training.tuning import AUTO, TUNING_SEEDS, chose_among, is_candidate, tuning

# Last validation AUC of each candidate with the two seeds that tune; None: it diverges.
REACHED = {1: (0.70, 0.72), 2: (0.80, 0.60), 4: (0.73, 0.74), 8: (0.60, 0.60)}


@pytest.fixture
def runs(schema, tmp_path):
    """Spec and folder of two seeds."""
    return runs_of(schema, tmp_path, 2)


def runs_of(schema, folder, count):
    return [(make_spec(schema, "single-lr-tuned", seed=seed), folder / f"seed{seed}") for seed in range(count)]


def train_tuned(runs, factors, train_all):
    """Train all rounds; the factor that was chosen."""
    train_rounds([(runs, tuning(runs, factors))], train_all)
    return RunFolder(runs[0][1]).document(TUNING)["chosen"]


def fake_training(calls):
    """Leaves the files of a run; of those that tune the last validation AUC is that of ``REACHED``."""

    def train_all(candidates):
        failures = {}
        for spec, folder in candidates:
            calls.append((spec.embedding_lr_factor, spec.seed))
            folder.mkdir(parents=True, exist_ok=True)
            by_seed = REACHED[spec.embedding_lr_factor]
            auc = by_seed[TUNING_SEEDS.index(spec.seed)] if spec.seed in TUNING_SEEDS else 0.7
            if auc is None:
                failures[folder] = DivergedError(f"seed {spec.seed} diverged")
                continue
            run, points = RunFolder(folder), [(1, 32, 0.7, 0.99, 0.6), (2, 64, 0.6, auc, 0.5)]
            spec.write(folder)
            run.write_table(CURVE, table_of_records(points, CURVE.columns), spec.id)
            if not is_candidate(spec):
                (folder / MODEL).write_text(f"model of {spec.embedding_lr_factor:g}")
            run.write_document(PROVENANCE, dict.fromkeys(PROVENANCE.keys), spec.id)
        if failures:
            raise RunsFailed(failures)

    return train_all


def record_of(folder):
    return RunFolder(folder).document(TUNING)


def tried(*factors):
    """What is trained for these candidates."""
    return [(factor, seed) for factor in factors for seed in TUNING_SEEDS]


def test_seeds_that_are_not_judged_choose_the_best_mean(runs):
    calls = []
    assert train_tuned(runs, (8, 1, 2, 4), fake_training(calls)) == 4
    assert calls == [*tried(1, 2, 4, 8), (4, 0), (4, 1)]
    for _, folder in runs:
        assert RunSpec.read(folder).embedding_lr_factor == 4
        assert (folder / MODEL).read_text() == "model of 4"
        record = record_of(folder)
        assert record["chosen"] == 4
        assert [candidate["factor"] for candidate in record["candidates"]] == [1, 2, 4, 8]
        assert record["candidates"][1]["val_auc_by_seed"] == dict(zip(map(str, TUNING_SEEDS), REACHED[2]))
        assert not (folder / "candidates").exists()
    assert chose_among(runs, (8, 4, 2, 1)) and not chose_among(runs, (1, 2, 4)) and not chose_among(runs, AUTO)


@pytest.mark.parametrize("seed", TUNING_SEEDS)
def test_a_seed_that_chooses_cannot_be_judged(schema, tmp_path, seed):
    with pytest.raises(BenchError, match=f"seed {seed} chooses"):
        train_tuned([(make_spec(schema, "single-lr-tuned", seed=seed), tmp_path)], (1, 2), fake_training([]))


@pytest.mark.parametrize(
    ("reached", "asked"),
    [
        ({1: 0.7, 4: 0.8, 16: 0.7}, [1, 4, 16]),  # inside at once
        ({1: 0.7, 4: 0.8, 16: 0.81, 64: 0.82, 256: 0.75}, [1, 4, 16, 64, 256]),
        ({1: 0.7, 4: 0.6, 16: 0.5, 0.25: 0.71, 0.0625: 0.70}, [1, 4, 16, 0.25, 0.0625]),
        ({1: 0.7, 4: 0.8, 16: 0.81, 64: None}, [1, 4, 16, 64]),  # beyond the best it diverges: inside
        ({1: None, 4: None, 16: None, 0.25: 0.6, 0.0625: 0.5}, [1, 4, 16, 0.25, 0.0625]),
    ],
)
def test_a_list_that_goes_on_until_the_best_lies_inside(runs, monkeypatch, reached, asked):
    for factor, auc in reached.items():
        monkeypatch.setitem(REACHED, factor, (auc, auc))
    calls = []
    best = max((factor for factor in reached if reached[factor]), key=lambda factor: reached[factor])
    assert train_tuned(runs, AUTO, fake_training(calls)) == best
    assert [factor for factor, seed in calls if seed == TUNING_SEEDS[0]] == asked
    assert record_of(runs[0][1])["asked"] == AUTO and chose_among(runs, AUTO)


def test_a_list_that_goes_on_ends(runs, monkeypatch):
    for power in range(8):
        monkeypatch.setitem(REACHED, 4**power, (0.5 + power / 100,) * 2)
    assert train_tuned(runs, AUTO, fake_training([])) == 4**6


def test_a_killed_tuning_trains_only_what_is_left(runs):
    calls = []
    train_all = fake_training(calls)

    def killed(candidates):
        for spec, folder in candidates:
            if spec.embedding_lr_factor == 4 and spec.seed == TUNING_SEEDS[1]:
                raise KeyboardInterrupt
            train_all([(spec, folder)])

    with pytest.raises(KeyboardInterrupt):
        train_tuned(runs, (1, 2, 4), killed)
    calls.clear()
    assert train_tuned(runs, (1, 2, 4), train_all) == 4
    assert calls == [(4, TUNING_SEEDS[1]), (4, 0), (4, 1)]


def test_a_kill_after_the_choice_does_not_choose_again(runs):
    calls = []
    train_all = fake_training(calls)

    def killed(candidates):
        if candidates[0][0].seed not in TUNING_SEEDS:
            raise KeyboardInterrupt
        train_all(candidates)

    with pytest.raises(KeyboardInterrupt):
        train_tuned(runs, (1, 4), killed)
    calls.clear()
    assert train_tuned(runs, (1, 4), train_all) == 4 and calls == [(4, 0), (4, 1)]


def test_a_seed_that_is_added_trains_one_run(runs, schema, tmp_path):
    calls = []
    train_tuned(runs, (1, 2, 4, 8), fake_training(calls))
    kept = {folder: (folder / MODEL).stat().st_ino for _, folder in runs}
    calls.clear()
    three = runs_of(schema, tmp_path, 3)
    assert not chose_among(three, (1, 2, 4, 8))
    assert train_tuned(three, (1, 2, 4, 8), fake_training(calls)) == 4
    assert calls == [(4, 2)]
    assert {folder: (folder / MODEL).stat().st_ino for _, folder in runs} == kept
    calls.clear()
    assert train_tuned(three, (1, 2, 4, 8), fake_training(calls)) == 4 and calls == []
    assert chose_among(three, (1, 2, 4, 8))


def test_a_factor_that_is_added_is_the_only_one_tried_and_what_was_made_of_the_old_choice_goes(runs):
    calls = []
    assert train_tuned(runs, (1, 2), fake_training(calls)) == 1
    for spec, folder in runs:
        RunFolder(folder).write_document(METRICS, dict.fromkeys(METRICS.keys), spec.id)
        (folder / SCORES.file).touch()
    calls.clear()
    assert train_tuned(runs, (1, 2, 4), fake_training(calls)) == 4
    assert calls == [*tried(4), (4, 0), (4, 1)]
    for _, folder in runs:
        run = RunFolder(folder)
        assert run.spec.embedding_lr_factor == 4 and (folder / MODEL).read_text() == "model of 4"
        assert not any(map(run.has, (METRICS, SCORES)))


def test_a_candidate_that_diverged_is_recorded_and_not_tried_again(runs, schema, tmp_path, monkeypatch):
    monkeypatch.setitem(REACHED, 8, (0.9, None))
    calls = []
    assert train_tuned(runs, (1, 8), fake_training(calls)) == 1
    calls.clear()
    three = runs_of(schema, tmp_path, 3)
    assert train_tuned(three, (1, 8), fake_training(calls)) == 1
    assert calls == [(1, 2)]
    diverged = record_of(three[2][1])["candidates"][1]
    assert diverged["failed"] == f"seed {TUNING_SEEDS[1]} diverged" and diverged["val_auc"] is None


def test_equal_candidates_go_to_the_smaller_factor(runs, monkeypatch):
    monkeypatch.setitem(REACHED, 2, REACHED[1])
    assert train_tuned(runs, (2, 1), fake_training([])) == 1


def test_a_judged_seed_that_diverges_with_the_choice_fails_and_the_others_stand(runs):
    def train_all(candidates):
        failing = [folder for spec, folder in candidates if spec.seed == 1]
        fake_training([])([(spec, folder) for spec, folder in candidates if folder not in failing])
        if failing:
            raise RunsFailed({folder: DivergedError("seed 1 diverged") for folder in failing})

    with pytest.raises(RunsFailed, match="seed 1 diverged"):
        train_tuned(runs, (1, 4), train_all)
    assert RunFolder(runs[0][1]).spec.embedding_lr_factor == 4 and not RunFolder(runs[1][1]).has(MODEL)


def test_the_chosen_run_is_the_one_trained_alone(schema, splits, runs, tmp_path):
    """On real training: the same files as a run with the chosen factor."""
    chosen = train_tuned(runs, (1, 8), lambda candidates: train_together(candidates, schema, splits))
    spec = make_spec(schema, "single-lr-tuned", embedding_lr_factor=chosen)
    train(spec, schema, splits, tmp_path / "alone")
    for name in ("model.safetensors", "curve.parquet", "spec.json"):
        assert (tmp_path / "alone" / name).read_bytes() == (runs[0][1] / name).read_bytes()


def test_no_candidate_that_finishes_is_an_error(schema, splits, runs):
    with pytest.raises(BenchError, match=r"every candidate failed: .*diverged"):
        train_tuned(runs, (1e6,), lambda candidates: train_together(candidates, schema, splits))


def test_nothing_to_choose_from_or_on_is_refused(schema, runs, tmp_path):
    with pytest.raises(BenchError, match="at least one factor"):
        train_tuned(runs, (), fake_training([]))
    blind = [(make_spec(schema, "single-lr-tuned", validations=0), tmp_path)]
    with pytest.raises(BenchError, match="validations must be 1 or more"):
        train_tuned(blind, (1, 2), fake_training([]))
