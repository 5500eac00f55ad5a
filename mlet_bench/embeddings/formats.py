"""What is served: how the rows that a method has trained are stored, and read again, each format with its bytes.

A run is trained once, in float32, and may be served in several formats. A format turns the rows of all fields, one
matrix of N rows, into the tensors that are stored, and reads rows from those. What else a method stores, a projection
say, stays float32.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from mlet_bench.embeddings.base import FieldTables
from mlet_bench.errors import BenchError
from mlet_bench.registry import Registry
from mlet_bench.runs import PLAIN

_QUANTIZED = torch.ops.quantized  # torch's operators on packed rows, on the CPU alone

Stored = Mapping[str, Tensor]


class FormatRefused(BenchError):
    """A format that is none for these rows: it would take no fewer bytes, or cannot hold them."""

    kind = "refused-format"


@dataclass(frozen=True)
class Format:
    """A way to store rows. N stored rows of all parts (a field's rows are a part, as a rule), P parts.

    Attributes:
        purpose: what it is, for help texts and tables.
    """

    name: str
    purpose: str

    def encode(self, weight: Tensor, stored: tuple[int, ...]) -> dict[str, Tensor]:
        """The tensors that are stored, by name.

        Args:
            weight: (N, width) float32, on the CPU.
            stored: rows of each part.

        Raises:
            FormatRefused: this format is none for these rows.
        """
        raise NotImplementedError

    def rows(self, tensors: Stored, slots: Tensor) -> Tensor:
        """Rows, decoded. slots: (F, B, S) int64 below N → (F, B, S, width) float32."""
        raise NotImplementedError


@dataclass(frozen=True)
class Floats(Format):
    """Floating-point numbers of ``dtype``; what they cannot hold is refused."""

    dtype: torch.dtype = torch.float32

    def encode(self, weight: Tensor, stored: tuple[int, ...]) -> dict[str, Tensor]:
        rows = weight.to(self.dtype)
        if not rows.isfinite().all():
            raise FormatRefused(f"{self.name}: a value is above {torch.finfo(self.dtype).max:,.0f}, its largest number")
        return {"rows": rows}

    def rows(self, tensors: Stored, slots: Tensor) -> Tensor:
        return tensors["rows"].index_select(0, slots.flatten()).float().view(*slots.shape, -1)


@dataclass(frozen=True)
class QuantizedRows(Format):
    """Whole numbers of ``bits`` bits with a scale and an offset a row, in torch's layout, read by torch's look-up.

    8 bits: ``torch.ops.quantized.embedding_bag_byte_prepack``, width + 8 bytes a row (the scale and the smallest value
    of the row in float32). 4 bits: ``embedding_bag_4bit_prepack``, width/2 + 4 bytes (both in float16).
    """

    bits: int = 8
    _PACK: ClassVar = {8: _QUANTIZED.embedding_bag_byte_prepack, 4: _QUANTIZED.embedding_bag_4bit_prepack}
    _READ: ClassVar = {
        8: _QUANTIZED.embedding_bag_byte_rowwise_offsets,
        4: _QUANTIZED.embedding_bag_4bit_rowwise_offsets,
    }

    def encode(self, weight: Tensor, stored: tuple[int, ...]) -> dict[str, Tensor]:
        width = weight.shape[1]
        if width * self.bits % 8:
            raise FormatRefused(f"{self.name}: rows of width {width} do not fill whole bytes: take an even d")
        packed = width * self.bits // 8 + self.bits
        if packed >= 4 * width:
            raise FormatRefused(
                f"{self.name}: a row of width {width} would take {packed} bytes, {4 * width} in float32"
            )
        return {"rows": self._PACK[self.bits](weight.contiguous())}

    def rows(self, tensors: Stored, slots: Tensor) -> Tensor:
        index = slots.flatten()
        bags = torch.arange(len(index))  # each row by itself
        found = self._READ[self.bits](tensors["rows"], index, bags, False, 0, False, None, None, False)
        return found.view(*slots.shape, -1)


@dataclass(frozen=True)
class QuantizedColumns(Format):
    """Whole numbers of ``bits`` bits with one scale for each column of a part: width · bits/8 bytes a row.

    Symmetric: value = q · scale, |q| <= 2^(bits - 1) - 1, the scale that of the column's largest magnitude.
    """

    bits: int = 8

    def encode(self, weight: Tensor, stored: tuple[int, ...]) -> dict[str, Tensor]:
        largest = 2 ** (self.bits - 1) - 1
        scales = torch.stack(
            [rows.abs().amax(0) if len(rows) else rows.new_zeros(rows.shape[1]) for rows in weight.split(stored)]
        )
        scales /= largest  # (P, width)
        parts = [
            (rows / scale.clamp(min=torch.finfo(scale.dtype).tiny)).round().char()
            for rows, scale in zip(weight.split(stored), scales, strict=True)
        ]
        numbers = torch.cat(parts)  # (N, width)
        return {"rows": numbers if self.bits == 8 else _packed(numbers), "scales": scales}

    def rows(self, tensors: Stored, slots: Tensor) -> Tensor:
        scales = tensors["scales"]
        if self.bits == 8:
            numbers = tensors["rows"].index_select(0, slots.flatten())
        else:
            numbers = _unpacked(tensors["rows"], slots.flatten(), scales.shape[1])
        return numbers.float().view(*slots.shape, -1) * scales[:, None, None]  # (F or 1, 1, 1, width)


def _packed(numbers: Tensor) -> Tensor:
    """Two numbers in -8..7 a byte, in the order of their rows, the first in the lower half. (N, width) → (bytes,)."""
    halves = (numbers.flatten() + 8).byte()
    if len(halves) % 2:
        halves = torch.cat([halves, halves.new_zeros(1)])
    return halves[0::2] | halves[1::2] << 4


def _unpacked(packed: Tensor, index: Tensor, width: int) -> Tensor:
    """The numbers of some rows. index: (M,) → (M, width)."""
    places = index[:, None] * width + torch.arange(width)  # (M, width) of single numbers
    return (packed[places // 2] >> (places % 2 * 4) & 15).char() - 8


@dataclass(frozen=True)
class Pruned(Format):
    """The largest values of all rows alone, by magnitude, as a sparse matrix in CSR: 4 bytes a value, and its index.

    ``ends`` says where each row's values end (int32), ``columns`` in which column each stands (uint8, or int16 for
    more than 256 columns).

    Attributes:
        keep: one value in so many is kept.
    """

    keep: int = 4

    def encode(self, weight: Tensor, stored: tuple[int, ...]) -> dict[str, Tensor]:
        width, flat = weight.shape[1], weight.flatten()
        number = flat.numel() // self.keep
        if number + width >= 2**31 or width > 2**15:
            raise FormatRefused(f"{self.name}: {number:,} values in rows of width {width} are too many for its index")
        taken = flat.abs().topk(number, sorted=False).indices.sort().values
        columns = (taken % width).to(torch.uint8 if width <= 256 else torch.int16)
        ends = torch.bincount(taken // width, minlength=len(weight)).cumsum(0).int()
        found = {"values": flat[taken], "columns": columns, "ends": ends, "width": torch.tensor([width])}
        if sum(tensor.nbytes for tensor in found.values()) >= weight.nbytes:
            raise FormatRefused(f"{self.name}: with its index it would take more bytes than rows of width {width} do")
        return found

    def rows(self, tensors: Stored, slots: Tensor) -> Tensor:
        values, ends, width = tensors["values"], tensors["ends"], int(tensors["width"])
        index = slots.flatten()
        end = ends[index].long()  # (M,)
        begin = torch.where(index > 0, ends[(index - 1).clamp(min=0)], 0).long()
        places = begin[:, None] + torch.arange(width)  # (M, width), those before the row's end count
        there = places < end[:, None]
        places = torch.where(there, places, 0)
        out = values.new_zeros(len(index), width + 1)  # one column more takes what is not there
        at = torch.where(there, tensors["columns"][places].long(), width)
        return out.scatter_(1, at, values[places])[:, :width].view(*slots.shape, width)


@dataclass(frozen=True)
class Truncated(Format):
    """Each part of a wide table cut to rank r by its singular values: n×r and r×width (Eckart and Young, 1936).

    Attributes:
        rank: r.
    """

    rank: int = 1

    def encode(self, weight: Tensor, stored: tuple[int, ...]) -> dict[str, Tensor]:
        width = weight.shape[1]
        if self.rank >= width:
            raise FormatRefused(
                f"{self.name}: rows of width {width} have no rank above {width} to cut: train a wider d"
            )
        rows, bases = weight.new_empty(len(weight), self.rank), []
        for part, left in zip(weight.split(stored), rows.split(stored), strict=True):
            # The right singular vectors are the eigenvectors of the width×width Gram matrix, the largest last.
            table = part.double()
            basis = torch.linalg.eigh(table.T @ table).eigenvectors[:, -self.rank :].flip(1)  # (width, r)
            left.copy_(table @ basis)
            bases.append(basis.T.float())
        return {"rows": rows, "bases": torch.stack(bases)}

    def rows(self, tensors: Stored, slots: Tensor) -> Tensor:
        short = tensors["rows"].index_select(0, slots.flatten()).view(len(slots), -1, self.rank)  # (F, B·S, r)
        return (short @ tensors["bases"]).view(*slots.shape, -1)


FORMATS: Registry[Format] = Registry("format", __name__, built_in=(
    Floats(PLAIN, "float32, 4 bytes a value"),
    Floats("fp16", "float16, 2 bytes a value", torch.float16),
    QuantizedRows("int8", "8 bits a value, a scale and an offset a row, in torch's layout", 8),
    QuantizedRows("int4", "4 bits a value, a scale and an offset a row, in torch's layout", 4),
    QuantizedColumns("int8-columns", "8 bits a value, a scale for each column of a table", 8),
    QuantizedColumns("int4-columns", "4 bits a value, a scale for each column of a table", 4),
    *(Pruned(f"pruned-{keep}", f"one value in {keep} by magnitude, with its index", keep) for keep in (4, 16)),
    *(Truncated(f"svd-{rank}", f"each table cut to rank {rank}", rank) for rank in (1, 2, 4, 8, 16)),
))  # fmt: skip


class ServedTables(nn.Module):
    """A method whose rows are stored in a format: the same slots and the same combination of other rows.

    Args:
        method: as it is deployed; a copy of it without its rows is kept.
        tensors: what the format stores of them.

    Example::

        served = ServedTables.of(run.embedding.deployed(), FORMATS["int8"])
        served(ids)  # (B, F) → (B, F, d)
    """

    def __init__(self, method: FieldTables, form: Format, tensors: Stored):
        super().__init__()
        without_rows = {id(method.weight): nn.Parameter(torch.empty(0, method.width), requires_grad=False)}
        self.method, self.form = copy.deepcopy(method, without_rows), form
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)
        self._names = tuple(tensors)
        self.table_sizes, self.embedding_dim = method.table_sizes, method.embedding_dim

    @classmethod
    def of(cls, method: FieldTables, form: Format) -> "ServedTables":
        """A deployed method in a format.

        Raises:
            FormatRefused: the format is none for its rows.
        """
        return cls(method, form, form.encode(method.weight.detach(), method.stored))

    def forward(self, ids: Tensor) -> Tensor:
        """Embedding vectors. ids: (B, F) int, each below its field's n → (B, F, d)."""
        tensors = {name: getattr(self, name) for name in self._names}
        method, form = self.method, self.form
        return method.in_parts(ids, lambda part: method.combine(form.rows(tensors, method.slots(part))))
