"""Initial values: the published generator, a law that holds, and values that depend on their place alone."""

import itertools
import math

import pytest
import torch
from scipy import special, stats

from mlet_bench import kernels
from mlet_bench.embeddings import draw
from mlet_bench.embeddings.draw import W2, normal_, stream_of, uniform_
from mlet_bench.errors import BenchError

BOTH = pytest.mark.parametrize("fill", [uniform_, normal_])
FAR = 2**40 + 2**32 - 3  # a first row whose upper half is not 0 and changes after three rows


@pytest.fixture(params=["kernel", "torch"], autouse=True)
def path(request, monkeypatch):
    """Every test runs on the kernel and on plain torch."""
    if request.param == "torch":
        monkeypatch.setattr(kernels, "library", lambda: None)
    elif kernels.library() is None:
        pytest.skip("needs a C++ compiler")


def drawn(fill, shape, seed=1, stream=0, scale=0.5, first_row=0, dtype=torch.float32):
    return fill(torch.full(shape, math.nan, dtype=dtype), seed, stream, scale, first_row)


def philox_by_hand(counter, key):
    """Figure 2 of Salmon et al. (2011), in Python's integers."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        (high0, low0), (high1, low1) = divmod(0xD2511F53 * c0, 2**32), divmod(0xCD9E8D57 * c2, 2**32)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return c0, c1, c2, c3


def word_by_hand(seed, stream, row, column):
    counter = row % 2**32, row // 2**32, column // 4, stream
    return philox_by_hand(counter, (seed % 2**32, seed // 2**32))[column % 4]


def normal_by_hand(word):
    """AS 241 in Python's floats, one correctly rounded operation after the other: no contraction, no vectors."""
    q = (2 * word + 1 - 2**32) / 2**33
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        top = ((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179
        return q * top / (((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0)
    mantissa, exponent = math.frexp(0.5 - abs(q))
    s = (mantissa - 0.5**0.5) / (mantissa + 0.5**0.5)
    series = 2 / 13
    for odd in (11, 9, 7, 5, 3, 1):
        series = series * (s * s) + 2 / odd
    square, root = (0.5 - exponent) * 0.6931471805599453 - s * series, 3.0
    for _ in range(5):
        root = (root + square / root) * 0.5
    r = root - 1.6
    top = ((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777
    return math.copysign(top / ((0.12021132975 * r + 0.73700164250) * r + 1.0), q)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # tests/kat_vectors of Random123
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_known_answers(counter, key, expected):
    counter, key, expected = ([int(word, 16) for word in words.split()] for words in (counter, key, expected))
    words = draw.philox(tuple(torch.tensor([word]) for word in counter), tuple(key))
    assert [word.item() for word in words] == expected == list(philox_by_hand(counter, key))
    seed, stream, row = key[0] | key[1] << 32, counter[3], counter[0] | counter[1] << 32
    if row < 2**63 and counter[2] == 0:
        values = drawn(uniform_, (1, 4), seed, stream, 1.0, row, torch.float64)
        assert values.tolist() == [[(2 * (word >> 8) + 1 - 2**24) / 2**24 for word in expected]]


@pytest.mark.parametrize("first_row", [0, FAR])
@pytest.mark.parametrize("seed", [3, 2**64 - 5])
@pytest.mark.parametrize("stream", [0, stream_of(25, W2), 2**32 - 1])
def test_every_value_is_the_definition_at_its_place(seed, stream, first_row):
    words = [[word_by_hand(seed, stream, first_row + row, column) for column in range(11)] for row in range(37)]
    for dtype in (torch.float64, torch.float32):
        bound = torch.tensor(0.3, dtype=torch.float32).double()
        expected = (torch.tensor(words).div(2**8, rounding_mode="floor") * 2 + 1 - 2**24) / 2**24
        values = drawn(uniform_, (37, 11), seed, stream, 0.3, first_row, dtype)
        assert torch.equal(values, (expected.double() * bound).to(dtype))
        expected = torch.tensor([[normal_by_hand(word) for word in row] for row in words], dtype=torch.float64)
        values = drawn(normal_, (37, 11), seed, stream, 0.3, first_row, dtype)
        assert torch.equal(values, (expected * 0.3).to(dtype))


def test_normal_values_are_the_laws_quantiles():
    words = torch.cat([torch.arange(5000), torch.arange(0, 2**32, 2**15), 2**32 - 1 - torch.arange(5000)])
    values = draw._normal(words).numpy()
    expected = special.ndtri((words.double().numpy() + 0.5) / 2**32)
    assert abs(values / expected - 1).max() < 2e-7
    assert 6.3 < abs(values).max() < 6.4


def moments(values, law):
    """Of the standardised values, each minus the law's, in standard errors: mean, variance, third, fourth."""
    standard = (values.double() / law.std()).flatten()
    for power in (1, 2, 3, 4):
        expected, square = (law.moment(order) / law.std() ** order for order in (power, 2 * power))
        yield ((standard**power).mean().item() - expected) / math.sqrt((square - expected**2) / standard.numel())


@pytest.mark.parametrize("shape", [(2**18, 1), (2**14, 16), (2**11, 130)])
@pytest.mark.parametrize(
    ("fill", "law"), [(uniform_, stats.uniform(-0.25, 0.5)), (normal_, stats.norm(0, 0.25))], ids=["uniform", "normal"]
)
def test_law(fill, law, shape):
    values = drawn(fill, shape, seed=11, stream=stream_of(4), scale=0.25)
    assert max(map(abs, moments(values, law))) < 4
    assert stats.kstest(values.flatten().numpy(), law.cdf).pvalue > 0.01


def test_support_is_open_symmetric_and_even():
    """2^24 midpoints: no end, no zero, and the smallest distance from them is half an interval."""
    values = drawn(uniform_, (2**16, 64), scale=1.0, dtype=torch.float64)
    steps = values * 2**24
    assert torch.equal(steps, steps.round()) and bool((steps % 2 == 1).all())
    assert values.abs().max() < 1 and values.max() > 1 - 1e-5 and values.min() < -1 + 1e-5
    for bound in (1.0, 0.3, 2.0**-13, 1 / 3, 1.9999999):  # rounding never reaches the end
        end = torch.tensor([2**32 - 1, 0]) >> 7 | 1
        scale = torch.tensor(bound, dtype=torch.float32)
        assert ((end - 2**24).float() * (scale * 2**-24)).abs().max() < scale


NEIGHBOURS = {
    "row below": {"first_row": 1},
    "row 2^32 below": {"first_row": 2**32},
    "seed before": {"seed": 0},
    "seed + 2^32": {"seed": 1 + 2**32},
    "next field": {"stream": stream_of(1)},
    "next factor": {"stream": stream_of(0, W2)},
}


@BOTH
@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_neighbours_are_independent(fill, neighbour):
    shape = (2**14, 16)
    one, other = drawn(fill, shape), drawn(fill, shape, **NEIGHBOURS[neighbour])
    assert abs(correlation(one, other)) < 4
    assert abs(correlation(one**2, other**2)) < 4


@BOTH
def test_columns_are_independent(fill):
    values = drawn(fill, (2**14, 12))
    for left, right in itertools.combinations(range(12), 2):
        assert abs(correlation(values[:, left], values[:, right])) < 4
        assert abs(correlation(values[:, left] ** 2, values[:, right] ** 2)) < 4


def correlation(one, other):
    """In standard errors: about N(0, 1) if the two are independent."""
    matrix = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]).double())
    return matrix[0, 1].item() * math.sqrt(one.numel())


@BOTH
def test_a_narrow_table_is_the_left_part_of_a_wide_one(fill):
    wide = drawn(fill, (100, 128))
    for width in (1, 3, 16, 64, 127):
        assert torch.equal(drawn(fill, (100, width)), wide[:, :width])


@BOTH
def test_a_shard_is_the_slice_of_the_whole(fill):
    whole = drawn(fill, (1000, 20), first_row=FAR)
    for start, end in ((0, 1), (1, 4), (37, 999), (500, 500)):
        assert torch.equal(drawn(fill, (end - start, 20), first_row=FAR + start), whole[start:end])


@BOTH
def test_blocks_and_strides_change_nothing(fill, monkeypatch):
    expected = drawn(fill, (300, 10))
    room = torch.zeros(300, 15)
    for out in (room[:, 2:12], torch.zeros(10, 300).t()):
        assert torch.equal(fill(out, 1, 0, 0.5), expected)
    assert not room[:, :2].any() and not room[:, 12:].any()
    monkeypatch.setitem(draw.BLOCK, "cpu", 7)
    assert torch.equal(drawn(fill, (300, 10)), expected)
    assert torch.equal(drawn(fill, (10,)), expected[0])  # a vector is a row


@BOTH
def test_float32_is_float64_rounded(fill):
    assert torch.equal(drawn(fill, (1000, 9), dtype=torch.float64).float(), drawn(fill, (1000, 9)))


@BOTH
def test_nothing_else_is_touched(fill, monkeypatch):
    """No global generator and no gradient; on ``meta`` nothing is computed, nor for a table without values."""
    before = torch.random.get_rng_state()
    parameter = torch.nn.Parameter(torch.zeros(4, 4))
    assert fill(parameter, 1, 0, 0.5) is parameter and parameter.grad_fn is None and parameter.all()
    assert torch.equal(torch.random.get_rng_state(), before)
    monkeypatch.setattr(draw, "_blocks", None)
    assert fill(torch.empty(2**40, 3, device="meta"), 1, 0, 0.5).is_meta
    assert drawn(fill, (0, 4)).shape == (0, 4)
    assert drawn(fill, (4, 0)).shape == (4, 0)


def test_streams_are_distinct():
    assert len({stream_of(part, factor) for part in (0, 1, 255, 256, 2**24 - 1) for factor in (0, 1, 255)}) == 15
    for part, factor in ((-1, 0), (2**24, 0), (0, 256)):
        with pytest.raises(BenchError, match=f"no stream for part {part}, factor {factor}"):
            stream_of(part, factor)


@BOTH
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shape": (2, 2, 2)}, "cannot draw a 3-d tensor of torch.float32"),
        ({"dtype": torch.float16}, "cannot draw a 2-d tensor of torch.float16"),
        ({"seed": -1}, "seed -1 and stream 0 must be unsigned"),
        ({"stream": 2**32}, "seed 1 and stream 4294967296 must be unsigned"),
        ({"scale": 0.0}, "is 0.0: it must be within"),
        ({"scale": math.nan}, "is nan: it must be within"),
        ({"first_row": -1}, "first row -1 of 2"),
        ({"first_row": 2**63 - 2}, "first row 9223372036854775806 of 2"),
    ],
)
def test_refused(fill, wrong, message):
    with pytest.raises(BenchError, match=message):
        drawn(fill, **({"shape": (2, 2)} | wrong))
