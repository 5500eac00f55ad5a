"""What the passes of the preparation hand on: a flat file for each column, in a folder that goes at the end."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from mlet_bench.data.parse import Rows

FEATURES, TOKENS, MISSING, IDS = "feature", "token", "missing", "id"  # kinds of columns


class Spool:
    """Columns by kind and name.

    Attributes:
        types: the type of each column's values, by file name.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self.types: dict[str, np.dtype] = {}

    def write_rows(self, blocks: Iterable[Rows]) -> None:
        """Store all rows, one below the other."""
        with ExitStack() as stack:
            files = {}
            for rows in blocks:
                parts = ((FEATURES, rows.features), (TOKENS, rows.tokens), (MISSING, rows.missing))
                for name, values in (
                    (f"{name}.{kind}", values) for kind, part in parts for name, values in part.items()
                ):
                    if name not in files:
                        files[name] = stack.enter_context(open(self._folder / name, "wb"))
                        self.types[name] = values.dtype
                    files[name].write(np.ascontiguousarray(values))

    def write(self, kind: str, name: str, values: np.ndarray) -> None:
        """Store a whole column."""
        self.types[f"{name}.{kind}"] = values.dtype
        with open(self._folder / f"{name}.{kind}", "wb") as file:
            file.write(values)

    def has(self, kind: str, name: str) -> bool:
        """Whether there is such a column."""
        return f"{name}.{kind}" in self.types

    def read(self, kind: str, name: str) -> np.ndarray:
        """A whole column, mapped: its pages are the file's in the cache of the system, and go with the array."""
        return np.memmap(self._folder / f"{name}.{kind}", self.types[f"{name}.{kind}"], "r")

    def remove(self, kind: str, name: str) -> None:
        """Drop a column, if there is one: what is not needed again need not be written to the disk either."""
        if self.types.pop(f"{name}.{kind}", None) is not None:
            (self._folder / f"{name}.{kind}").unlink()

    def read_blocks(self, columns: list[tuple[str, str]], rows: int) -> Iterator[list[np.ndarray]]:
        """The columns, given by kind and name, ``rows`` rows at a time; the arrays are overwritten by the next ones."""
        names = [f"{name}.{kind}" for kind, name in columns]
        with ExitStack() as stack:
            files = [stack.enter_context(open(self._folder / name, "rb", buffering=0)) for name in names]
            arrays = [np.empty(rows, self.types[name]) for name in names]
            while count := min(_read_into(file, array) for file, array in zip(files, arrays)):
                yield [array[:count] for array in arrays]


def _read_into(file, array: np.ndarray) -> int:
    """Fill the array from a file; returns how many values there were."""
    view, start = memoryview(array).cast("B"), 0
    while count := file.readinto(view[start:]):
        start += count
    return start // array.itemsize
