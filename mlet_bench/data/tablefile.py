"""The files of a table as they lie on disk, CSV or Parquet, read in chunks of rows.

CSV may be packed (.gz, .zst, .zip): it is unpacked into a scratch folder while it is hashed. polars reads the rest.
"""

import csv
import hashlib
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl
import pyarrow as pa

from mlet_bench.data.base import shown
from mlet_bench.errors import BenchError

CHUNK_ROWS = 1 << 16
READ_BYTES = 1 << 22
DAMAGED = (
    *(pl.exceptions.PolarsError, pa.ArrowException, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(EOFError, ValueError, RuntimeError, NotImplementedError),
)
PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


@dataclass(frozen=True)
class Chunk:
    """Rows of a file, with the number of the first of them, counted from 1 without a header."""

    frame: pl.DataFrame
    first_row: int
    where: str

    def __len__(self) -> int:
        return self.frame.height


class TableFiles:
    """The rows of one file or several, one after the other.

    Attributes:
        rows, share, whole, md5: as ``mlet_bench.data.base.Source`` says; the md5 is of whole files, CSV unpacked.

    Args:
        csv: ``separator``, ``quote``, ``names`` and ``missing`` as the options of a table have them.
        scratch: a folder for unpacked files.
    """

    def __init__(self, files: Sequence[Path], csv: Mapping[str, Any], scratch: Path, max_rows: int | None = None):
        self.files, self._csv, self._scratch, self._max_rows = files, csv, scratch, max_rows
        self.rows, self.share, self.whole = 0, 0.0, True
        self._columns: list[str] | None = None
        self._opened: dict[Path, tuple[pl.LazyFrame, int]] = {}
        self._hash = hashlib.md5(usedforsecurity=False)

    @property
    def md5(self) -> str:
        return self._hash.hexdigest()

    def select(self, columns: list[str]) -> None:
        """Read these columns alone."""
        self._columns = columns

    def head(self) -> Chunk:
        """The first rows of the first file.

        Raises:
            BenchError: it is no table, or is empty.
        """
        with _reading(self.files[0]):
            return Chunk(self._open(self.files[0])[0].head(CHUNK_ROWS).collect(), 1, str(self.files[0]))

    def __iter__(self) -> Iterator[Chunk]:
        """Yield the chunks.

        Raises:
            BenchError: a file that is no table, is damaged, or lacks a column.
        """
        for number, file in enumerate(self.files):
            left = None if self._max_rows is None else self._max_rows - self.rows
            if left == 0:
                self.whole = False
                return
            with _reading(file):
                lazy, total = self._open(file)
                first = 1
                wanted = self._selected(file, lazy)
                for frame in (wanted if left is None else wanted.head(left)).collect_batches(chunk_size=CHUNK_ROWS):
                    self.rows += frame.height
                    self.share = (number + (first - 1 + frame.height) / max(total, 1)) / len(self.files)
                    yield Chunk(frame, first, str(file))
                    first += frame.height
            if first - 1 != (total if left is None else min(total, left)):
                raise BenchError(f"{file} has {total} rows by its line ends, and {first - 1} were read: write it anew")
            self.whole = left is None or total <= left
            del self._opened[file]
            (self._scratch / file.name).unlink(missing_ok=True)

    def _selected(self, file: Path, lazy: pl.LazyFrame) -> pl.LazyFrame:
        if self._columns is None:
            return lazy
        found = lazy.collect_schema().names()
        for column in self._columns:
            if column not in found:
                raise BenchError(no_column(str(file), column, found))
        return lazy.select(self._columns)

    def _open(self, file: Path) -> tuple[pl.LazyFrame, int]:
        """A file to scan, hashed, and the number of its rows."""
        if file not in self._opened:
            with file.open("rb") as stream:
                start = stream.read(4)
            self._opened[file] = self._parquet(file) if start == b"PAR1" else self._text(file, start)
        return self._opened[file]

    def _parquet(self, file: Path) -> tuple[pl.LazyFrame, int]:
        with file.open("rb") as stream:
            for part in iter(lambda: stream.read(READ_BYTES), b""):
                self._hash.update(part)
        lazy = pl.scan_parquet(file, glob=False, hive_partitioning=False)
        return lazy, int(lazy.select(pl.len()).collect().item())

    def _text(self, file: Path, start: bytes) -> tuple[pl.LazyFrame, int]:
        packed = start.startswith((b"PK", *PACKED))
        plain = self._scratch / file.name if packed else file
        with _unpacked(file, start) as stream:
            lines = self._scan(file, stream, plain if packed else None)
        return self._lazy(plain), lines

    def _lazy(self, plain: Path) -> pl.LazyFrame:
        names = self._csv["names"]
        return pl.scan_csv(
            plain,
            separator=self._csv["separator"],
            quote_char=self._csv["quote"] or None,
            has_header=names is None,
            new_columns=names,
            null_values=list(self._csv["missing"]) or None,
            infer_schema=False,
            glob=False,
        )

    def _scan(self, file: Path, stream: IO[bytes], copy: Path | None) -> int:
        """Hash a CSV file, unpack it as ``copy``, and see that no row lacks columns; returns the number of rows.

        polars fills a short row up with missing values. With the right total of separators outside of quotes none is
        short, since it refuses long ones.
        """
        separator, quote = ord(self._csv["separator"]), ord(self._csv["quote"] or "\0")
        separators = lines = endless = 0
        inside, last = False, b"\n"
        with open(copy, "wb") if copy else nullcontext() as out:
            for part in iter(lambda: stream.read(READ_BYTES), b""):
                self._hash.update(part)
                if out:
                    out.write(part)
                found = np.frombuffer(part, np.uint8)
                toggles = found == quote
                toggles[0] ^= inside
                outside = ~np.bitwise_xor.accumulate(toggles)
                separators += int(np.count_nonzero((found == separator) & outside))
                ends = int(np.count_nonzero((found == ord("\n")) & outside))
                lines, endless = lines + ends, 0 if ends else endless + len(part)
                inside, last = not outside[-1], part[-1:]
                if endless >= READ_BYTES:
                    row = lines + (self._csv["names"] is not None)
                    raise BenchError(
                        f"{file}, {f'row {row}' if row else 'the header'}: no end in {endless:,} bytes"
                        + (f"; is a quote ({self._csv['quote']}) never closed?" if inside else ", so it is no table")
                    )
        lines += last != b"\n"
        if inside:
            raise BenchError(
                f"{file}: a quote ({self._csv['quote']}) is opened and never closed; if quotes stand for themselves, "
                "give an empty 'quote'"
            )
        width = len(self._lazy(copy or file).collect_schema())
        if separators != (width - 1) * lines:
            self._find_ragged(file, copy or file, width)
        return lines - (self._csv["names"] is None)

    def _find_ragged(self, file: Path, plain: Path, width: int) -> None:
        """Refuse the first row with another number of columns; a quote inside of a value may have misled the count."""
        quoting = csv.QUOTE_MINIMAL if self._csv["quote"] else csv.QUOTE_NONE
        quote = self._csv["quote"] or None
        csv.field_size_limit(3 * READ_BYTES)  # no row is longer that _scan has let pass
        with plain.open(encoding="utf-8-sig", errors="backslashreplace", newline="") as text:
            rows = csv.reader(text, delimiter=self._csv["separator"], quotechar=quote, quoting=quoting)
            for number, row in enumerate(rows, start=int(self._csv["names"] is not None)):
                if len(row) != width and (row or width > 1):
                    place = f"row {number}" if number else "the header"
                    raise BenchError(
                        f"{file}, {place} (line {rows.line_num}): {len(row)} columns, expected {width} as at the "
                        f"start; if {self._csv['separator']!r} is not what separates them, say so by 'separator'"
                    )


def no_column(where: str, column: str, found: Sequence[str]) -> str:
    """The sentence about a column that is not there."""
    held = ", ".join(shown(name) for name in found[:20]) + (", ..." if len(found) > 20 else "")
    return f"{where} has no column {column!r}: it has {held or 'none'}"


@contextmanager
def _unpacked(file: Path, start: bytes) -> Iterator[IO[bytes]]:
    """The bytes of a CSV file, packed or not."""
    if start[:2] == b"PK":
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX" not in name]
            if len(names) != 1:
                found = ", ".join(names[:5])
                raise BenchError(
                    f"{file} has {len(names)} files ({found}): unpack it and give one, or a folder of parts"
                )
            with archive.open(names[0]) as stream:
                yield stream
        return
    codec = next((codec for magic, codec in PACKED.items() if start.startswith(magic)), None)
    with pa.input_stream(str(file), compression=codec) as stream:
        yield stream  # pyright: ignore[reportReturnType] - a file of bytes


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """What goes wrong while a file is read, as a sentence about it."""
    try:
        yield
    except BenchError:
        raise
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the system: no room, no permission
        reason = " ".join(str(error).split("\n\n")[0].split())[:300]
        raise BenchError(
            f"{file} cannot be read as a table ({reason or type(error).__name__}): expected Parquet, or CSV in UTF-8 "
            "(plain, .gz, .zst or .zip); 'separator', 'quote' and 'names' say what kind of CSV"
        ) from None
