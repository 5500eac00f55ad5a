"""From a raw file to a data set of ids, with memory bounded by the vocabularies."""

import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mlet_bench.data import DATASETS
from mlet_bench.data.base import DataSet
from mlet_bench.data.conversion import converted
from mlet_bench.data.encode import NumberedRows
from mlet_bench.data.split import assign
from mlet_bench.errors import BenchError
from mlet_bench.files import file_digest, fsync_tree, read_json, rename, writing
from mlet_bench.locks import owned
from mlet_bench.spec import SPLITS, DatasetSchema, Field

VERSION = 1
PLANTED = {"dataset": str, "rows": int, "seed": int, "plant": str, "best_auc": float, "test_best_auc": dict, "md5": str}
CONTENT = {"schema.json", "vocabulary", *(f"{part}.parquet" for part in SPLITS)}


def prepare(
    name: str,
    raw: Path,
    out: Path,
    *,
    split: Any = None,
    max_rows: int | None = None,
    options: Mapping[str, Any] | None = None,
    called: str | None = None,
) -> DatasetSchema:
    """Prepare the raw file of data set ``name`` as the folder ``out``.

    Ids count from 0 in order of first appearance over the whole file, validation and test rows included, without a
    threshold; a missing value is a category of its own. Files are as DatasetSchema and ``mlet_bench.data.dataset``
    describe them; ``vocabulary/<field>.parquet`` has ``token`` (null: missing), ``id`` and ``count``, the training
    rows with it. Row order is the raw file's in every split.

    Args:
        raw: plain, ``.gz``, ``.tar.gz`` or ``.zip``; ``<raw>.planted.json`` beside it marks a generated file. For a
            table see ``mlet_bench.data.tablefile``.
        out: made whole or not at all. A data set that stands there is replaced once the new one is complete.
        split: one of the data set's ``splits``, None for its first.
        max_rows: use the first rows only.
        options: values of the data set's ``options``.
        called: the name of what is prepared, if it is not the data set's: one may be prepared in several ways.

    Raises:
        BenchError: an unknown data set, split or option, a faulty raw file, too few rows, a complete file that differs
            from the published facts, or an ``out`` that holds something else.

    Example::

        schema = prepare("criteo-kaggle", Path("train.txt"), Path("criteo"), max_rows=1_000_000)
        rows = load_split(Path("criteo"), schema, "train")
    """
    return prepare_as(DATASETS[name](options, split), raw, out, max_rows, called)


def prepare_as(
    data: DataSet, raw: Path, out: Path, max_rows: int | None = None, called: str | None = None
) -> DatasetSchema:
    """The same of a data set with its options and split."""
    if max_rows is not None and max_rows < 1:
        raise BenchError(f"max_rows is {max_rows}: it must be 1 or more, or left out")
    name, clock = called or data.name, time.perf_counter()
    out = Path(out).resolve()
    with writing(out), replacing(out) as folder:
        scratch = folder / "scratch"
        scratch.mkdir()
        source, rows = data.open(raw, scratch, max_rows), NumberedRows(data, scratch / "rows.arrow")
        with converted(data, source):
            rows.read(source)
        planted = _planted(Path(raw), data.name, data.split, source.rows, source.md5 if source.whole else None)
        _note_order(data.split, rows.keys)
        codes = assign(data.split, rows.count, rows.keys)
        sizes, counts, clicks, scales = rows.write(codes, folder)
        learnt = {"scales": {column: [scale.mean, scale.spread] for column, scale in scales.items()}} if scales else {}
        schema = DatasetSchema(
            name=name,
            fields=tuple(Field(field, size) for field, size in zip(data.fields, sizes, strict=True)),
            dense=tuple(dense.column for dense in data.dense),
            rows=counts,
            clicks=clicks,
            source={"file": Path(raw).name, "md5": source.md5, "rows": source.rows, "planted": planted}
            | ({} if name == data.name else {"of": data.name}),
            preparation={"split": data.split, "max_rows": max_rows, **data.recorded, **data.chosen, **learnt},
            version=VERSION,
        ).sealed()
        data.check_full(schema)
        shutil.rmtree(scratch)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        schema = replace(schema, sums={path.relative_to(folder).as_posix(): file_digest(path) for path in files})
        schema.write(folder)
    seconds = time.perf_counter() - clock
    print(f"{source.rows:,} rows in {seconds:.1f} s, {source.rows / seconds:,.0f} rows/s", file=sys.stderr)
    return schema


def _note_order(split: Any, times: np.ndarray) -> None:
    """Say so where the rows of a split by time are not in its order: who reads the file from the top may expect it."""
    if (split["by"] if isinstance(split, Mapping) else split) == "time" and (back := np.diff(times) < 0).any():
        row = int(back.argmax()) + 2
        print(
            f"time goes backwards in {back.sum():,} rows, first in row {row:,}: the split is by value", file=sys.stderr
        )


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Yield a folder to fill; put it in the place of ``out`` on success, remove it on any error."""
    if out.exists():
        if not out.is_dir():
            raise BenchError(f"{out} is a file: give a folder for the data set")
        found = {path.name for path in out.iterdir()}
        # The mark of ours is schema.json, and nothing of somebody else's beside it: the folder will be removed.
        if found and ("schema.json" not in found or found - CONTENT):
            foreign = ", ".join(sorted(found - CONTENT)[:3]) or "no schema.json"
            raise BenchError(f"{out} is there and is no data set of ours ({foreign}): give another folder")
    work = out.with_name(f".{out.name}.partial")
    new, old = work / "new", work / "old"
    with owned(out, "preparing a data set"):
        shutil.rmtree(work, ignore_errors=True)  # of a killed preparation
        new.mkdir(parents=True)
        try:
            yield new
            fsync_tree(new)
            if out.exists():
                rename(out, old)
            try:
                rename(new, out)
            except BaseException:  # a signal too
                if old.exists() and not out.exists():
                    old.rename(out)
                raise
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _planted(raw: Path, name: str, split: str, rows: int, md5: str | None) -> dict[str, Any] | None:
    """What the generator wrote beside a raw file of its making, checked against what was read; None: not planted.

    Its ``best_auc`` is that of the test rows; where only a part of the file was read, whose test rows are others, the
    whole file's.

    Args:
        md5: of the unpacked bytes; None where ``max_rows`` left something.
    """
    path = raw.with_name(f"{raw.name}.planted.json")
    if not path.exists():
        return None
    advice = "the two do not belong together; synthesize again, or remove the json file if the raw file is genuine"
    planted = read_json(path, advice)
    if isinstance(planted, dict) and (unknown := planted.keys() - PLANTED.keys()):
        raise BenchError(f"{path} has the unknown key {min(unknown)!r}: {advice}")
    for key, kind in PLANTED.items():
        if not isinstance(planted, dict) or not isinstance(planted.get(key), kind):
            raise BenchError(f"{path} has no {key} of type {kind.__name__}: {advice}")
    if planted["dataset"] != name:
        raise BenchError(f"{path} is about {planted['dataset']}, the raw file was read as {name}: {advice}")
    if planted["rows"] < rows or (md5 is not None and planted["rows"] != rows):
        raise BenchError(f"{path} says {planted['rows']} rows, {raw} has {rows}: {advice}")
    if md5 is not None and planted["md5"] != md5:
        raise BenchError(f"{path} says md5 {planted['md5']}, {raw} has {md5}: {advice}")
    on_test = planted.pop("test_best_auc")
    if planted["rows"] == rows:
        if not isinstance(on_test.get(split), float):
            raise BenchError(f"{path} has no best AUC for test of split {split!r}: {advice}")
        planted["best_auc"] = on_test[split]
    return planted
