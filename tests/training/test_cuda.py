"""Training on a GPU gives the CPU's numbers, to rounding."""

import pytest
import torch
from safetensors.torch import load_file
from toys import make_spec, train

from mlet_bench.device import leave

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
@pytest.mark.parametrize("arm", ["single", "mlet"])
def test_a_run_on_the_gpu_equals_one_on_the_cpu(arm, optimizer, schema, splits, tmp_path):
    spec = make_spec(schema, arm, optimizer=optimizer, lr=0.05, epochs=2)
    for device in ("cpu", "cuda"):
        moved = {split: rows.to(torch.device(device)) for split, rows in splits.items()}
        train(spec, schema, moved, tmp_path / device)
    one, other = (load_file(tmp_path / device / "model.safetensors") for device in ("cpu", "cuda"))
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-5, msg=name)


def test_a_training_that_is_over_leaves_nothing_on_the_gpu(schema, splits, tmp_path):
    device = torch.device("cuda", 0)
    train(make_spec(schema), schema, {split: rows.to(device) for split, rows in splits.items()}, tmp_path)
    leave(device)
    assert torch.cuda.memory_reserved(device) == 0
