"""Methods that share rows or narrow them: vectors, initial values and sizes by hand."""

import pytest
import torch
from toys import SIZES

from mlet_bench.embeddings import METHODS
from mlet_bench.embeddings.draw import W2, stream_of, uniform_
from mlet_bench.embeddings.md import mixed_widths
from mlet_bench.embeddings.qr import quotient_remainder
from mlet_bench.embeddings.robe import MULTIPLIER, PRIME, SHIFT
from mlet_bench.embeddings.tt import cube, three_factors
from mlet_bench.errors import BenchError


def drawn(method: str, sizes=SIZES, dim: int = 4, **options):
    tables = METHODS[method](sizes, dim, **options)
    tables.reset_parameters(7)
    return tables


def test_hashed_ids_of_equal_remainder_share_a_row():
    tables = drawn("hash", sizes=(5, 300), rows=20)
    assert tables.stored == (5, 20) and tables.weight.shape == (25, 4)
    ids = torch.tensor([[4, 19], [0, 20], [3, 299]])
    found = tables(ids)
    assert torch.equal(found[:, 0], tables.weight[[4, 0, 3]])
    assert torch.equal(found[:, 1], tables.weight[[5 + 19, 5 + 0, 5 + 19]])  # 299 = 14 · 20 + 19
    # The law is that of the field's 300 categories, whatever the cap.
    assert torch.equal(tables.field_rows(1), uniform_(torch.empty(20, 4), 7, stream_of(1), 300**-0.5))


@pytest.mark.parametrize(
    ("n", "collisions", "rows"),
    [
        (300, 7, (43, 7)),
        (300, 60, (17, 18)),
        (201, 100, (14, 15)),
        (200, 100, (200, 0)),
        (1, 1, (1, 0)),
        (300, 1, (300, 0)),
    ],
)
def test_rows_of_quotient_and_remainder(n, collisions, rows):
    assert quotient_remainder(n, collisions) == rows


def test_quotient_and_remainder_are_added_and_a_small_table_stays():
    tables = drawn("qr", sizes=(3, 300), collisions=7)
    assert tables.stored == (3, 43 + 7)
    small, large = tables.field_rows(0), tables.field_rows(1)
    found = tables(torch.tensor([[2, 299], [0, 6], [1, 7]]))
    assert torch.equal(found[:, 0], small[[2, 0, 1]])
    # 299 = 42 · 7 + 5, 6 = 0 · 7 + 6, 7 = 1 · 7 + 0
    assert torch.equal(found[:, 1], large[[42, 0, 1]] + large[43:][[5, 6, 0]])


def test_quotient_and_remainder_are_multiplied_on_request():
    tables = drawn("qr", sizes=(3, 300), collisions=7, operation="mult")
    found = tables(torch.tensor([[2, 299]]))
    assert torch.equal(found[0, 0], tables.field_rows(0)[2])
    assert torch.equal(found[0, 1], tables.field_rows(1)[42] * tables.field_rows(1)[43 + 5])
    with pytest.raises(BenchError, match="operation of qr is 'concat'"):
        METHODS["qr"](SIZES, 4, collisions=3, operation="concat")


def test_the_quotient_is_exact_where_float32_is_not():
    size = 2**25
    with torch.device("meta"):
        tables = METHODS["qr"]([size], 1, collisions=3)
    last = size - 1
    assert tables.slots(torch.tensor([[last]])).flatten().tolist() == [last // 3, -(-size // 3) + last % 3]
    assert int(torch.tensor(last, dtype=torch.int32) / 3) != last // 3  # what a division in float32 gives


def test_every_id_has_a_pair_of_rows_of_its_own():
    tables = drawn("qr", sizes=(300,), collisions=7)
    pairs = tables.slots(torch.arange(300)[:, None]).squeeze(0)
    assert len({tuple(pair) for pair in pairs.tolist()}) == 300


def test_mixed_dimensions_by_hand():
    # 16 (4/n)^0.5: 16, 8, 4, 2, and 0.5 rounded up to the least width.
    assert mixed_widths([4, 16, 64, 256, 4096], 16, 0.5) == [16, 8, 4, 2, 1]
    assert mixed_widths([4, 4096], 16, 0) == [16, 16]
    tables = drawn("md", sizes=(4, 16, 64), dim=4, alpha=0.5)
    assert tables.widths == [4, 2, 1] and tables.stored == (16, 32, 64) and tables.projections.shape == (3, 4)
    wide, middle, narrow = (tables.field_rows(f).view(n, -1) for f, n in enumerate((4, 16, 64)))
    found = tables(torch.tensor([[3, 15, 63], [0, 1, 2]]))
    torch.testing.assert_close(found[:, 0], wide[[3, 0]])  # no projection
    torch.testing.assert_close(found[:, 1], middle[[15, 1]] @ tables.projections[:2])
    torch.testing.assert_close(found[:, 2], narrow[[63, 2]] @ tables.projections[2:])
    assert torch.equal(middle, uniform_(torch.empty(16, 2), 7, stream_of(1), 0.25))
    assert torch.equal(
        tables.projections[:2], uniform_(torch.empty(2, 4), 7, stream_of(1, W2), 1.0)
    )  # sqrt(6 / (2 + 4))


def test_one_array_serves_all_fields():
    tables = drawn("robe", sizes=(5, 300), size=50)
    assert tables.weight.shape == (50, 1) and tables.training_bytes() == 200
    first = [((id + offset) * MULTIPLIER + SHIFT) % PRIME % (50 - 4 + 1) for id, offset in ((3, 0), (299, 5))]
    found = tables(torch.tensor([[3, 299]]))
    for field, start in enumerate(first):
        assert torch.equal(found[0, field], tables.weight[start : start + 4, 0])
    assert tables.weight.abs().max() <= 300**-0.5 and tables.weight.abs().max() > 0.9 * 300**-0.5


def test_factors_of_tensor_trains():
    assert three_factors(16) == (2, 2, 4) and three_factors(4) == (1, 2, 2) and three_factors(7) == (1, 1, 7)
    for n in (1, 2, 3, 7, 8, 9, 40, 300, 10_131_227):
        a, b, c = cube(n)
        assert a * b * c >= n and a * b * (c - 1) < n and a <= round(n ** (1 / 3)) + 1


def test_tensor_trains_by_hand():
    tables, r = drawn("tt", sizes=(60,), dim=8, rank=3), 3
    assert cube(60) == (4, 4, 4) and tables.factors_of_d == (2, 2, 2)
    assert tables.stored == (4 * 2 + 4 * r * 2 + 4 * 2,)
    g1, g2, g3 = tables.weight.split(tables.parts[0])
    g1, g2, g3 = g1.view(4, 2, r), g2.view(4, r, 2, r), g3.view(4, 2, r)
    for id in (0, 3, 17, 59):
        i1, i2, i3 = id // 16, id // 4 % 4, id % 4
        vector = torch.einsum("xa,aybz,wb->xywz".replace("z", ""), g1[i1], g2[i2], g3[i3]).flatten()
        torch.testing.assert_close(tables(torch.tensor([[id]]))[0, 0], vector)


def test_a_large_batch_is_looked_up_in_parts(monkeypatch):
    tables = drawn("tt", sizes=(60, 5), dim=8, rank=3)
    assert tables.values_read == 2 * (2 + 6 + 2) * 3
    ids = torch.stack([torch.arange(50), torch.arange(50) % 5], 1)
    whole, seen, slots = tables(ids), [], tables.slots
    monkeypatch.setattr(tables, "slots", lambda part: seen.append(len(part)) or slots(part))
    monkeypatch.setattr("mlet_bench.embeddings.base.BLOCK_VALUES", 20 * 60)
    assert torch.equal(tables(ids), whole) and seen == [20, 20, 10]


def test_laws_of_tensor_trains():
    n, rank = 50_000, 8
    lengths = {}
    for law in ("matched", "fbtt"):
        table = drawn("tt", sizes=(n,), dim=16, rank=rank, law=law).table(0)
        lengths[law] = (table.square().mean() * 3 * n).sqrt().item()  # over that of U(-1/sqrt(n), 1/sqrt(n))
    assert lengths["matched"] == pytest.approx(1, rel=0.1)
    assert lengths["fbtt"] == pytest.approx(13.8 * rank, rel=0.1)


@pytest.mark.parametrize("method, option", [("mlet-hash", {"rows": 20}), ("mlet-qr", {"collisions": 7})])
def test_mlet_over_shared_rows_is_served_as_they_are(method, option):
    tables = drawn(method, inner_dim=8, **option)
    served = tables.deployed()
    assert served.name == method.removeprefix("mlet-") and served.weight.shape == (sum(tables.stored), 4)
    assert served.stored == tables.stored and served.options().items() >= option.items()
    ids = torch.tensor([[6, 39, 2, 299], [0, 21, 1, 20]])
    torch.testing.assert_close(served(ids), tables(ids), rtol=0, atol=1e-7)
    n, field = 300, 3
    rows, slots = tables.field_rows(field), tables.w2.view(4, tables.num_slots, 8, 4)[field]
    if method == "mlet-hash":
        by_hand = rows[299 % 20] @ slots[0]
    else:
        by_hand = rows[299 // 7] @ slots[0] + rows[43 + 299 % 7] @ slots[1]
    torch.testing.assert_close(tables(ids)[0, field], by_hand)
    assert torch.equal(rows, uniform_(torch.empty(len(rows), 8), 7, stream_of(field), n**-0.5))
