"""Verify says ok of a run as it was left, and names what was changed."""

import pytest
from toys import groupings, make_spec, train

from mlet_bench.data.dataset import Rows
from mlet_bench.errors import BenchError
from mlet_bench.evaluation.deploy import deploy_run
from mlet_bench.evaluation.evaluate import evaluate_run
from mlet_bench.evaluation.verify import verify_run
from mlet_bench.files import read_json, write_sealed
from mlet_bench.spec import DatasetSchema


@pytest.fixture
def run(schema, splits, tmp_path):
    """A finished run, the sealed schema it was trained on, and the splits it is scored on."""
    schema = schema.sealed()
    train(make_spec(schema), schema, {name: splits[name] for name in ("train", "val")}, tmp_path)
    deploy_run(tmp_path, schema, {"val": splits["val"]})
    scored = {name: splits[name] for name in ("val", "test")}
    evaluate_run(tmp_path, schema, scored, groupings(scored))
    edit(tmp_path / "provenance.json", lambda content: content | {"commit": "abc", "dirty": False})
    return tmp_path, schema, scored


def edit(path, change):
    write_sealed(path, change(read_json(path, "make it")))


def failed(run):
    return [check.name for check in verify_run(*run) if not check.holds]


def test_a_run_as_it_was_left_holds(run):
    checks = verify_run(*run)
    assert len(checks) == 3 + 2 * 6 + 1
    assert all(check.holds for check in checks), [str(check) for check in checks if not check.holds]


@pytest.mark.parametrize(("split", "metric"), [("test", "auc"), ("val", "logloss")])
def test_a_changed_metric_is_named(run, split, metric):
    edit(run[0] / "metrics.json", lambda m: m | {split: m[split] | {metric: m[split][metric] + 1e-3}})
    assert failed(run) == [f"{split} {metric}"]


def test_a_score_of_another_model_is_named(run):
    for other in ("0", "g"):  # before and after every hash
        edit(run[0] / "metrics.json", lambda m, other=other: m | {"deployed_sha256": other})
        assert failed(run) == ["scored model"]


def test_changed_rows_are_named(run):
    folder, schema, data = run
    rows = data["test"]
    other = data | {"test": Rows(1 - rows.label, rows.dense, rows.ids)}
    assert "test auc" in failed((folder, schema, other))


def test_a_changed_schema_is_named(run):
    folder, schema, data = run
    others = [DatasetSchema(**vars(schema) | {"rows": schema.rows | {"train": rows}}) for rows in range(100)]
    for is_above in (True, False):  # hashes before and after the run's
        other = next(one for one in others if (one.sealed().fingerprint > schema.fingerprint) is is_above)
        assert failed((folder, other, data)) == failed((folder, other.sealed(), data)) == ["data fingerprint"]


def test_missing_provenance_is_named(run):
    edit(run[0] / "provenance.json", lambda content: content | {"device": None})
    assert failed(run) == ["provenance"]
    assert str(verify_run(*run)[-1]) == "FAILED: provenance: lacks device"
    edit(run[0] / "provenance.json", lambda content: content | {"device": "CPU", "commit": None})  # but a dirty flag
    assert failed(run) == ["provenance"]


def test_code_without_a_commit_is_a_record_and_no_fault(run):
    """A wheel, a ZIP, a machine without git."""
    edit(run[0] / "provenance.json", lambda content: content | {"commit": None, "dirty": None})
    checks = verify_run(*run)
    assert all(check.holds for check in checks)
    assert "without a commit" in checks[-1].found


def test_a_model_that_was_tidied_away_is_an_error(run):
    (run[0] / "deployed.safetensors").unlink()
    with pytest.raises(BenchError, match="keep: deployed"):
        verify_run(*run)


def test_a_changed_model_is_an_error(run):
    path = run[0] / "deployed.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(BenchError, match="has sha256"):
        verify_run(*run)
