"""What is planted is what training finds: a gain of step size, one for rare categories, a step for each field."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mlet_bench.data.dataset import load_split, training_counts
from mlet_bench.data.generate import synthesize
from mlet_bench.data.prepare import prepare
from mlet_bench.errors import DivergedError
from mlet_bench.evaluation.frequency import RARE_ROWS
from mlet_bench.evaluation.metrics import auc
from mlet_bench.evaluation.score import logits
from mlet_bench.evaluation.scores import probabilities
from mlet_bench.spec import RunSpec
from mlet_bench.statistics.intervals import paired_interval
from mlet_bench.training.captured import make_steps
from mlet_bench.training.loop import epoch_order
from mlet_bench.training.pack import build_pack
from mlet_bench.training.step import TrainStep
from mlet_bench.training.tuning import TUNING_SEEDS

CPU = torch.device("cpu")
SMALL = {"bottom": (16,), "top": (64,)}
INNER_DIMS = {"single": None, "single-lr": 64, "mlet": 64}  # with k=64 both have 4 times the step of single


def gains(world, folder, *arms):
    """Gain of arms in test AUC over ``single``: of all test rows, then of thirds with more and more rare categories."""
    synthesize("criteo-kaggle", 24_000, 0, folder / "raw", world)
    schema = prepare("criteo-kaggle", folder / "raw", folder / "data")
    train, test = (load_split(folder / "data", schema, split) for split in ("train", "test"))
    columns = zip(schema.fields, test.ids.T)
    counts = [training_counts(folder / "data", schema, field.name)[ids] for field, ids in columns]
    rare = (np.array(counts) < RARE_ROWS).sum(0)
    third = np.digitize(rare, np.quantile(rare, [1 / 3, 2 / 3]))
    label, found = test.label.numpy(), {}
    for arm in ("single", *arms):
        spec = RunSpec(schema.name, schema.fingerprint, "dlrm", arm, 4, INNER_DIMS[arm], 0, hyper=SMALL)
        scores = [scores_of(replace(spec, seed=seed), schema, train, test) for seed in range(6)]
        groups = [np.ones(len(test), bool), *(third == number for number in range(3))]
        found[arm] = np.mean([[auc(label[rows], score[rows]) for rows in groups] for score in scores], axis=0)
    return {arm: found[arm] - found["single"] for arm in arms}


def scores_of(spec, schema, train, test):
    return probabilities(logits(trained(spec, schema, train), test))


def trained(spec, schema, train):
    pack = build_pack([spec], schema, CPU)
    steps = make_steps(TrainStep(pack, spec), train, spec.batch_size)
    steps.start([epoch_order(spec.seed, 0, len(train))], 0)
    steps.advance(len(train) // spec.batch_size)
    return pack.models[0]


def test_a_gain_of_step_size_alone(tmp_path):
    """MLET gains; so does a single table with its step, as much; and rows gain whatever their categories are."""
    found = gains("step-size", tmp_path, "mlet", "single-lr")
    assert found["mlet"][0] > 0.01
    assert found["single-lr"][0] == pytest.approx(found["mlet"][0], rel=0.5)
    assert found["mlet"][1:].min() > 0.25 * found["mlet"][1:].max() > 0


def test_a_gain_for_rare_categories_alone(tmp_path):
    found = gains("rare", tmp_path, "mlet")
    assert found["mlet"][3] > 3 * max(*found["mlet"][1:3], 0) and found["mlet"][3] > 0.01


def test_w2_grows_where_gradients_of_a_category_agree_and_shrinks_where_they_do_not(tmp_path):
    """In MLET's world each field learns a step of its own: that of the four fields that matter grows."""
    synthesize("criteo-kaggle", 24_000, 0, tmp_path / "raw", "mlet")
    schema = prepare("criteo-kaggle", tmp_path / "raw", tmp_path / "data")
    train = load_split(tmp_path / "data", schema, "train")
    spec = RunSpec(schema.name, schema.fingerprint, "dlrm", "mlet", 4, 64, 0, hyper=SMALL, batch_size=64, w2_std=0.01)
    spec = replace(spec, embedding_lr_factor=8192)
    start, end = (model.embedding.w2.norm(dim=(1, 2)) for model in (build_pack([spec], schema, CPU).models[0],
                                                                    trained(spec, schema, train)))  # fmt: skip
    matters = np.isin([field.name for field in schema.fields], ["C3", "C12", "C16", "C21"])
    grown = (end / start).detach().numpy()
    assert grown[matters].mean() > 1.25 and grown[~matters].mean() < 0.95


@pytest.mark.stress
def test_in_mlets_world_the_gain_is_that_of_a_w2_that_learns(tmp_path):
    """Ten seeds at the rate that two others chose on validation, as arms that tune do; ``-s`` shows the intervals."""
    synthesize("criteo-kaggle", 96_000, 0, tmp_path / "raw", "mlet")
    schema = prepare("criteo-kaggle", tmp_path / "raw", tmp_path / "data")
    train, val, test = (load_split(tmp_path / "data", schema, split) for split in ("train", "val", "test"))
    settings, found = {"batch_size": 64, "hyper": SMALL}, {}

    def aucs(arm, k, factor, seeds, rows):
        more = settings | {"embedding_lr_factor": factor} | ({"w2_std": 0.01} if k else {})
        specs = [RunSpec(schema.name, schema.fingerprint, "dlrm", arm, 4, k, seed, **more) for seed in seeds]
        return np.array([auc(rows.label.numpy(), scores_of(spec, schema, train, rows)) for spec in specs])

    def chooses(arm, k, factor):
        try:
            return aucs(arm, k, factor, TUNING_SEEDS, val).mean()
        except DivergedError:
            return 0

    for arm, k, first in (("single", None, 3), ("mlet", 64, 10), ("mlet-frozen", 64, 10)):
        reached = {2**power: chooses(arm, k, 2**power) for power in range(first, first + 7)}
        best = max(reached, key=reached.__getitem__)
        print(arm, {factor: round(value, 4) for factor, value in reached.items()})
        assert min(reached) < best < max(reached)
        found[arm] = aucs(arm, k, best, range(10), test)
    for rival in ("single", "mlet-frozen"):
        gain = paired_interval(found["mlet"], found[rival])
        print(f"mlet - {rival}: {gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]")
        assert gain.low > 0
