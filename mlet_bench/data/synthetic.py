"""Planted raw files: Criteo-Kaggle's train.txt and Avazu's train.csv in form, with labels of a known model."""

import gzip
import hashlib
import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
import pyarrow as pa
from tqdm import tqdm

from mlet_bench.data.laws import table_sizes
from mlet_bench.data.planted import ExpectedAuc, PlantedModel, mix64
from mlet_bench.errors import BenchError
from mlet_bench.files import atomic, write_sealed
from mlet_bench.spec import DATASETS

CHUNK = 65_536  # rows; decides the random numbers, so another value is another data set

# I1..I13 of Criteo: share without a value, median, 90th percentile; rough values of the real file.
INTEGERS = (
    *((0.458, 1, 8), (0.0, 3, 180), (0.215, 6, 50), (0.220, 4, 20), (0.027, 2600, 32000), (0.227, 38, 320)),
    *((0.044, 3, 31), (0.0, 7, 35), (0.044, 41, 300), (0.458, 0, 2), (0.044, 1, 6), (0.768, 0, 2), (0.220, 5, 25)),
)
NEGATIVE_I2 = 0.1  # share of I2 in -1..-3

# First value of Avazu's columns of plain integers; the others hold hex tokens.
BASES = {"C1": 1001, "banner_pos": 0, "device_type": 0, "device_conn_type": 0, "C14": 375, "C15": 20, "C16": 20}
BASES |= {"C17": 112, "C18": 0, "C19": 33, "C20": 100_000, "C21": 1}
DAYS, FIRST_DAY = 10, 14_10_21


def synthesize(name: str, rows: int, seed: int, out: Path) -> dict:
    """Write a planted raw file and, beside it, ``<out>.planted.json``; memory does not grow with the rows.

    Args:
        name: ``criteo-kaggle`` or ``avazu``: the form of the file.
        out: the file to write; gzip if its name ends in ``.gz``. (name, rows, seed) decide its unpacked bytes.

    Returns:
        The sidecar's content: ``dataset``, ``rows``, ``seed``, ``best_auc`` (see ``planted.ExpectedAuc``; no label
        noise in it) and ``md5`` of the unpacked bytes.

    Raises:
        BenchError: an unknown data set, a number of rows that is out of range, or a negative seed.
    """
    table_sizes(name, rows)  # refuses a bad name or number of rows
    if seed < 0:
        raise BenchError(f"seed {seed} of planted {name}: it must be 0 or more")
    out = Path(out)
    sidecar = out.with_name(out.name + ".planted.json")
    sidecar.unlink(missing_ok=True)  # an old sidecar must not stand beside a new file
    planted = _Criteo(rows, seed) if name == "criteo-kaggle" else _Avazu(rows, seed)
    with atomic(out) as partial, open(partial, "wb") as file:
        if out.suffix == ".gz":
            # No name and no time in the gzip header: equal content gives equal bytes.
            with gzip.GzipFile("", "wb", 1, file, mtime=0) as packed:
                md5, best_auc = _write(planted, packed)
        else:
            md5, best_auc = _write(planted, file)
    content = {"dataset": name, "rows": rows, "seed": seed, "best_auc": best_auc, "md5": md5}
    write_sealed(sidecar, content)
    return content


def tokens(field: int, categories: np.ndarray) -> np.ndarray:
    """Eight lower-case hex digits for each category, (B, 8) bytes; distinct categories give distinct tokens.

    The category goes through MurmurHash3's 32-bit finaliser, a bijection, after a shift that depends on the field.
    """
    x = categories.astype(np.uint32) + np.uint32(0x9E3779B9 * (field + 1) & 0xFFFFFFFF)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    x = x ^ (x >> np.uint32(16))
    return _HEX[x.astype(">u4").view(np.uint8)].view(np.uint8).reshape(-1, 8)


class _Criteo:
    """label, I1..I13, C1..C26."""

    name, dense, header = "criteo-kaggle", len(INTEGERS), False

    def __init__(self, rows: int, seed: int):
        self.rows, self.seed = rows, seed
        self.model = PlantedModel(self.name, rows, seed, self.dense)
        medians, tops = np.array(INTEGERS)[:, 1], np.array(INTEGERS)[:, 2]
        self.mu = np.log1p(medians)
        self.sigma = (np.log1p(tops) - self.mu) / 1.2816  # the normal's 90th percentile

    def features(self, index: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The 13 integers (13, B), where they are missing (13, B), and what the label sees of them (13, B).

        The label sees (ln(x + 1) - mu) / sigma with missing and negative x taken as 0: all that a model is given.
        """
        z = generator.standard_normal((self.dense, len(index)))
        x = np.expm1(self.mu[:, None] + self.sigma[:, None] * z)
        x = np.rint(x).clip(0, 2**31 - 1).astype(np.int32)
        u = generator.random(len(index))
        x[1] = np.where(u < NEGATIVE_I2, -1 - (3 * (u / NEGATIVE_I2) ** 4).astype(np.int32), x[1])
        missing = generator.random(x.shape) < np.array([rate for rate, _, _ in INTEGERS])[:, None]
        seen = (np.log1p(np.where(missing, 0, x).clip(0)) - self.mu[:, None]) / self.sigma[:, None]
        return x, missing, seen

    def columns(self, index, label, features, categories) -> dict[str, pl.Series]:
        values, missing, _ = features
        columns = {"label": pl.Series(label)}
        for i in range(self.dense):
            columns[f"I{i + 1}"] = pl.from_arrow(pa.array(values[i], mask=missing[i]))
        for f, field in enumerate(self.model.law.fields):
            absent = categories[f] == 0 if field in self.model.law.missing else np.zeros(len(index), dtype=bool)
            columns[field] = _strings(tokens(f, categories[f]), absent)
        return columns


class _Avazu:
    """id, click, hour, C1, ..., C21."""

    name, dense, header = "avazu", 1, True

    def __init__(self, rows: int, seed: int):
        self.rows, self.seed = rows, seed
        self.model = PlantedModel(self.name, rows, seed, self.dense)
        self.hours = np.log1p(np.arange(24))
        self.hours = (self.hours - self.hours.mean()) / self.hours.std()

    def features(self, index: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Day (B,), hour of the day (B,), and ln(hour + 1), standardised over a day (1, B)."""
        day, hour = np.divmod(index * (24 * DAYS) // self.rows, 24)
        return day, hour, self.hours[hour][None]

    def columns(self, index, label, features, categories) -> dict[str, pl.Series]:
        day, hour, _ = features
        columns = {
            "id": pl.Series(mix64(index.astype(np.uint64) + np.uint64(1))),
            "click": pl.Series(label),
            "hour": pl.Series((FIRST_DAY + day) * 100 + hour),
        }
        for f, field in enumerate(self.model.law.fields):
            if field in BASES:
                values = BASES[field] + categories[f]
                # The real C20 writes -1 where it has no value.
                columns[field] = pl.Series(np.where(categories[f] == 0, -1, values) if field == "C20" else values)
            else:
                columns[field] = _strings(tokens(f, categories[f]), np.zeros(len(index), dtype=bool))
        return columns


def _write(planted: "_Criteo | _Avazu", file: BinaryIO) -> tuple[str, float]:
    """Write all rows; returns the md5 of the bytes and the best possible AUC."""
    rows, model = planted.rows, planted.model
    # The pilot is spread over the whole file, since Avazu's hour goes up along it.
    pilot = np.arange(min(rows, CHUNK)) * rows // min(rows, CHUNK)
    generator = _generator(planted, 0)
    _, _, seen = planted.features(pilot, generator)
    model.calibrate(model.signal(model.categories(pilot, generator), seen))

    md5, auc = hashlib.md5(usedforsecurity=False), ExpectedAuc()
    with tqdm(total=rows, desc=f"planted {planted.name}", unit="row", unit_scale=True, disable=None) as progress:
        for chunk, start in enumerate(range(0, rows, CHUNK)):
            index = np.arange(start, min(start + CHUNK, rows))
            generator = _generator(planted, chunk + 1)
            features = planted.features(index, generator)
            categories = model.categories(index, generator)
            p = model.probability(model.signal(categories, features[-1]))
            auc.add(p)
            label = (generator.random(len(index)) < p).astype(np.int8)
            text = io.BytesIO()
            frame = pl.DataFrame(planted.columns(index, label, features, categories))
            separator = "," if planted.header else "\t"
            frame.write_csv(text, include_header=planted.header and start == 0, separator=separator)
            md5.update(text.getbuffer())
            file.write(text.getbuffer())
            progress.update(len(index))
    return md5.hexdigest(), auc.value()


def _generator(planted: "_Criteo | _Avazu", chunk: int) -> np.random.Generator:
    """A chunk's own stream: a pure function of data set, seed and number of the chunk (0 is the pilot)."""
    return np.random.default_rng(np.random.SeedSequence([planted.seed, DATASETS.index(planted.name), chunk, 1]))


def _strings(text: np.ndarray, absent: np.ndarray) -> pl.Series:
    """(B, 8) bytes as strings, null where ``absent`` (B,), without making a Python object of any."""
    offsets = np.arange(0, 8 * len(text) + 1, 8, dtype=np.int32)
    validity = pa.py_buffer(np.packbits(~absent, bitorder="little"))
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(text))]
    return pl.from_arrow(pa.Array.from_buffers(pa.string(), len(text), buffers))


_HEX = np.array([int.from_bytes(b"%02x" % byte, "little") for byte in range(256)], dtype="<u2")
