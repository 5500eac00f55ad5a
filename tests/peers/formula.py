"""Data and weights by formula: the same on every machine and in every version, no random numbers."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor


def write_criteo(path: Path, rows: int) -> None:
    """A raw Criteo file with empty, negative and large integers, and rare, common and empty tokens."""
    lines = [[str(int(row % 4 == 1)), *_integers(row), *_tokens(row)] for row in range(rows)]
    path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")


def _integers(row: int) -> list[str]:
    values = ((row * (2 * column + 3) * 7919) % 10 ** (1 + column // 2) - 3 for column in range(13))
    return ["" if (row + column) % 5 == 0 else str(value) for column, value in enumerate(values)]


def _tokens(row: int) -> list[str]:
    tokens = []
    for column in range(26):
        category = (row * row + column) % (2 + column * 7)
        token = hashlib.md5(f"{column}:{category}".encode()).hexdigest()[:8]
        # C1, C2 and C3 are never empty, the others at times; C26 is the last of its line.
        tokens.append("" if column > 2 and (row * 3 + column) % 11 == 0 else token)
    return tokens


def wave(*shape: int, start: int, scale: float) -> Tensor:
    """scale · sin(1 + start + 1.7 i), i counting the elements: float64."""
    index = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return scale * torch.sin(1 + start + 1.7 * index).view(shape)


def fill(parameters: list[Tensor], scale: float) -> None:
    """Set each tensor of a list to a wave of its own."""
    with torch.no_grad():
        for number, parameter in enumerate(parameters):
            parameter.copy_(wave(*parameter.shape, start=100 * number, scale=scale))


def batch(number: int, rows: int, dense: int, sizes: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Dense (rows, dense) float64, ids (rows, F) int64, label (rows,) float64."""
    row = torch.arange(rows) + number * rows
    ids = torch.stack([(row * (2 * field + 3) + field) % size for field, size in enumerate(sizes)], dim=1)
    return wave(rows, dense, start=number, scale=1).abs(), ids, (row % 3 == 0).double()
