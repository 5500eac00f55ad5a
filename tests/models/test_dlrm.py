"""DLRM: the interaction by hand, the widths, the initial laws, and what arms share."""

import pytest
import torch
from torch import nn
from toys import make_spec

from mlet_bench.embeddings.draw import Draws
from mlet_bench.embeddings.single import SingleTables
from mlet_bench.errors import BenchError
from mlet_bench.models.build import build_model, deploy_model
from mlet_bench.models.dlrm import DLRM, DLRMHyper


def test_widths_are_those_of_the_paper():
    model = DLRM(SingleTables([5] * 26, 16), 13, DLRMHyper((256, 64), (512, 256)), Draws(0))
    widths = [[tuple(layer.weight.shape) for layer in part if isinstance(layer, nn.Linear)]
              for part in (model.bottom, model.top)]  # fmt: skip
    assert widths == [[(256, 13), (64, 256), (16, 64)], [(512, 16 + 27 * 26 // 2), (256, 512), (1, 256)]]
    assert isinstance(model.bottom[-1], nn.ReLU)
    assert isinstance(model.top[-1], nn.Linear)


def test_logit_of_a_tiny_model_by_hand():
    embedding = SingleTables([2], 1)
    model = DLRM(embedding, 1, DLRMHyper((), ()), Draws(0))
    with torch.no_grad():
        embedding.weight.copy_(torch.tensor([[10.0], [-3.0]]))
        model.bottom[0].weight.fill_(2.0), model.bottom[0].bias.fill_(1.0)
        model.top[0].weight.copy_(torch.tensor([[1.0, 0.5]])), model.top[0].bias.fill_(0.25)
    # bottom = relu(2·1.5 + 1) = 4; dot = 4·(-3) = -12; logit = 4 - 6 + 0.25
    assert model(torch.tensor([[1.5]]), torch.tensor([[1]])).tolist() == [-1.75]


def test_arms_of_equal_seed_and_width_start_with_equal_mlps(schema):
    single, mlet = (build_model(make_spec(schema, arm), schema) for arm in ("single", "mlet"))
    for name, value in single.state_dict().items():
        if not name.startswith("embedding."):
            assert torch.equal(value, mlet.state_dict()[name]), name
    other = build_model(make_spec(schema, "single", seed=1), schema)
    assert not torch.equal(other.top[0].weight, single.top[0].weight)
    assert not torch.equal(other.embedding.weight, single.embedding.weight)


def test_deploying_leaves_the_model_as_it_was(schema, splits):
    model = build_model(make_spec(schema), schema)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    served = deploy_model(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    rows = splits["val"]
    torch.testing.assert_close(served(rows.dense, rows.ids), model(rows.dense, rows.ids), rtol=0, atol=1e-6)
    assert "w2" not in " ".join(served.state_dict())


def test_unknown_model_and_precision_are_refused(schema):
    with pytest.raises(BenchError, match="unknown model 'no-such-model': there are dlrm"):
        build_model(make_spec(schema, model="no-such-model"), schema)
    with pytest.raises(BenchError, match="precision 'bfloat16'"):
        build_model(make_spec(schema, precision="bfloat16"), schema)
