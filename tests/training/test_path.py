"""A training goes on with the kernels or without, as it began: a run that did some of both has numbers of its own."""

import pytest
import torch
from toys import make_spec

from mlet_bench.errors import BenchError, Stopped
from mlet_bench.kernels import build
from mlet_bench.training import checkpoint
from mlet_bench.training.loop import Execution, train_together


@pytest.fixture
def stopped(schema, splits, tmp_path):
    """A call that trains on; the folder has a checkpoint of a training that was stopped at its first one."""
    data = {name: splits[name] for name in ("train", "val")}

    def train(asked=lambda: None):
        train_together([(make_spec(schema), tmp_path)], schema, data, Execution(1), asked)

    with pytest.raises(Stopped):
        train(lambda: 15)
    return train


def pretend(monkeypatch, there: bool):
    monkeypatch.setattr(checkpoint, "library", lambda: object() if there else None)


@pytest.mark.parametrize(("began", "said"), [(True, "with the CPU's kernels"), (False, "in plain torch")])
def test_another_path_than_the_checkpoints_is_refused(stopped, tmp_path, monkeypatch, began, said):
    path = tmp_path / "checkpoint.pt"
    content = torch.load(path, weights_only=True)
    assert content["kernels"] is (build.library() is not None)
    torch.save(content | {"kernels": began}, path)
    pretend(monkeypatch, not began)
    with pytest.raises(BenchError, match=f"began {said} and would go on .* which ends in other numbers"):
        stopped()
    assert path.exists() and not (tmp_path / "spec.json").exists()
    pretend(monkeypatch, began)
    stopped()
    assert (tmp_path / "spec.json").exists()


def test_on_a_gpu_there_is_one_path(stopped, tmp_path, monkeypatch):
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    pretend(monkeypatch, not content["kernels"])
    given = tmp_path, content["run_id"], content["code"]
    assert checkpoint.load_checkpoint(*given, torch.device("cuda")) is not None
