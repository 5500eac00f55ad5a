"""Initial values as a function of (seed, stream, row, column): counter-based random numbers.

No value depends on what was drawn before it, on the shape it is drawn in, on the number of threads or on the device.
So the rows first_row, first_row + 1, ... of a table are the same in a shard of it as in the whole, and the left 64
columns of a table of width 128 are the table of width 64.

The generator is Philox4x32-10 (Salmon, Moraes, Dror, Shaw, *Parallel random numbers: as easy as 1, 2, 3*, SC 2011).
Its key is the seed. One counter, (low and high half of the row, column // 4, stream), gives the words of four columns.

Example::

    seed = derive_seed(run.seed, "embedding")
    uniform_(table, seed, stream_of(field), n**-0.5)  # (n, k), in place
    normal_(w2, seed, stream_of(field, W2), 0.25)  # (k, d), in place
"""

import ctypes
from collections.abc import Iterator

import torch
from torch import Tensor

from mlet_bench import kernels
from mlet_bench.errors import BenchError

ROWS, W2 = 0, 1  # the factors of a field: E or W1, which share their leading columns, and W2
MASK = 2**32 - 1
MULTIPLIERS, WEYL = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)  # of Philox4x32
ROUNDS = 10
BLOCK = {"cpu": 2**16, "cuda": 2**22}  # counters worked on at a time: temporaries in the cache, or enough work
SMALLEST, LARGEST = 2.0**-80, 2.0**80  # scales whose values are all normal float32 numbers


def stream_of(part: int, factor: int = ROWS) -> int:
    """The stream of one matrix among those that share a seed.

    Args:
        part: the field of an embedding, or the layer of an MLP; below 2^24.
        factor: which matrix of that part, say ``ROWS`` or ``W2``, a layer's weight or its bias; below 256.
    """
    if not (0 <= part < 2**24 and 0 <= factor < 2**8):
        raise BenchError(f"no stream for part {part}, factor {factor}: they must be below 2^24 and 256")
    return part << 8 | factor


class Draws:
    """Initial values of a model's layers: a stream for each tensor, in the order in which they are made.

    Example::

        draws = Draws(derive_seed(run.seed, "mlp"))
        draws.normal_(layer.weight, (2 / (fan_in + fan_out)) ** 0.5)
        draws.normal_(layer.bias, fan_out**-0.5)
    """

    def __init__(self, seed: int = 0):
        self.seed, self._drawn = seed, 0

    def normal_(self, out: Tensor, std: float) -> None:
        """Fill the next tensor, (m, width) or (width,), from N(0, std²)."""
        normal_(out, self.seed, stream_of(self._drawn), std)
        self._drawn += 1

    def uniform_(self, out: Tensor, bound: float) -> None:
        """Fill the next tensor, (m, width) or (width,), from U(-bound, bound)."""
        uniform_(out, self.seed, stream_of(self._drawn), bound)
        self._drawn += 1


@torch.no_grad()
def uniform_(out: Tensor, seed: int, stream: int, bound: float, first_row: int = 0) -> Tensor:
    """Fill ``out`` from U(-bound, bound), in place; on a CPU with the kernel where there is one: the same bits.

    With m the upper 24 bits of a word, a value is (2m + 1 - 2^24) 2^-24 · bound, bound rounded to float32: the
    midpoints of 2^24 equal intervals. Zero and both ends are never drawn, and the law is symmetric: its mean is 0
    exactly, its variance bound² (1 - 2^-48) / 3. In float64 the product is exact, in float32 it is rounded once; so a
    float32 table is the float64 table rounded, and equal bits on every device need nothing but IEEE arithmetic.

    Args:
        out: (m, width), or (width,), which is one row; float32 or float64, any strides. On ``meta`` nothing is done.
        seed: 64 bits, see ``mlet_bench.spec.derive_seed``.
        stream: 32 bits, see ``stream_of``.
        bound: within 2^-80 and 2^80.
        first_row: the row of the whole matrix that ``out`` begins with.

    Returns:
        ``out``.

    Raises:
        BenchError: another type or shape, or a number out of its range.
    """
    matrix = _checked(out, seed, stream, bound, first_row)
    scale = ctypes.c_float(bound).value * 2.0**-24
    if out.is_meta or not out.numel():
        return out
    if kernels.can_draw(matrix):
        kernels.draw_uniform(matrix, seed, stream, scale, first_row)
    else:
        for rows, words in _blocks(matrix, seed, stream, first_row):
            rows.copy_(((words >> 7) | 1).sub_(2**24).to(rows.dtype).mul_(scale))
    return out


@torch.no_grad()
def normal_(out: Tensor, seed: int, stream: int, std: float, first_row: int = 0) -> Tensor:
    """Fill ``out`` from N(0, std²), in place: computed on the CPU, with the kernel where there is one, then copied.

    A word w gives the quantile of probability (w + 1/2) / 2^32, in float64: |value| < 6.4 std. Only sums, products and
    quotients are used, one at a time, which IEEE rounds correctly, and no function of a mathematical library; so the
    bits are the same on every machine. float32 is the float64 value rounded.

    Args:
        std: within 2^-80 and 2^80.
        out, seed, stream, first_row: as of ``uniform_``.

    Returns:
        ``out``.

    Raises:
        BenchError: another type or shape, or a number out of its range.
    """
    matrix = _checked(out, seed, stream, std, first_row)
    if out.is_meta or not out.numel():
        return out
    if out.device.type != "cpu":
        return out.copy_(normal_(torch.empty_like(out, device="cpu"), seed, stream, std, first_row))
    if kernels.can_draw(matrix):
        kernels.draw_normal(matrix, seed, stream, std, first_row)
    else:
        for rows, words in _blocks(matrix, seed, stream, first_row):
            rows.copy_(_normal(words).mul_(std))
    return out


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int, int]) -> tuple[Tensor, ...]:
    """Philox4x32-10: four words of four words of a counter and two of a key.

    Words are int64 in [0, 2^32). A product of two of them wraps around: its bits are still those of the unsigned one.

    Args:
        counter: shapes that broadcast.

    Returns:
        Four tensors of the broadcast shape.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        # c1 and c3 are multiplied by nothing: their upper halves may hold anything until they are masked.
        c0, c1 = ((p1 >> 32) ^ c1).bitwise_xor_(k0).bitwise_and_(MASK), p1
        c2, c3 = ((p0 >> 32) ^ c3).bitwise_xor_(k1).bitwise_and_(MASK), p0
        k0, k1 = (k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK
    return c0, c1 & MASK, c2, c3 & MASK


def _blocks(matrix: Tensor, seed: int, stream: int, first_row: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The matrix a few rows at a time, (r, width), each time with their words, (r, width) int64 on its device."""
    width, device = matrix.shape[1], matrix.device
    groups = torch.arange((width + 3) // 4, device=device)[None]  # (1, G)
    streams = torch.full_like(groups, stream)
    size = max(1, BLOCK.get(device.type, BLOCK["cuda"]) // groups.numel())
    key = (seed & MASK, seed >> 32)
    for rows in matrix.split(size):
        index = torch.arange(first_row, first_row + len(rows), device=device)[:, None]  # (r, 1)
        words = philox((index & MASK, index >> 32, groups, streams), key)  # 4 of (r, G)
        yield rows, torch.stack(words, 2).flatten(1)[:, :width]
        first_row += len(rows)


def _normal(words: Tensor) -> Tensor:
    """The normal law's quantiles of (words + 1/2) / 2^32, in float64, to 1e-7 of their values.

    Algorithm AS 241, PPND7 (Wichura, *The percentage points of the normal distribution*, Applied Statistics 37, 1988);
    its third region, below exp(-25), is out of the words' reach.
    """
    q = (words * 2 + (1 - 2**32)).double() * 2.0**-33  # (-1/2, 1/2), exact
    r = 0.180625 - q * q
    center = q * _polynomial(r, 59.109374720, 159.29113202, 50.434271938, 3.3871327179)
    center = center / _polynomial(r, 67.187563600, 78.757757664, 17.895169469, 1.0)
    r = _root(_minus_log(0.5 - q.abs())) - 1.6
    tail = _polynomial(r, 0.17023821103, 1.3067284816, 2.7568153900, 1.4234372777)
    tail = tail / _polynomial(r, 0.12021132975, 0.73700164250, 1.0)
    return torch.where(q.abs() <= 0.425, center, torch.where(q < 0, -tail, tail))


def _minus_log(p: Tensor) -> Tensor:
    """-log(p) to 1e-12: the exponent, and the series of the inverse hyperbolic tangent for the rest."""
    mantissa, exponent = torch.frexp(p)  # mantissa in [1/2, 1)
    s = (mantissa - 0.5**0.5) / (mantissa + 0.5**0.5)  # |s| < 0.172; log(mantissa) = 2 atanh(s) - log(2) / 2
    series = s * _polynomial(s * s, 2 / 13, 2 / 11, 2 / 9, 2 / 7, 2 / 5, 2 / 3, 2.0)
    return (0.5 - exponent.double()) * 0.6931471805599453 - series


def _root(x: Tensor) -> Tensor:
    """The square root to 1e-12 for x within 1/2 and 25, by Newton's steps: MKL's, which torch calls, may miss a bit."""
    root = torch.full_like(x, 3.0)
    for _ in range(5):
        root = (root + x / root) * 0.5
    return root


def _polynomial(x: Tensor, first: float, *coefficients: float) -> Tensor:
    """By Horner's rule, from the highest power; an operation at a time, as a fused one would round otherwise."""
    value = torch.full_like(x, first)
    for coefficient in coefficients:
        value.mul_(x).add_(coefficient)
    return value


def _checked(out: Tensor, seed: int, stream: int, scale: float, first_row: int) -> Tensor:
    """``out`` as a matrix, (m, width), after a look at all arguments."""
    if out.dtype not in (torch.float32, torch.float64) or out.ndim not in (1, 2):
        raise BenchError(f"cannot draw a {out.ndim}-d tensor of {out.dtype}: draw (m, width) in float32 or float64")
    if not (0 <= seed < 2**64 and 0 <= stream < 2**32):
        raise BenchError(f"seed {seed} and stream {stream} must be unsigned numbers of 64 and 32 bits")
    if not SMALLEST <= scale <= LARGEST:
        raise BenchError(f"the bound or deviation of initial values is {scale}: it must be within 2^-80 and 2^80")
    matrix = out if out.ndim == 2 else out[None]
    if not 0 <= first_row <= 2**63 - 1 - len(matrix):
        raise BenchError(f"first row {first_row} of {len(matrix)}: rows are numbered from 0 to 2^63 - 1")
    return matrix
