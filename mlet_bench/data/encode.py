"""From rows to ids in two passes: tokens numbered within each block, then the numbers of all blocks put together.

The first pass writes the rows to a file, each token as its place in the vocabulary of its block; those stay in memory.
Put together, in the order of the blocks, they give the vocabularies of the whole file and, for each block, a list that
turns its numbers into ids. The second pass reads the rows again, and writes each to its split. So memory holds the
distinct values of the blocks, never the rows.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from mlet_bench.data.base import KEY, DataSet, Source
from mlet_bench.data.learn import Scale, merged
from mlet_bench.data.split import TRAIN
from mlet_bench.spec import SPLITS

PARSERS = 4  # blocks parsed at a time, at most: as many as one thread can read and hash
GROUP_ROWS = 1 << 18  # of a row group of the result: 40 MB of Criteo

Item = TypeVar("Item")
Result = TypeVar("Result")


class NumberedRows:
    """The rows of a raw file with the tokens as numbers, in a file that goes at the end.

    Attributes:
        keys: (n_rows,) what the split goes by; empty where it is the number of rows alone.
        count: the number of rows.
    """

    def __init__(self, data: DataSet, file: Path):
        self.data, self._file = data, file
        self.keys, self.count = np.empty(0, np.int32), 0
        self._distinct: dict[str, list[pa.Array]] = {field: [] for field in data.fields}

    def read(self, source: Source) -> None:
        """Pass 1: check and store all rows.

        Raises:
            BenchError: the first fault of the file.
        """
        keys = []
        threads = min(PARSERS, os.cpu_count() or 1)
        with _bar("read") as progress, ExitStack() as stack:
            writer = None
            for batch, distinct in in_threads(self._numbered, source, threads):
                writer = writer or stack.enter_context(pa.ipc.new_file(str(self._file), batch.schema))
                writer.write_batch(batch)
                for field, tokens in distinct.items():
                    self._distinct[field].append(tokens)
                if KEY in batch.schema.names:
                    keys.append(batch[KEY].to_numpy())
                self.count += len(batch)
                progress.total = round(source.rows / source.share) if source.share else None
                progress.update(len(batch))
        self.keys = np.concatenate(keys or [self.keys])

    def _numbered(self, block: Any) -> tuple[pa.RecordBatch, dict[str, pa.Array]]:
        """A block's rows with each field's tokens as places in its distinct tokens, and those."""
        rows = self.data.rows(block).rechunk()
        plain = pl.CompatLevel.oldest()  # strings as Arrow can number them
        columns, distinct = {name: rows[name].to_arrow(compat_level=plain) for name in rows.columns}, {}
        for field in self.data.fields:
            # A dictionary counts from 0 in order of first appearance; null is a value like others.
            encoded = columns[field].dictionary_encode(null_encoding="encode")
            columns[field], distinct[field] = encoded.indices, encoded.dictionary
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns)), distinct

    def write(
        self, codes: np.ndarray, folder: Path
    ) -> tuple[list[int], dict[str, int], dict[str, int], dict[str, Scale]]:
        """Pass 2: a Parquet file for each split, row order as in the raw file, and a vocabulary for each field.

        Args:
            codes: (n_rows,) the split of each row; the vocabulary counts training rows.

        Returns:
            the fields' table sizes; rows and clicks of each split; what was learnt from the training rows.
        """
        vocabularies = {
            field: Vocabulary(self._distinct.pop(field), partial(self.data.spell, field)) for field in self.data.fields
        }
        scales = self._learn(codes, vocabularies)
        types = {"label": pa.int8()} | {dense.column: pa.float32() for dense in self.data.dense}
        types |= dict.fromkeys(self.data.fields, pa.int32())
        schema = pa.schema([pa.field(name, kind, nullable=False) for name, kind in types.items()])

        def with_ids(numbered: tuple[int, int, pa.RecordBatch]) -> list[pa.Table]:
            number, start, batch = numbered
            of_batch = codes[start : start + len(batch)]
            columns = {name: batch[name] for name in batch.schema.names if name != KEY}
            columns |= {name: scale.apply(columns[name]) for name, scale in scales.items()}
            for field, vocabulary in vocabularies.items():
                columns[field] = pa.array(vocabulary.ids(number, columns[field].to_numpy(), of_batch == TRAIN))
            table = pa.Table.from_arrays(list(columns.values()), schema=schema)
            return [table.filter(pa.array(of_batch == code)) for code in range(len(SPLITS))]

        rows: dict[str, int] = dict.fromkeys(SPLITS, 0)
        clicks = rows.copy()
        with _bar("write", len(codes)) as progress, ExitStack() as stack:
            files = {part: stack.enter_context(SplitFile(folder / f"{part}.parquet", schema)) for part in SPLITS}
            for tables in in_threads(with_ids, self._batches(), 1):  # one: it adds to the counts
                for part, table in zip(SPLITS, tables, strict=True):
                    files[part].write(table)
                    rows[part] += len(table)
                    clicks[part] += int(np.count_nonzero(table["label"].to_numpy()))
                    progress.update(len(table))
        (folder / "vocabulary").mkdir()
        for field, vocabulary in vocabularies.items():
            vocabulary.write(folder / "vocabulary" / f"{field}.parquet")
        return [len(vocabulary) for vocabulary in vocabularies.values()], rows, clicks, scales

    def _learn(self, codes: np.ndarray, vocabularies: "dict[str, Vocabulary]") -> dict[str, Scale]:
        """A pass over the training rows where something is to be learnt: rare categories, means and spreads."""
        data = self.data
        scales = {dense.column: Scale() for dense in data.features() if dense.transform == "standard"}
        merges = data.min_count > 1 or data.max_categories is not None
        if not (merges or scales):
            return {}
        for number, start, batch in self._batches():
            train = codes[start : start + len(batch)] == TRAIN
            for name, scale in scales.items():
                scale.add_array(batch[name], train)
            for field, vocabulary in vocabularies.items() if merges else ():
                vocabulary.ids(number, batch[field].to_numpy(), train)
        for field, vocabulary in vocabularies.items() if merges else ():
            vocabulary.merge(data.min_count, data.max_categories, field)
        return scales

    def _batches(self) -> Iterator[tuple[int, int, pa.RecordBatch]]:
        """Each batch with its number and that of its first row."""
        start = 0
        with pa.OSFile(str(self._file)) as file, pa.ipc.open_file(file) as reader:
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                yield number, start, batch
                start += len(batch)


class Vocabulary:
    """A field's tokens by id, with the training rows of each.

    Args:
        distinct: the distinct tokens of each block, in the order of the file.
        spell: makes strings of tokens.
    """

    def __init__(self, distinct: list[pa.Array], spell: Callable[[pa.Array], pa.Array]):
        # Of chunks, the dictionary is one for all, in order of first appearance; a chunk's indices are its tokens' ids.
        encoded = pa.chunked_array(distinct).dictionary_encode(null_encoding="encode")
        self._tokens = encoded.chunk(0).dictionary
        self._ids = [chunk.indices.to_numpy() for chunk in encoded.chunks]
        self._counts, self._spell = np.zeros(len(self._tokens), np.int64), spell

    def __len__(self) -> int:
        return len(self._tokens)

    def ids(self, block: int, places: np.ndarray, train: np.ndarray) -> np.ndarray:
        """The ids (B,) of a block's rows, given as places in its distinct tokens; counts those of ``train`` (B,)."""
        ids = self._ids[block]
        np.add.at(self._counts, ids, np.bincount(places[train], minlength=len(ids)))
        return ids[places]

    def merge(self, min_count: int, max_categories: int | None, column: str) -> None:
        """Put categories together by the training rows that were counted (see ``merged``), and count from 0 again."""
        ids, tokens = merged(self._spell(self._tokens), self._counts, min_count, max_categories, column)
        self._ids = [ids[of_block] for of_block in self._ids]
        self._tokens, self._counts, self._spell = tokens, np.zeros(len(tokens), np.int64), lambda spelled: spelled

    def write(self, path: Path) -> None:
        """Write ``token``, a string, ``id`` and ``count``."""
        columns = {
            "token": self._spell(self._tokens),
            "id": pa.array(np.arange(len(self), dtype=np.int32)),
            "count": pa.array(self._counts),
        }
        # Eight digits each, numbers one apart, small numbers: no value repeats often enough for a dictionary.
        encodings = {"token": "DELTA_LENGTH_BYTE_ARRAY", "id": "DELTA_BINARY_PACKED", "count": "DELTA_BINARY_PACKED"}
        options = {"compression": "zstd", "use_dictionary": False, "column_encoding": encodings}
        pq.write_table(pa.table(columns), path, write_page_checksum=True, **options)


class SplitFile:
    """A split's Parquet file, in row groups of ``GROUP_ROWS`` rows whatever the tables that it is given."""

    def __init__(self, path: Path, schema: pa.Schema):
        # Ids are numbered densely, so a dictionary would repeat them: a byte of each at a time instead, the high ones
        # being all but constant. The other columns have few distinct values.
        ids = [column.name for column in schema if column.type == pa.int32()]
        options: dict[str, Any] = {"use_dictionary": [name for name in schema.names if name not in ids]}
        options |= {"use_byte_stream_split": ids, "compression": "zstd", "write_page_checksum": True}
        self._file = pq.ParquetWriter(path, schema, **options)
        self._waiting, self._rows = [], 0

    def __enter__(self) -> "SplitFile":
        return self

    def __exit__(self, *error: object) -> None:
        with self._file:
            if self._rows and error[0] is None:
                self._file.write_table(pa.concat_tables(self._waiting))

    def write(self, table: pa.Table) -> None:
        """Take in the next rows."""
        self._waiting.append(table)
        self._rows += len(table)
        if self._rows >= GROUP_ROWS:
            whole = pa.concat_tables(self._waiting)
            groups = self._rows // GROUP_ROWS * GROUP_ROWS
            self._file.write_table(whole.slice(0, groups), row_group_size=GROUP_ROWS)
            self._waiting, self._rows = [whole.slice(groups)], self._rows - groups


def _bar(name: str, total: int | None = None) -> tqdm:
    return tqdm(desc=name, total=total, unit=" rows", unit_scale=True, disable=None, leave=False)


def in_threads(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """``function`` of each item, a few at a time, in the items' order; of several errors the first item's is raised."""
    with ThreadPoolExecutor(threads) as workers:
        waiting = deque()
        iterator = iter(items)
        while True:
            try:
                waiting.append(workers.submit(function, next(iterator)))
            except StopIteration:
                break
            except Exception:
                for result in waiting:  # what stands before the item that could not be made is at fault first
                    result.result()
                raise
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
