"""From a raw file to a data set of ids: two passes, with memory bounded by the largest vocabulary."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlet_bench.data import avazu, criteo
from mlet_bench.data.ahead import ahead, in_threads
from mlet_bench.data.assemble import assemble
from mlet_bench.data.format import RawFormat
from mlet_bench.data.memory import kept_memory
from mlet_bench.data.parse import Rows, parse
from mlet_bench.data.passes import one_pass
from mlet_bench.data.raw import RawFile
from mlet_bench.data.split import assign
from mlet_bench.data.spool import FEATURES, Spool
from mlet_bench.data.vocabulary import encode_fields
from mlet_bench.errors import BenchError
from mlet_bench.files import read_json, writing
from mlet_bench.owned import owned
from mlet_bench.spec import SPLITS, DatasetSchema, Field

FORMATS: dict[str, RawFormat] = {fmt.name: fmt for fmt in (criteo.FORMAT, avazu.FORMAT)}
VERSION = 1
PARSERS = 4  # blocks parsed at a time, at most: as many as one thread can read and hash
PLANTED = {"dataset": str, "rows": int, "seed": int, "best_auc": float, "md5": str}
CONTENT = {"schema.json", "vocabulary", *(f"{part}.parquet" for part in SPLITS)}


def prepare(
    name: str,
    raw: Path,
    out: Path,
    *,
    split: str | None = None,
    max_rows: int | None = None,
    authors_hour: bool = False,
) -> DatasetSchema:
    """Prepare the raw file of data set ``name`` as the folder ``out``.

    Ids count from 0 in order of first appearance over the whole file, validation and test rows included, without a
    threshold; a missing value is a category of its own. Files are as DatasetSchema and ``mlet_bench.data.dataset``
    describe them; ``vocabulary/<field>.parquet`` has ``token`` (null: missing), ``id`` and ``count``, the training
    rows with it. Row order is the raw file's in every split.

    Args:
        raw: plain, ``.gz``, ``.tar.gz`` or ``.zip``; ``<raw>.planted.json`` beside it marks a generated file.
        out: made whole or not at all. A data set that stands there is replaced once the new one is complete.
        split: one of the format's ``splits``, None for its first.
        max_rows: use the first rows only.
        authors_hour: of Avazu, parse the hour as the authors' code does (``RawFormat.unix_hour``).

    Raises:
        BenchError: an unknown data set or split, a faulty raw file, too few rows, a complete file that differs from the
            published facts, or an ``out`` that holds something else.

    Example::

        schema = prepare("criteo-kaggle", Path("train.txt"), Path("criteo"), max_rows=1_000_000)
        rows = load_split(Path("criteo"), schema, "train")
    """
    if name not in FORMATS:
        raise BenchError(f"unknown data set {name!r}: there are {', '.join(FORMATS)}")
    fmt = FORMATS[name]
    split = fmt.splits[0] if split is None else split
    if split not in fmt.splits:
        raise BenchError(f"{name} has no split {split!r}: there are {', '.join(fmt.splits)}")
    if authors_hour:
        if not any(column.kind == "hour" for column in fmt.columns):
            raise BenchError(f"{name} has no hour to parse as the authors do: leave that option out")
        fmt = replace(fmt, unix_hour=True)
    if max_rows is not None and max_rows < 1:
        raise BenchError(f"max_rows is {max_rows}: it must be 1 or more, or left out")
    source = RawFile(raw, fmt.check_header if fmt.header else None, max_rows)
    out = Path(out).resolve()
    with writing(out), _replacing(out) as folder, kept_memory():
        (folder / "spool").mkdir()
        spool = Spool(folder / "spool")
        _read(source, fmt, spool)
        planted = _planted(Path(raw), fmt, source)
        codes = assign(split, source.rows, lambda: spool.read(FEATURES, "day"))
        sizes = encode_fields(fmt.fields, codes, spool, folder / "vocabulary")
        rows, clicks = assemble(fmt, codes, spool, folder)
        schema = DatasetSchema(
            name=name,
            fields=tuple(Field(field, size) for field, size in zip(fmt.fields, sizes, strict=True)),
            dense=fmt.dense,
            rows=rows,
            clicks=clicks,
            source={"file": Path(raw).name, "md5": source.md5, "rows": source.rows, "planted": planted},
            preparation={"split": split, "max_rows": max_rows, "authors_hour": authors_hour},
            version=VERSION,
        ).sealed()
        fmt.check_full(schema)
        shutil.rmtree(folder / "spool")
        schema.write(folder)
    return schema


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """Yield a folder to fill; put it in the place of ``out`` on success, remove it on any error."""
    work = out.with_name(f".{out.name}.partial")
    new, old = work / "new", work / "old"
    if out.exists():
        if not out.is_dir():
            raise BenchError(f"{out} is a file: give a folder for the data set")
        found = {path.name for path in out.iterdir()}
        # The mark of ours is schema.json, and nothing of somebody else's beside it: the folder will be removed.
        if found and ("schema.json" not in found or found - CONTENT):
            foreign = ", ".join(sorted(found - CONTENT)[:3]) or "no schema.json"
            raise BenchError(f"{out} is there and is no data set of ours ({foreign}): give another folder")
    with owned(work, "preparing a data set"):
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)
        new.mkdir()
        try:
            yield new
            if out.exists():
                out.rename(old)
            try:
                new.rename(out)
            except BaseException:  # a signal too
                if old.exists() and not out.exists():
                    old.rename(out)
                raise
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _read(source: RawFile, fmt: RawFormat, spool: Spool) -> None:
    """Pass 1: the checked, typed rows, with tokens as numbers, into the spool."""

    def blocks() -> Iterator[Rows]:
        with one_pass("read", "rows") as progress:
            for rows in in_threads(lambda block: parse(block, fmt), ahead(source), min(PARSERS, os.cpu_count() or 1)):
                yield rows
                progress.update(len(rows))
                progress.expect(round(progress.n / source.share) if source.share else progress.n)

    spool.write_rows(blocks())


def _planted(raw: Path, fmt: RawFormat, source: RawFile) -> dict[str, Any] | None:
    """What the generator wrote beside a raw file of its making, checked against what was read; None: not planted."""
    path = raw.with_name(f"{raw.name}.planted.json")
    if not path.exists():
        return None
    advice = "the two do not belong together; synthesize anew, or remove the json file if the raw file is genuine"
    planted = read_json(path, advice)
    for key, kind in PLANTED.items():
        if not isinstance(planted, dict) or not isinstance(planted.get(key), kind):
            raise BenchError(f"{path} has no {key} of type {kind.__name__}: {advice}")
    if planted["dataset"] != fmt.name:
        raise BenchError(f"{path} is about {planted['dataset']}, the raw file was read as {fmt.name}: {advice}")
    if planted["rows"] < source.rows or (source.whole and planted["rows"] != source.rows):
        raise BenchError(f"{path} says {planted['rows']} rows, {raw} has {source.rows}: {advice}")
    if source.whole and planted["md5"] != source.md5:
        raise BenchError(f"{path} says md5 {planted['md5']}, {raw} has {source.md5}: {advice}")
    return planted
