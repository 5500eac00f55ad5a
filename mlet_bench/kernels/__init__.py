"""What torch has no fast operator for on a CPU, in C++: compiled at first use, plain torch without it.

``kernels.cpp`` (parts of the training step), ``attention.cpp`` (AutoInt's) and ``draw.cpp`` (initial values) are
compiled once for a machine (``build.py``). Whoever calls these functions asks ``supported``, ``can_attend`` or
``can_draw`` first and has a path in plain torch that gives the same numbers: initial values to the bit, a step to
rounding. Rounding grows: a whole training ends in other numbers without them, which its provenance and its device's
label say.
"""

import ctypes

import torch
from torch import Tensor

from mlet_bench.kernels.build import library
from mlet_bench.kernels.triton import chosen

DIMS = (1, 4, 8, 16, 32, 64, 128)  # d that kernels.cpp has code for
HEAD_DIMS, ROUND = (4, 8, 16, 32), 16  # that attention.cpp has code for, and what it rounds F up to
DRAWN = {torch.float32: "float", torch.float64: "double"}  # that draw.cpp has code for


def in_use(device: torch.device) -> bool:
    """Whether a step on this device takes kernels where they fit: a CPU's compiled ones, on a GPU those of Triton."""
    return chosen(device) or (device.type == "cpu" and library() is not None)


def supported(tensor: Tensor, dim: int) -> bool:
    """Whether there are kernels for this tensor's device and type, and for vectors of ``dim`` values."""
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32 and dim in DIMS and library() is not None


def lookup(weight: Tensor, w2: Tensor | None, ids: Tensor, starts: Tensor) -> Tensor:
    """Embedding vectors of all fields.

    Args:
        weight: (sum n, width), the tables one below the other; width is k with ``w2``, else d.
        w2: (F, k, d), or None for a single layer.
        ids: (B, F) int32.
        starts: (F + 1,) int64, the first row of each field, and the end of the last.

    Returns:
        (B, F, d), contiguous.

    Raises:
        TypeError: the ids are not int32.
        IndexError: an id is not in its table.
    """
    if ids.dtype != torch.int32:
        raise TypeError(f"ids are {ids.dtype}, the kernels read int32")
    (batch, fields), width = ids.shape, weight.shape[1]
    dim = width if w2 is None else w2.shape[2]
    out = weight.new_empty(batch, fields, dim)
    place = _loaded().lookup(_at(weight), _at(w2), _at(ids), _at(starts), *_sizes(batch, fields, width, dim), _at(out))
    if place >= 0:
        row, field = divmod(place, fields)
        size = int(starts[field + 1] - starts[field])
        raise IndexError(f"id {int(ids[row, field])} of field {field} is not in its table of {size} rows")
    return out


def lookup_sgd(
    weight: Tensor, w2: Tensor | None, ids: Tensor, starts: Tensor, grad: Tensor, lr: float, train_w2: bool
) -> Tensor | None:
    """One SGD step of the rows of ``ids`` in place, and the gradient of ``w2`` before it: (F, k, d), or None.

    weight -= lr · grad w2ᵀ for each occurrence of a row, repeats included: exact, as SGD is linear in the gradient.

    Args:
        weight, w2, ids, starts: as of ``lookup``, which has checked the ids.
        grad: (B, F, d), of the vectors that ``lookup`` gave.
    """
    return _step(weight, None, w2, ids, starts, grad, lr, 0.0, train_w2)


def lookup_adagrad(
    weight: Tensor, squares: Tensor, w2: Tensor | None, ids: Tensor, starts: Tensor, grad: Tensor, lr: float,
    eps: float, train_w2: bool,
) -> Tensor | None:  # fmt: skip
    """One step of Adagrad of the rows of ``ids`` in place, else as ``lookup_sgd``.

    With g a row's gradient, summed over its occurrences: squares += g², weight -= lr · g / (sqrt(squares) + eps).

    Args:
        squares: shaped as ``weight``, contiguous as it; updated in place.
    """
    return _step(weight, squares, w2, ids, starts, grad, lr, eps, train_w2)


def _step(weight, squares, w2, ids, starts, grad, lr: float, eps: float, train_w2: bool) -> Tensor | None:
    (batch, fields), (width, dim) = ids.shape, (weight.shape[1], grad.shape[2])
    grad, grad_w2 = grad.contiguous(), torch.empty_like(w2) if w2 is not None and train_w2 else None
    _loaded().lookup_step(
        *(_at(weight), _at(squares), _at(w2), _at(ids), _at(starts), _at(grad)),
        *(*_sizes(batch, fields, width, dim), ctypes.c_float(lr), ctypes.c_float(eps), _at(grad_w2)),
    )
    return grad_w2


def interact(bottom: Tensor, vectors: Tensor) -> Tensor:
    """DLRM's interaction: (B, d), (B, V - 1, d) → (B, d + V(V-1)/2), see ``mlet_bench.models.interaction``."""
    (batch, dim), count = bottom.shape, vectors.shape[1] + 1
    bottom, vectors = bottom.contiguous(), vectors.contiguous()
    out = bottom.new_empty(batch, dim + count * (count - 1) // 2)
    _loaded().interact(_at(bottom), _at(vectors), *_sizes(batch, count, dim), _at(out))
    return out


def interact_back(bottom: Tensor, vectors: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of ``bottom`` and ``vectors``, shaped as they, from that of ``interact``'s result."""
    (batch, dim), count = bottom.shape, vectors.shape[1] + 1
    bottom, vectors, grad = bottom.contiguous(), vectors.contiguous(), grad.contiguous()
    grad_bottom, grad_vectors = torch.empty_like(bottom), torch.empty_like(vectors)
    _loaded().interact_back(
        *(_at(bottom), _at(vectors), _at(grad), *_sizes(batch, count, dim), _at(grad_bottom), _at(grad_vectors))
    )
    return grad_bottom, grad_vectors


def can_attend(parts: Tensor, head_dim: int) -> bool:
    """Whether there is a kernel for the attention of heads of this width."""
    return head_dim in HEAD_DIMS and supported(parts, 1)


def attend(parts: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """AutoInt's attention behind its products, see ``mlet_bench.models.parts.attention``.

    Args:
        parts: (B, F, 4 · heads · dim), Q, K, V and the residual of each field.

    Returns:
        (B, F, heads · dim), and for ``attend_back`` the softmax transposed, (B, heads, F, F rounded up).
    """
    batch, fields, width = parts.shape[0], parts.shape[1], parts.shape[2] // 4
    out = parts.new_empty(batch, fields, width)
    weights = parts.new_empty(batch, heads, fields, -(-fields // ROUND) * ROUND)
    _loaded().attend(_at(parts), *_sizes(batch, fields, heads, width // heads), _at(weights), _at(out))
    return out, weights


def attend_back(parts: Tensor, weights: Tensor, out: Tensor, grad: Tensor) -> Tensor:
    """The gradient of ``parts`` from that of ``attend``'s result."""
    (batch, heads, fields, _), of_parts = weights.shape, torch.empty_like(parts)
    grad, dim = grad.contiguous(), out.shape[2] // heads
    tensors = _at(parts), _at(weights), _at(out), _at(grad)
    _loaded().attend_back(*tensors, *_sizes(batch, fields, heads, dim), _at(of_parts))
    return of_parts


def can_draw(matrix: Tensor) -> bool:
    """Whether there is a kernel that draws initial values into this matrix, (m, width)."""
    packed = matrix.stride(1) == 1 or matrix.shape[1] == 1
    return packed and matrix.device.type == "cpu" and matrix.dtype in DRAWN and library() is not None


def draw_uniform(out: Tensor, seed: int, stream: int, scale: float, first_row: int) -> None:
    """Fill ``out``, (m, width), as ``mlet_bench.embeddings.draw.uniform_`` defines it.

    Args:
        scale: the bound times 2^-24, a number of float32.
    """
    _draw("uniform", out, seed, stream, scale, first_row)


def draw_normal(out: Tensor, seed: int, stream: int, std: float, first_row: int) -> None:
    """Fill ``out``, (m, width), as ``mlet_bench.embeddings.draw.normal_`` defines it."""
    _draw("normal", out, seed, stream, std, first_row)


def _draw(law: str, out: Tensor, seed: int, stream: int, scale: float, first_row: int) -> None:
    getattr(library(), f"{law}_{DRAWN[out.dtype]}")(
        *(_at(out), *_sizes(*out.shape, out.stride(0)), ctypes.c_uint64(seed), ctypes.c_uint32(stream)),
        *(ctypes.c_double(scale), ctypes.c_int64(first_row)),
    )


def _loaded() -> ctypes.CDLL:
    """The compiled kernels, of which a caller knows that they are there."""
    loaded = library()
    assert loaded is not None, "ask supported() or can_draw() first"
    return loaded


def _at(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def _sizes(*sizes: int) -> tuple[ctypes.c_int64, ...]:
    return tuple(map(ctypes.c_int64, sizes))
