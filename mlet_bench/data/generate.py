"""Planted raw files: a data set's own format, with labels of a known model."""

import gzip
import hashlib
import io
from datetime import timedelta
from pathlib import Path
from typing import IO, cast

import numpy as np
import polars as pl
import pyarrow as pa
from tqdm import tqdm

from mlet_bench.data import DATASETS
from mlet_bench.data.base import Hours, Integers
from mlet_bench.data.best_auc import ExpectedAuc
from mlet_bench.data.parse import hex_digits
from mlet_bench.data.planted import PlantedModel, mix64
from mlet_bench.data.split import TEST, assign
from mlet_bench.data.worlds import WORLDS
from mlet_bench.errors import BenchError
from mlet_bench.files import atomic, write_sealed

CHUNK = 65_536  # rows; decides the random numbers, so another value is another data set


def synthesize(name: str, rows: int, seed: int, out: Path, plant: str = "none") -> dict:
    """Write a planted raw file and, beside it, ``<out>.planted.json``; memory does not grow with the rows.

    Args:
        name: of a data set with a ``planted`` law, whose format the file has.
        out: the file to write; gzip if its name ends in ``.gz``. (name, rows, seed, plant) decide its unpacked bytes.
        plant: what is planted, a name of ``worlds.WORLDS``.

    Returns:
        The sidecar's content: ``dataset``, ``rows``, ``seed``, ``plant``, ``best_auc`` of all rows (``ExpectedAuc``; no
        label noise in it), ``test_best_auc`` of the test rows by the name of the split, and ``md5`` of the unpacked
        bytes.

    Raises:
        BenchError: an unknown data set or one without a law, a number of rows that is out of range, or a negative seed.
    """
    if seed < 0:
        raise BenchError(f"seed {seed} of planted {name}: it must be 0 or more")
    planted, out = PlantedFile(name, rows, seed, plant), Path(out)
    sidecar = Path(f"{out}.planted.json")
    sidecar.unlink(missing_ok=True)  # an old sidecar must not stand beside a new file
    with atomic(out) as partial, open(partial, "wb") as file:
        if out.suffix == ".gz":
            # No name and no time in the gzip header: equal content gives equal bytes.
            with gzip.GzipFile("", "wb", 1, file, mtime=0) as packed:
                md5, best = planted.write(cast(IO[bytes], packed))
        else:
            md5, best = planted.write(file)
    content = {"dataset": name, "rows": rows, "seed": seed, "plant": plant, **best, "md5": md5}
    write_sealed(sidecar, content)
    return content


def tokens(field: int, categories: np.ndarray) -> np.ndarray:
    """A token (B,) uint32 for each category: MurmurHash3's 32-bit finaliser, a bijection, of it shifted by field."""
    x = categories.astype(np.uint32) + np.uint32(0x9E3779B9 * (field + 1) & 0xFFFFFFFF)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))


class PlantedFile:
    """The rows of a planted file, a chunk at a time: B rows of a chunk, D dense features, F fields."""

    def __init__(self, name: str, rows: int, seed: int, plant: str = "none"):
        self.data, self.rows, self.seed = DATASETS[name], rows, seed
        self.model = PlantedModel(self.data, rows, seed, WORLDS[plant])
        self.law = self.model.law
        self.integers = {name: law for name, law in self.law.dense.items() if isinstance(law, Integers)}
        self.mu = np.log1p([law.median for law in self.integers.values()])
        tops = np.log1p([law.top for law in self.integers.values()])
        self.sigma = (tops - self.mu) / 1.2816  # the normal's 90th percentile

    def write(self, file: IO[bytes]) -> tuple[str, dict]:
        """Write all rows; returns the md5 of the bytes and the best possible AUCs, as ``synthesize`` names them."""
        model, data = self.model, self.data
        # The pilot is spread over the whole file, since hours go up along it.
        pilot = np.arange(min(self.rows, CHUNK)) * self.rows // min(self.rows, CHUNK)
        generator = self._generator(0)
        _, seen = self.features(pilot, generator)
        model.calibrate(model.signal(model.categories(pilot, generator), seen))

        md5, auc = hashlib.md5(usedforsecurity=False), ExpectedAuc()
        codes = {split: assign(split, self.rows, self._days()) for split in self._splits()}
        of_test = {split: ExpectedAuc() for split in codes}
        starts = range(0, self.rows, CHUNK)
        for chunk, start in enumerate(tqdm(starts, f"planted {data.name}", unit="chunk", disable=None)):
            index = np.arange(start, min(start + CHUNK, self.rows))
            generator = self._generator(chunk + 1)
            values, seen = self.features(index, generator)
            categories = model.categories(index, generator)
            p = model.probability(model.signal(categories, seen))
            auc.add(p)
            for split, mine in of_test.items():
                mine.add(p[codes[split][start : start + len(p)] == TEST])
            label = (generator.random(len(index)) < p).astype(np.int8)
            text = io.BytesIO()
            frame = pl.DataFrame(self.columns(index, label, values, categories))
            frame.write_csv(text, include_header=data.header and start == 0, separator=data.separator)
            md5.update(text.getbuffer())
            file.write(text.getbuffer())
        best = {"best_auc": auc.value(), "test_best_auc": {split: mine.value() for split, mine in of_test.items()}}
        return md5.hexdigest(), best

    def _splits(self) -> list[str]:
        """The data set's splits that rows of planted files can be given."""
        return [split for split in self.data.splits if split != "last-day" or len(self._days())]

    def _days(self) -> np.ndarray:
        """The day of each row: (rows,), empty where no feature tells it. Hours go up along the file."""
        laws = [law.days for law in self.law.dense.values() if isinstance(law, Hours)]
        firsts = [-(-day * self.rows // laws[0]) for day in range(laws[0] + 1)] if laws else [0]
        return np.repeat(np.arange(len(firsts) - 1, dtype=np.int16), np.diff(firsts))

    def features(self, index: np.ndarray, generator: np.random.Generator) -> tuple[dict[str, pl.Series], np.ndarray]:
        """The dense columns of the rows ``index`` (B,), and what the label sees of them (D, B).

        The label sees (ln(x + 1) - mu) / sigma with missing and negative x taken as 0, or ln(hour + 1) standardised
        over a day: all that a model is given.
        """
        values, seen = self._draw_integers(index, generator)
        for name, law in self.law.dense.items():
            if isinstance(law, Hours):
                values[name], seen[name] = self._hours(index, law)
        return values, np.array([seen[name] for name in self.law.dense])

    def _draw_integers(self, index, generator) -> tuple[dict[str, pl.Series], dict[str, np.ndarray]]:
        laws = self.integers.values()
        z = generator.standard_normal((len(laws), len(index)))
        x = np.rint(np.expm1(self.mu[:, None] + self.sigma[:, None] * z)).clip(0, 2**31 - 1).astype(np.int32)
        for i, law in enumerate(laws):
            if law.negative:
                u = generator.random(len(index))
                x[i] = np.where(u < law.negative, -1 - (3 * (u / law.negative) ** 4).astype(np.int32), x[i])
        missing = generator.random(x.shape) < np.array([law.missing for law in laws])[:, None]
        seen = (np.log1p(np.where(missing, 0, x).clip(0)) - self.mu[:, None]) / self.sigma[:, None]
        columns = {name: pl.Series(pa.array(x[i], mask=missing[i])) for i, name in enumerate(self.integers)}
        return columns, dict(zip(self.integers, seen))

    def _hours(self, index: np.ndarray, law: Hours) -> tuple[pl.Series, np.ndarray]:
        day, hour = np.divmod(index * (24 * law.days) // self.rows, 24)
        days = np.array([int(f"{law.first + timedelta(number):%y%m%d}") for number in range(law.days)])
        hours = np.log1p(np.arange(24))
        return pl.Series(days[day] * 100 + hour), ((hours - hours.mean()) / hours.std())[hour]

    def columns(self, index, label, values: dict[str, pl.Series], categories: np.ndarray) -> dict[str, pl.Series]:
        """All columns of the file for rows with these labels (B,), dense values and categories (F, B)."""
        columns = values | {field: self._field(i, categories[i]) for i, field in enumerate(self.data.fields)}
        for column in self.data.columns:
            if column.kind == "label":
                columns[column.name] = pl.Series(label)
            elif column.name not in columns:  # a number of the row
                columns[column.name] = pl.Series(mix64(index.astype(np.uint64) + np.uint64(1)))
        return {column.name: columns[column.name] for column in self.data.columns}

    def _field(self, i: int, categories: np.ndarray) -> pl.Series:
        """What is written for the categories (B,) of field number i."""
        name = self.data.fields[i]
        if self.data.kind(name) == "int":
            first = self.law.first.get(name, 0)
            return pl.Series(np.where(categories == 0, self.law.zero.get(name, first), first + categories))
        absent = (categories == 0) & (name in self.law.missing)
        return pl.Series(hex_digits(pa.array(tokens(i, categories), mask=absent)))

    def _generator(self, chunk: int) -> np.random.Generator:
        """A chunk's own stream: a pure function of data set, seed and number of the chunk (0 is the pilot)."""
        return np.random.default_rng(np.random.SeedSequence([self.seed, self.law.stream, chunk, 1]))
