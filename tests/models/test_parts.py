"""The layers of the models by hand, against their formulas written out, and their initial laws."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from mlet_bench.embeddings.draw import Draws
from mlet_bench.models.parts import cin as cin_file
from mlet_bench.models.parts import cin_layers
from mlet_bench.models.parts.attention import FieldAttention
from mlet_bench.models.parts.cin import CIN
from mlet_bench.models.parts.cross import MatrixCross, VectorCross
from mlet_bench.models.parts.fm import bi_interaction
from mlet_bench.models.parts.logit import LinearPart, Output


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)


def filled(layer: nn.Module, **values) -> nn.Module:
    with torch.no_grad():
        for name, value in values.items():
            layer.get_parameter(name).copy_(torch.tensor(value))
    return layer


def test_vector_cross_by_hand():
    cross = filled(VectorCross(2, 2, Draws(0)), weight=[[1.0, 2.0], [0.5, -1.0]], bias=[[0.1, 0.2], [0.0, 1.0]])
    # x0 = (1, 3): x0·w = 7, x1 = 7 (1, 3) + (.1, .2) + (1, 3) = (8.1, 24.2)
    # x1·w = 4.05 - 24.2 = -20.15, x2 = -20.15 (1, 3) + (0, 1) + (8.1, 24.2) = (-12.05, -35.25)
    torch.testing.assert_close(cross(torch.tensor([[1.0, 3.0]])), torch.tensor([[-12.05, -35.25]]))


def test_matrix_cross_by_hand():
    cross = filled(MatrixCross(2, 1, Draws(0)), weight=[[[1.0, 2.0], [0.5, -1.0]]], bias=[[0.1, 0.2]])
    # W x = (7, -2.5), x0 * (W x + b) + x = (7.1, 3 (-2.3)) + (1, 3)
    torch.testing.assert_close(cross(torch.tensor([[1.0, 3.0]])), torch.tensor([[8.1, -3.9]]))


@pytest.mark.parametrize("layer", [VectorCross, MatrixCross])
def test_a_cross_network_without_layers_is_its_input(layer):
    x = random(2, 3)
    assert torch.equal(layer(3, 0, Draws(0))(x), x)


def test_bi_interaction_by_hand():
    vectors = torch.tensor([[[1.0, 2.0], [3.0, -1.0], [0.5, 4.0]]])
    # 1·3 + 1·.5 + 3·.5 = 5; 2·(-1) + 2·4 + (-1)·4 = 2
    assert bi_interaction(vectors).tolist() == [[5.0, 2.0]]


def test_bi_interaction_is_the_sum_over_all_pairs():
    vectors = random(5, 6, 3)
    pairs = [vectors[:, i] * vectors[:, j] for i in range(6) for j in range(i)]
    torch.testing.assert_close(bi_interaction(vectors), torch.stack(pairs).sum(0))


def test_cin_by_hand():
    cin = CIN(2, (2, 1), Draws(0))
    filled(cin, **{"layers.0.0.weight": [[1.0, 0.0, 2.0, -1.0], [0.0, 1.0, 1.0, 0.0]], "layers.0.0.bias": [0.5, 0.0]})
    filled(cin, **{"layers.1.0.weight": [[2.0, -1.0]], "layers.1.0.bias": [1.0]})
    # One column of d, v = (2, 3); products v_i v_j = (4, 6, 6, 9). Map 0 = 4 + 12 - 9 + .5 = 7.5, map 1 = 12.
    # Map 0 goes on: products 7.5 v = (15, 22.5), map = 30 - 22.5 + 1 = 8.5. Output: map 1 and that one.
    assert cin(torch.tensor([[[2.0], [3.0]]])).tolist() == [[12.0, 8.5]]
    # A second column, v = (-1, 0): map 0 = 1 + .5, map 1 = 0; then 2 (-1.5) + 1 < 0, which ReLU makes 0.
    assert cin(torch.tensor([[[2.0, -1.0], [3.0, 0.0]]])).tolist() == [[12.0, 8.5]]


@pytest.mark.parametrize("block", [3, 1024])
def test_cin_is_its_formula(block, monkeypatch):
    monkeypatch.setattr(cin_layers, "COLUMNS", block)
    vectors, cin = random(3, 4, 2), CIN(4, (6, 2, 3), Draws(1)).double()
    x, expected = vectors, []
    for number, layer in enumerate(cin.layers):
        weight, bias = layer[0].weight.view(-1, x.shape[1], 4), layer[0].bias
        x = (torch.einsum("hij,bid,bjd->bhd", weight, x, vectors) + bias[:, None]).relu()
        x, direct = (x[:, :0], x) if number == 2 else x.chunk(2, dim=1)
        expected.append(direct.sum(2))
    expected = torch.cat(expected, dim=1)
    assert expected.shape == (3, cin.outputs)
    torch.testing.assert_close(cin(vectors), expected)


def test_cin_scores_a_batch_in_parts(monkeypatch):
    cin, vectors = CIN(4, (6, 3), Draws(0)), random(7, 4, 2).detach().float()
    expected = cin(vectors)
    monkeypatch.setattr(cin_file, "ROWS", 3)
    largest, layers = [], cin_file.all_layers
    monkeypatch.setattr(cin_file, "all_layers", lambda x, *rest: largest.append(len(x)) or layers(x, *rest))
    with torch.inference_mode():
        torch.testing.assert_close(cin(vectors), expected)
    assert largest == [6, 6, 2]  # rows times d


def test_attention_by_hand():
    attention = FieldAttention(1, heads=1, head_dim=1, draws=Draws(0))
    filled(attention, weight=[[[1.0]], [[2.0]], [[3.0]], [[0.5]]])  # of Q, K, V and R
    x = torch.tensor([[[1.0], [-1.0]]])
    # Field 0: scores 1·2·(1, -1) = (2, -2); softmax (s, 1-s), s = 1 / (1 + e^-4); 3 s - 3 (1-s) + .5 = 6 s - 2.5
    # Field 1: scores (-2, 2), 3 (1-s) - 3 s - .5 < 0
    s = 1 / (1 + torch.exp(torch.tensor(-4.0)))
    torch.testing.assert_close(attention(x), torch.stack([6 * s - 2.5, torch.tensor(0.0)]).view(1, 2, 1))


def test_attention_is_its_formula_head_by_head():
    x, attention = random(3, 5, 4), FieldAttention(4, heads=2, head_dim=3, draws=Draws(0)).double()
    with torch.no_grad():
        attention.weight.mul_(20)  # so that softmax is far from even
    heads = []
    for head in (slice(0, 3), slice(3, 6)):
        q, k, v = (x @ weight[:, head] for weight in attention.weight[:3])
        heads.append(torch.softmax(torch.einsum("bik,bjk->bij", q, k), dim=2) @ v)
    expected = (torch.cat(heads, dim=2) + x @ attention.weight[3]).relu()
    torch.testing.assert_close(attention(x), expected)


def test_linear_part_and_output_by_hand():
    part = filled(LinearPart(2, Draws(0)), weight=[2.0, -1.0], bias=[0.25])
    assert part(torch.tensor([[1.0, 3.0]]), torch.tensor([[[0.5], [1.5]]])).tolist() == [0.5 + 1.5 + 2 - 3 + 0.25]
    assert filled(Output(2, Draws(0)), weight=[2.0, -1.0])(torch.tensor([[1.0, 3.0]])).tolist() == [-1.0]
    biased = filled(Output(2, Draws(0), bias=True), weight=[2.0, -1.0], bias=[0.5])
    assert biased(torch.tensor([[1.0, 3.0]])).tolist() == [-0.5]


def test_initial_laws():
    draws = Draws(0)
    cross, matrix = VectorCross(5000, 2, draws), MatrixCross(100, 2, draws)
    assert cross.weight.std().item() == pytest.approx((2 / 5001) ** 0.5, rel=0.03)
    assert matrix.weight.std().item() == pytest.approx(0.1, rel=0.03)
    assert not torch.equal(matrix.weight[0], matrix.weight[1])
    assert cross.bias.abs().max() == matrix.bias.abs().max() == 0
    assert FieldAttention(40, 2, 8, draws).weight.std().item() == pytest.approx(0.05, rel=0.05)
    assert LinearPart(5000, draws).weight.std().item() == pytest.approx(1e-4, rel=0.05)
    for weight, fan_in in ((Output(2500, draws).weight, 2500), (CIN(10, (400,), draws).layers[0][0].weight, 100)):
        assert weight.abs().max().item() == pytest.approx(fan_in**-0.5, rel=0.01)
        assert weight.var().item() == pytest.approx(1 / fan_in / 3, rel=0.05)


PARTS = {
    "vector cross": (lambda draws: VectorCross(4, 2, draws), (3, 4)),
    "matrix cross": (lambda draws: MatrixCross(4, 2, draws), (3, 4)),
    "CIN": (lambda draws: CIN(3, (4, 2), draws), (3, 3, 2)),
    "attention": (lambda draws: FieldAttention(2, 2, 3, draws), (3, 3, 2)),
}


@pytest.mark.parametrize("part", PARTS)
def test_gradient_by_finite_differences(part, monkeypatch):
    monkeypatch.setattr(cin_layers, "COLUMNS", 4)  # of 6: two blocks
    make, shape = PARTS[part]
    layer = make(Draws(0)).double()
    values = {name: value.detach().requires_grad_() for name, value in layer.named_parameters()}

    def call(x, *parameters):
        return functional_call(layer, dict(zip(values, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, (random(*shape), *values.values()))


@pytest.mark.parametrize("part", PARTS)
def test_two_side_by_side_are_each_alone(part):
    make, shape = PARTS[part]
    layers, x = [make(Draws(seed)).double() for seed in range(2)], random(2, *shape)
    alone = torch.stack([layer(one) for layer, one in zip(layers, x, strict=True)])
    template = make(Draws(0)).double()
    if "batched" in dir(type(template)):
        vars(template)["batched"] = True
    together = vmap(lambda parameters, one: functional_call(template, parameters, (one,)))
    torch.testing.assert_close(together(stack_module_state(layers)[0], x), alone)
