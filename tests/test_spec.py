"""Specs: ids that differ where runs differ, refusals, seeds per axis, files that are read back."""

import json
from dataclasses import replace

import pytest
from toys import make_spec

from mlet_bench.arms import ARMS, step_gift, unit_w2_std
from mlet_bench.embeddings import METHODS
from mlet_bench.errors import BenchError
from mlet_bench.files import atomic
from mlet_bench.spec import LATER, VERSION, DatasetSchema, RunSpec, cell_name, derive_seed


def test_every_setting_changes_the_id(schema):
    spec = make_spec(schema)
    changed = {
        "dataset": "avazu", "fingerprint": "f", "model": "dcn", "arm": "mlet-unit", "dim": 8, "inner_dim": 16,
        "seed": 1, "optimizer": "adagrad", "lr": 0.1, "batch_size": 64, "epochs": 2, "hyper": {"bottom": [8]},
        "version": VERSION + 1, "precision": "bf16", "validations": 1, "recipe": "dlrm", "authors_selection": True,
        "embedding_lr_factor": 2.0, "loss": "sum", "w2_std": 0.5, "budget": "1/4",
    }  # fmt: skip
    assert set(changed) == set(RunSpec.__dataclass_fields__)
    ids = {spec.id} | {replace(spec, **{name: value}).id for name, value in changed.items()}
    assert len(ids) == len(changed) + 1


@pytest.mark.parametrize("name", ["lr", "embedding_lr_factor", "w2_std"])
def test_a_number_is_one_run_however_it_is_written(schema, name):
    whole, real = (replace(make_spec(schema), **{name: value}) for value in (4, 4.0))
    assert whole == real and whole.id == real.id


def test_swapped_widths_do_not_collide(schema):
    assert make_spec(schema, hyper={"bottom": (16, 64)}).id != make_spec(schema, hyper={"bottom": (64, 16)}).id
    assert cell_name("mlet", 16, 64) == "mlet-d16-k64"
    assert cell_name("single", 16, None) == "single-d16"


def test_id_does_not_change_between_versions():
    """Ids name folders and MLflow runs: this one may only change on purpose."""
    assert RunSpec("avazu", "f", "dlrm", "mlet", 16, 64, 0).id == "79437f1041bb"
    assert RunSpec("avazu", "f", "dlrm", "single", 16, None, 0).id == "30e5cf5844ba"


def test_a_run_from_before_a_field_keeps_its_id(schema, tmp_path):
    make_spec(schema).write(tmp_path)
    path = tmp_path / "spec.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in content.items() if name not in LATER}))
    assert RunSpec.read(tmp_path) == make_spec(schema)


def test_files_are_read_back(schema, tmp_path):
    make_spec(schema).write(tmp_path)
    schema.write(tmp_path)
    assert RunSpec.read(tmp_path) == make_spec(schema)
    assert DatasetSchema.read(tmp_path) == schema


def test_an_edited_spec_is_noticed(schema, tmp_path):
    make_spec(schema).write(tmp_path)
    path = tmp_path / "spec.json"
    path.write_text(path.read_text().replace('"lr": 0.2', '"lr": 0.3'))
    with pytest.raises(BenchError, match="it was edited"):
        RunSpec.read(tmp_path)


@pytest.mark.parametrize("reader", [RunSpec, DatasetSchema])
def test_missing_and_damaged_files_are_named(reader, tmp_path):
    with pytest.raises(BenchError, match=r"\.json does not exist: not a"):
        reader.read(tmp_path)
    for name in ("spec.json", "schema.json"):
        (tmp_path / name).write_text('{"id": 1')
    with pytest.raises(BenchError, match=r"\.json is not valid JSON"):
        reader.read(tmp_path)
    for name in ("spec.json", "schema.json"):
        (tmp_path / name).write_text('{"other": 1, "fields": [], "dense": []}')
    with pytest.raises(BenchError, match="of this version"):
        reader.read(tmp_path)


def test_fingerprint_ignores_the_raw_files_name_alone(schema):
    renamed = replace(schema, source=schema.source | {"file": "other.txt"}).sealed()
    other = replace(schema, source=schema.source | {"md5": "1" * 32}).sealed()
    assert renamed.fingerprint == schema.fingerprint != other.fingerprint
    assert schema.sealed() == schema


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arm": "mlt"}, "unknown arm 'mlt': there are single, mlet, single-lr"),
        ({"inner_dim": 2}, "'mlet' has inner dim k=2 below d=4: k >= d"),
        ({"inner_dim": None}, "'mlet' needs an inner dim"),
        ({"arm": "single", "inner_dim": 8}, "'single' has no inner dim, got k=8"),
        ({"dim": 0}, "d=0"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"embedding_lr_factor": 0.0}, "embedding_lr_factor is 0.0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"loss": "max"}, "loss is 'max': it must be mean or sum"),
        ({"w2_std": 0.0}, "w2_std is 0.0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"validations": -1}, "validations is -1"),
        ({"validations": 0, "authors_selection": True}, "needs validations of 1 or more"),
    ],
)
def test_settings_that_make_no_run_are_refused(schema, changes, message):
    with pytest.raises(BenchError, match=message):
        replace(make_spec(schema), **changes)


def test_mlets_variance_over_the_baselines_by_hand():
    widened = ARMS["single-init"]
    table = METHODS[widened.method]([3], 4, inner_dim=64, **widened.options)
    assert table.variance_factor == 64 / 16
    table.w2_std = 0.5
    assert table.variance_factor == 64 / 4


@pytest.mark.parametrize(
    ("optimizer", "k", "d", "w2_std", "gift"),
    [
        ("sgd", 64, 16, 0.25, 4), ("sgd", 128, 4, 0.25, 8), ("sgd", 64, 16, 0.5, 16),  # k w2_std², whatever d
        ("adagrad", 64, 16, 0.5, 8), ("adagrad", 64, 4, 0.5, 16), ("adagrad", 16, 16, 0.25, 1),  # k w2_std / sqrt(d)
    ],
)  # fmt: skip
def test_the_gift_of_step_size_by_hand(optimizer, k, d, w2_std, gift):
    assert step_gift(optimizer, k, d, w2_std) == gift
    assert step_gift(optimizer, k, d, unit_w2_std(optimizer, k, d)) == pytest.approx(1)


def test_embedding_learning_rates_by_hand(schema):
    assert make_spec(schema, "single-lr").embedding_lr == pytest.approx(0.2 * 8 / 16)
    assert make_spec(schema, "single-lr", w2_std=0.5).embedding_lr == pytest.approx(0.2 * 8 / 4)
    of_b = make_spec(schema, "single-lr", optimizer="adagrad", lr=0.02, w2_std=0.5)
    assert of_b.embedding_lr == pytest.approx(0.02 * 8 * 0.5 / 2)
    assert make_spec(schema, "single-lr-tuned", embedding_lr_factor=4).embedding_lr == pytest.approx(0.8)
    assert make_spec(schema, "mlet-lr-tuned", embedding_lr_factor=0.25).embedding_lr == pytest.approx(0.05)
    assert {make_spec(schema, arm).embedding_lr for arm in ("single", "mlet", "single-init", "mlet-unit")} == {0.2}


def test_seeds_differ_by_axis_and_by_run():
    seeds = {derive_seed(seed, axis) for seed in range(50) for axis in ("order/0", "order/1", "mlp", "embedding")}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_atomic_leaves_nothing_half_written(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic(target) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
