"""What MLET costs: bytes of tables and of what the optimizer keeps."""

import pytest
import torch
from fake_results import make_results, small_config

from mlet_bench.claims.c5_overhead import STATE_PER_PARAMETER, OverheadClaim
from mlet_bench.tables.read import read_results
from mlet_bench.training.step import OPTIMIZERS


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_is_counted_as_the_row_optimizers_keep_it(name):
    weight = torch.zeros(30, 4)
    state = OPTIMIZERS[name][0](weight, lr=0.1).state()
    assert sum(tensor.numel() for tensor in state.values()) == STATE_PER_PARAMETER[name] * weight.numel()


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adagrad, torch.optim.Adam, torch.optim.AdamW])
def test_state_is_counted_as_torch_keeps_it_in_a_sweep(kind):
    weight = torch.nn.Parameter(torch.zeros(30, 4))
    weight.grad = torch.ones(30, 4)
    optimizer = kind([weight], lr=0.1)
    optimizer.step()
    kept = [value for value in optimizer.state[weight].values() if torch.is_tensor(value) and value.ndim]
    assert sum(tensor.numel() for tensor in kept) == STATE_PER_PARAMETER[kind.__name__.lower()] * weight.numel()


@pytest.mark.parametrize(("optimizer", "kept"), [("sgd", "0"), ("adagrad", "0.00243")])
def test_memory_by_hand(tmp_path, optimizer, kept):
    """n = 30, F = 2, d = 4, k = 16, float32: 4 (30·16 + 2·16·4) = 2432 bytes of W1 and W2, 480 deployed; peak 1e8."""
    config = small_config(training={"optimizer": optimizer})
    section = OverheadClaim().section(read_results(make_results(tmp_path, config)))
    (memory,) = [table for title, table in section.tables if title.startswith("Memory")]
    assert ["avazu", "mlet", "4", "16", "0.00243", kept, "100", "0.00048", "5.07x"] in memory.rows


def test_extra_time_is_shown_in_percent(tmp_path):
    """2.244 ms over 2 ms, and what the middle half of the seven pairs spans."""
    section = OverheadClaim().section(read_results(make_results(tmp_path, small_config())))
    assert section.text[1].endswith("+12.2% on average over 1 (d, k), beside the paper's +25%.")
    assert section.tables[0][1].rows[0][-4:] == ["2.000", "2.244", "+12.2%", "+11.8% to +12.3%"]


def test_what_was_not_measured_is_said(tmp_path):
    skip = {("mlet-d4-k16", 0), ("mlet-d4-k16", 1)}
    section = OverheadClaim().section(read_results(make_results(tmp_path, overhead=False, skip=skip)))
    assert "Not measured" in section.text[0]
    assert [row[1] for _, table in section.tables for row in table.rows] == ["single"]
