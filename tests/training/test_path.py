"""A training goes on with the kernels or without, as it began: a run that did some of both has numbers of its own."""

import os
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from test_capturable import Operations
from toys import make_spec, train

from mlet_bench.device import be_deterministic
from mlet_bench.errors import BenchError, Stopped
from mlet_bench.kernels import build
from mlet_bench.runs import PROVENANCE, RunFolder
from mlet_bench.training import checkpoint
from mlet_bench.training.checkpoint import save_checkpoint
from mlet_bench.training.loop import Execution, train_together
from mlet_bench.training.pack import build_pack


@pytest.fixture
def stopped(schema, splits, tmp_path):
    """A call that trains on; the folder has a checkpoint of a training that was stopped at its first one."""
    data = {name: splits[name] for name in ("train", "val")}

    def go_on(asked=lambda: None):
        train_together([(make_spec(schema), tmp_path)], schema, data, Execution(1), asked)

    with pytest.raises(Stopped):
        go_on(lambda: 15)
    return go_on


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


def test_one_model_of_a_pack_is_stored_by_itself_and_from_the_host(schema, tmp_path):
    """Its rows are a view of the pack's: they are copied to the host, never on the device, whose memory may be full."""
    spec = make_spec(schema)
    pack = build_pack([replace(spec, seed=seed) for seed in range(3)], schema, torch.device("cpu"))
    state = {"model": pack.models[1].state_dict()}
    with Operations() as seen:
        save_checkpoint(tmp_path, state)
    assert "clone.default" not in seen.names and "copy_.default" in seen.names
    stored = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["model"]
    for name, value in state["model"].items():
        assert torch.equal(stored[name], value) and stored[name].device.type == "cpu", name
    weights = sum(value.nbytes for value in state["model"].values())
    assert (tmp_path / "checkpoint.pt").stat().st_size < 1.5 * weights + 10_000


@pytest.fixture
def deterministic(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    be_deterministic()
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
def test_the_deterministic_way_gives_a_cpus_numbers(optimizer, schema, splits, tmp_path, request):
    """There it changes nothing, and every operation of a training has such a way; on a GPU it must be switched on."""
    spec = make_spec(schema, "mlet", optimizer=optimizer)
    train(spec, schema, splits, tmp_path / "plain")
    request.getfixturevalue("deterministic")
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8" and torch.are_deterministic_algorithms_enabled()
    train(spec, schema, splits, tmp_path / "deterministic")
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("plain", "deterministic"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    runs = [(replace(spec, seed=seed), tmp_path / f"seed{seed}") for seed in range(2)]
    train_together(runs, schema, {name: splits[name] for name in ("train", "val")}, Execution(pack=2))
    assert RunFolder(tmp_path / "deterministic").document(PROVENANCE)["deterministic"] is True
