"""Where we differ from the peers on purpose: what they do, shown with their code."""

import numpy as np
import pytest
import torch
from agreements import PeerAbsent
from checkouts import DLRM, FORK, module_at
from compare_preparation import formula_file
from deepctr import THEIRS
from paired_models import PeerModel
from peer_metrics import peer_metrics
from peer_preparation import ours, run_peer
from tiny_backbones import tiny as tiny_backbone
from tiny_backbones import tiny_peer
from tiny_model import DENSE, LR, tiny
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits

from mlet_bench.embeddings import METHODS
from mlet_bench.evaluation.metrics import all_metrics


@pytest.fixture
def prepared_by():
    """run_peer, or a skip with the reason."""

    def run(*arguments):
        try:
            return run_peer(*arguments)
        except PeerAbsent as absent:
            pytest.skip(str(absent))

    return run


@pytest.fixture
def dlrm_script():
    """facebookresearch/dlrm's script, or a skip with the reason."""
    try:
        return DLRM.script
    except PeerAbsent as absent:
        pytest.skip(str(absent))


def test_fork_adds_rows_of_zeros_and_with_them_categories(prepared_by):
    mine, theirs = ours(formula_file()), prepared_by(FORK, "fork", formula_file(), "none,0")
    assert len(mine.label) == 220 and len(theirs.label) == 224
    # The first three fields are never empty in the file: the added rows' empty token is a category of its own.
    assert (theirs.counts - mine.counts).tolist() == [1, 1, 1] + [0] * 23
    assert mine.rows == (189, 16, 15) and theirs.rows == (192, 16, 16)  # three more training rows


def test_fork_scores_each_seed_on_other_rows(prepared_by):
    one, two = (prepared_by(FORK, "fork", formula_file(), f"total,{seed}") for seed in (1, 2))

    def held_out(prepared, chosen: slice) -> set[bytes]:
        return {row.tobytes() for row in prepared.ids[chosen]}

    train = one.rows[0]
    test = slice(train, train + one.rows[1])
    assert held_out(one, slice(train, None)) == held_out(two, slice(train, None))  # the same last day
    assert held_out(one, test) != held_out(two, test)


def test_dlrm_takes_the_token_of_eight_zeros_for_a_missing_one(prepared_by, tmp_path):
    raw = tmp_path / "zeros.txt"
    tokens = ("00000000", "", "68fd1e64")
    rows = [["01"[i % 2], *["1"] * 13, tokens[i % 3], *["be589b51"] * 25] for i in range(21)]
    raw.write_text("".join("\t".join(row) + "\n" for row in rows))
    theirs = prepared_by(DLRM, "head", raw, "none,0")
    assert theirs.counts[0] == 2
    assert ours(raw).counts[0] == 3


def test_half_is_a_click_for_us_alone(dlrm_script):
    label, probability = np.array([1, 1, 1, 0], np.float32), np.array([0.5, 0.5, 0.9, 0.1], np.float32)
    assert peer_metrics(label, probability)["accuracy"] == 0.5
    assert all_metrics(label, probability)["accuracy"] == 1.0


def test_dlrm_loss_stops_at_100_where_a_probability_rounds_to_one(dlrm_script):
    loss = PeerModel(dlrm_script, tiny("single", torch.float32)[0], None, LR).net.loss_fn
    logit, label = torch.tensor([200.0]), torch.tensor([0.0])
    assert loss(logit.sigmoid(), label) == 100
    assert binary_cross_entropy_with_logits(logit, label) == 200


@pytest.fixture
def authors_net():
    """A tiny DeepFM of the authors' code for paper B and ours with equal weights, or a skip with the reason."""
    model, _ = tiny_backbone("deepfm", "single", torch.float32)
    try:
        return model, tiny_peer("deepfm", model)
    except PeerAbsent as absent:
        pytest.skip(str(absent))


@pytest.fixture
def dlrm_qr():
    """facebookresearch/dlrm's quotient-remainder tables, or a skip with the reason."""
    try:
        return module_at(DLRM, "tricks/qr_embedding_bag.py").QREmbeddingBag
    except PeerAbsent as absent:
        pytest.skip(str(absent))


def test_the_authors_rows_of_large_logits_have_no_gradient(authors_net):
    """Their loss is taken from the probability, which is 1 in float32 beyond a logit of 17."""
    model, theirs = authors_net
    for bias in (model.first_order.bias, theirs.net.out.bias):
        torch.nn.init.constant_(bias, 20.0)
    dense, ids, label = torch.zeros(1, len(DENSE)), torch.zeros(1, 3, dtype=torch.int32), torch.zeros(1)
    binary_cross_entropy(theirs.predict(dense, ids), label, reduction="sum").backward()
    binary_cross_entropy_with_logits(model(dense, ids), label).backward()
    assert model(dense, ids).item() > 18 and model.first_order.bias.grad.item() == pytest.approx(1)
    assert theirs.net.out.bias.grad.item() == 0


def test_the_authors_dense_linear_weights_are_trained_on_a_cpu_alone():
    """A parameter that is moved to a device is none any more, unless it was there; meta stands for CUDA here."""
    try:
        inputs, linear = THEIRS.module.inputs, THEIRS.module.models.basemodel.Linear
    except PeerAbsent as absent:
        pytest.skip(str(absent))
    columns = [inputs.SparseFeat("f", vocabulary_size=3, embedding_dim=2), inputs.DenseFeat("x", 1)]
    names = [
        {name for name, _ in linear(columns, inputs.build_input_features(columns), device=device).named_parameters()}
        for device in ("cpu", "meta")
    ]
    assert names[0] - names[1] == {"weight"}


def test_dlrm_draws_hashed_rows_from_one_side(dlrm_qr):
    bag = dlrm_qr(10_000, 8, 100, operation="add", mode="sum")
    # nn.init.uniform_ takes the lower bound alone: U(1/sqrt(n), 1), not U(-1/sqrt(n), 1/sqrt(n)).
    assert bag.weight_q.min() >= 0.01 and bag.weight_q.max() > 0.9
    mine = METHODS["qr"]([10_000], 8, collisions=100)
    mine.reset_parameters(0)
    assert mine.weight.abs().max() <= 0.01 and abs(mine.weight.mean().item()) < 1e-3


def test_dlrm_divides_ids_in_float32(dlrm_qr):
    size, collisions = 2**25, 2**20
    bag = dlrm_qr(size, 1, collisions, operation="add", mode="sum")
    wrong = 17 * collisions - 1  # its quotient is 16; in float32 the id itself is rounded up to 17 times c
    with torch.no_grad():
        bag.weight_q.copy_(torch.arange(float(len(bag.weight_q)))[:, None])
        bag.weight_r.zero_()
    assert bag(torch.tensor([[wrong]])).item() == 17
    with torch.device("meta"):
        mine = METHODS["qr"]([size], 1, collisions=collisions)
    assert mine.slots(torch.tensor([[wrong]]))[0, 0, 0] == wrong // mine.divisors.item()
