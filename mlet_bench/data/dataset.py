"""From a prepared data set to tensors. Needs torch, numpy and pyarrow alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from mlet_bench.errors import BenchError
from mlet_bench.files import file_digest
from mlet_bench.parquet import as_array
from mlet_bench.spec import SPLITS, DatasetSchema

ADVICE = "the data set was changed or damaged; prepare it again"


@dataclass(frozen=True)
class Rows:
    """The rows of a split, in the raw file's order. N rows, D dense features, F fields.

    Attributes:
        label: (N,) float32, 0 or 1.
        dense: (N, D) float32.
        ids: (N, F) int32, each within its field's table.
    """

    label: torch.Tensor
    dense: torch.Tensor
    ids: torch.Tensor

    def __len__(self) -> int:
        return len(self.label)

    def to(self, device: torch.device) -> "Rows":
        """The rows on a device; these themselves where they are there."""
        return Rows(self.label.to(device), self.dense.to(device), self.ids.to(device))


def load_split(folder: Path | str, schema: DatasetSchema, split: str, device: torch.device | str = "cpu") -> Rows:
    """Load one split, row group by row group into tensors that are made once.

    Raises:
        BenchError: no such split; or the file is missing, is no Parquet, is not the one whose sum ``schema`` has, or
            does not hold what it says: columns, types, number of rows and clicks, labels of 0 and 1, finite features,
            ids within their tables.

    Example::

        rows = load_split("criteo", DatasetSchema.read("criteo"), "val")
        rows.ids.shape  # (N, 26)
    """
    if split not in SPLITS:
        raise BenchError(f"unknown split {split!r}: there are {', '.join(SPLITS)}")
    names, sizes = [field.name for field in schema.fields], np.array(schema.table_sizes)
    types = {"label": pa.int8()} | dict.fromkeys(schema.dense, pa.float32()) | dict.fromkeys(names, pa.int32())
    n_rows = schema.rows[split]
    with _opened(Path(folder), f"{split}.parquet", schema, types, n_rows) as (path, file):
        label = torch.empty(n_rows, 1, dtype=torch.float32, device=device)
        dense = torch.empty(n_rows, len(schema.dense), dtype=torch.float32, device=device)
        ids = torch.empty(n_rows, len(names), dtype=torch.int32, device=device)
        parts = (
            (["label"], label, lambda x: (x == 0) | (x == 1), "labels other than 0 and 1"),
            (schema.dense, dense, np.isfinite, "values that are not finite"),
            (names, ids, lambda x: (x >= 0) & (x < sizes), "ids outside its table"),
        )
        start = 0
        for number in range(file.num_row_groups):
            group = file.read_row_group(number)
            stop = start + group.num_rows
            for columns, tensor, valid, problem in parts:
                values = _values(group, columns, path)
                _check(valid(values).all(0), columns, path, problem)
                tensor[start:stop] = torch.from_numpy(values)
            start = stop
    clicks = int(label.count_nonzero())
    if clicks != schema.clicks[split]:
        raise BenchError(f"{path} has {clicks} clicks, schema.json says {schema.clicks[split]}: {ADVICE}")
    return Rows(label.squeeze(1), dense, ids)


def training_counts(folder: Path | str, schema: DatasetSchema, field: str) -> np.ndarray:
    """How many training rows have each id of a field: (n,) int64.

    Raises:
        BenchError: the field's vocabulary is missing, damaged, not the one whose sum ``schema`` has, or does not count
            its table's ids and training rows.
    """
    types = {"token": pa.string(), "id": pa.int32(), "count": pa.int64()}
    sizes = {each.name: each.size for each in schema.fields}
    with _opened(Path(folder), f"vocabulary/{field}.parquet", schema, types, sizes[field]) as (path, file):
        table = file.read(columns=["id", "count"])
    _check(np.array([column.null_count == 0 for column in table.columns]), ["id", "count"], path, "nulls")
    ids, counts = (as_array(column) for column in table.columns)
    if not np.array_equal(ids, np.arange(len(ids))):
        raise BenchError(f"{path}, column id: the ids do not count from 0: {ADVICE}")
    if counts.sum() != schema.rows["train"] or counts.min() < 0:
        raise BenchError(f"{path} counts {counts.sum()} training rows, schema.json {schema.rows['train']}: {ADVICE}")
    return counts


@contextmanager
def _opened(
    folder: Path, name: str, schema: DatasetSchema, types: dict[str, pa.DataType], n_rows: int
) -> Iterator[tuple[Path, pq.ParquetFile]]:
    """Open a Parquet file of a data set and check its sum, its columns and its number of rows.

    The sum comes first: a library given an altered file may end in any way, or give other rows.
    """
    path = folder / name
    if not path.is_file():
        raise BenchError(f"{path} does not exist: {ADVICE}")
    try:
        if schema.sums and file_digest(path) != schema.sums.get(name):
            raise BenchError(f"{path} was altered since it was written, its sum is not that in schema.json: {ADVICE}")
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            found = {column.name: column.type for column in file.schema_arrow}
            for column, kind in types.items():
                if found.get(column) != kind:
                    raise BenchError(f"{path}, column {column}: {found.get(column, 'missing')}, not {kind}: {ADVICE}")
            if list(found) != list(types):
                raise BenchError(f"{path} has the columns {', '.join(found)}, not {', '.join(types)}: {ADVICE}")
            if file.metadata.num_rows != n_rows:
                raise BenchError(f"{path} has {file.metadata.num_rows} rows, schema.json says {n_rows}: {ADVICE}")
            yield path, file
    except (pa.ArrowException, OSError) as error:
        raise BenchError(f"{path} cannot be read ({error}): {ADVICE}") from None


def _values(group: pa.Table, names: list[str] | tuple[str, ...], path: Path) -> np.ndarray:
    """Columns as one array (rows, columns)."""
    _check(np.array([group[name].null_count == 0 for name in names], bool), names, path, "nulls")
    if not names:
        return np.empty((group.num_rows, 0), np.float32)
    return np.stack([as_array(group[name]) for name in names], axis=1)


def _check(good: np.ndarray | np.bool_, names: list[str] | tuple[str, ...], path: Path, problem: str) -> None:
    if not good.all():
        raise BenchError(f"{path}, column {names[int(np.argmin(good))]} has {problem}: {ADVICE}")
