"""The preparation as a whole: against a plain reference, over packings, and with nothing half made left behind."""

import gzip
import hashlib
import io
import json
import math
import os
import random
import signal
import tarfile
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from mlet_bench.data import DATASETS, encode, raw, split
from mlet_bench.data.base import DataSet
from mlet_bench.data.prepare import prepare
from mlet_bench.errors import BenchError, Stopped
from mlet_bench.files import rename
from mlet_bench.locks import owned
from mlet_bench.spec import SPLITS, DatasetSchema, Field

GENUINE = {"criteo-kaggle": "criteo_kaggle_sample.txt", "avazu": "avazu_sample.csv"}
CASES = [("criteo-kaggle", "blocks"), ("avazu", "random"), ("avazu", "last-day")]


def random_file(name, n_rows, seed=0):
    """A small raw file with few and many distinct tokens, missing values and both cases of hex digits."""
    draw, fmt = random.Random(seed), DATASETS[name]

    def value(column):
        if column.optional and draw.random() < 0.2:
            return ""
        match column.kind:
            case "label":
                return str(int(draw.random() < 0.3))
            case "int":
                return str(int(draw.expovariate(0.05)) - 3)
            case "hex":
                token = f"{int(draw.expovariate(0.05)) * 2654435761 % 2**32:08x}"
                return token.upper() if draw.random() < 0.1 else token
            case "hour":
                return f"1410{draw.randint(21, 23)}{draw.randint(0, 23):02d}"
            case _:
                return str(draw.getrandbits(64))

    lines = [[column.name for column in fmt.columns]] if fmt.header else []
    lines += [[value(column) for column in fmt.columns] for _ in range(n_rows)]
    return "".join(fmt.separator.join(line) + "\n" for line in lines).encode()


def reference(name, text, way):
    """The preparation in plain Python: {split: frame}, {field: {token: (id, training rows)}}."""
    fmt, names = DATASETS[name], [column.name for column in DATASETS[name].columns]
    lines = text.decode().splitlines()[int(fmt.header) :]
    rows = [dict(zip(names, line.split(fmt.separator), strict=True)) for line in lines]
    days = np.array([int(row["hour"][:6]) if "hour" in row else 0 for row in rows])
    codes = split.assign(way, len(rows), days)
    tables, parts = {field: {} for field in fmt.fields}, {part: [] for part in SPLITS}
    for row, code in zip(rows, codes):
        out = {"label": int(row["label" if "label" in row else "click"])}
        for column in (dense.column for dense in fmt.dense):
            out[column] = math.log(max(int((row[column][6:] if column == "hour" else row[column]) or 0), 0) + 1)
        for field in fmt.fields:
            entry = tables[field].setdefault(row[field].lower(), [len(tables[field]), 0])
            entry[1] += code == split.TRAIN
            out[field] = entry[0]
        parts[SPLITS[code]].append(out)
    return {part: pd.DataFrame(parts[part]) for part in SPLITS}, tables


def agrees(folder, name, text, way):
    """Compare a prepared folder with the reference, row for row."""
    schema = DatasetSchema.read(folder)
    parts, tables = reference(name, text, way)
    for part, expected in parts.items():
        found = pd.read_parquet(folder / f"{part}.parquet")
        assert list(found.columns) == list(expected.columns)
        exact = ["label", *DATASETS[name].fields]
        np.testing.assert_array_equal(found[exact].to_numpy(), expected[exact].to_numpy())
        dense = list(schema.dense)
        np.testing.assert_array_equal(found[dense].to_numpy(), expected[dense].to_numpy().astype(np.float32))
        assert schema.rows[part] == len(expected)
        assert schema.clicks[part] == expected["label"].sum()
    for field in schema.fields:
        table = pd.read_parquet(folder / "vocabulary" / f"{field.name}.parquet")
        tokens = ["" if pd.isna(token) else token for token in table["token"]]
        found = {token: [*entry] for token, *entry in zip(tokens, table["id"], table["count"])}
        assert found == tables[field.name]
        assert list(found) == list(tables[field.name])
        assert field.size == len(found)


def left(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


@pytest.mark.parametrize(("name", "way"), CASES)
@pytest.mark.parametrize("n_rows", [20, 500])
def test_a_plain_reference_agrees_row_for_row(tmp_path, name, way, n_rows):
    text = random_file(name, n_rows, seed=n_rows)
    (tmp_path / "raw").write_bytes(text)
    schema = prepare(name, tmp_path / "raw", tmp_path / "out", split=way)
    agrees(tmp_path / "out", name, text, way)
    assert left(tmp_path / "out") == ["schema.json", "test.parquet", "train.parquet", "val.parquet", "vocabulary"]
    assert left(tmp_path) == ["out", "raw"]
    assert schema == DatasetSchema.read(tmp_path / "out")
    assert schema == schema.sealed()
    expected = {"file": "raw", "md5": hashlib.md5(text).hexdigest(), "rows": n_rows, "planted": None}
    assert schema.source == expected


@pytest.mark.parametrize(("name", "way"), CASES)
def test_many_small_blocks_and_row_groups_change_nothing(tmp_path, monkeypatch, name, way):
    text = random_file(name, 300)
    (tmp_path / "raw").write_bytes(text)
    whole = prepare(name, tmp_path / "raw", tmp_path / "whole", split=way)
    monkeypatch.setattr(raw, "BLOCK_BYTES", 5000)
    monkeypatch.setattr(encode, "GROUP_ROWS", 100)
    assert prepare(name, tmp_path / "raw", tmp_path / "out", split=way) == whole
    agrees(tmp_path / "out", name, text, way)
    with pq.ParquetFile(tmp_path / "out" / "train.parquet") as file:
        groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert groups == [100] * (whole.rows["train"] // 100) + [whole.rows["train"] % 100]


@pytest.mark.parametrize(("name", "way"), CASES[:2])
def test_genuine_rows_agree_with_the_reference(tmp_path, name, way):
    folder = os.environ.get("MLET_BENCH_GENUINE")
    if not folder:
        pytest.skip("MLET_BENCH_GENUINE names no folder with genuine rows")
    path = Path(folder) / GENUINE[name]
    prepare(name, path, tmp_path / "out", split=way)
    agrees(tmp_path / "out", name, path.read_bytes(), way)


@pytest.mark.parametrize("name", GENUINE)
def test_every_packing_gives_the_same_data_set(tmp_path, name):
    text = random_file(name, 60)
    crlf = text.replace(b"\n", b"\r\n")
    (tmp_path / "plain").write_bytes(text)
    plain = prepare(name, tmp_path / "plain", tmp_path / "out")
    contents = {"gz": gzip.compress(text), "crlf": crlf, "bom": b"\xef\xbb\xbf" + text, "crlf.gz": gzip.compress(crlf)}
    for suffix, content in contents.items():
        (tmp_path / suffix).write_bytes(content)
    with tarfile.open(tmp_path / "tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("train.txt")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    with zipfile.ZipFile(tmp_path / "zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.csv", text)
    for suffix in (*contents, "tar.gz", "zip"):
        packed = prepare(name, tmp_path / suffix, tmp_path / f"{suffix}.out")
        agrees(tmp_path / f"{suffix}.out", name, text, plain.preparation["split"])
        if suffix in ("gz", "tar.gz", "zip"):
            assert packed.fingerprint == plain.fingerprint
        else:
            assert packed.source["md5"] != plain.source["md5"]
            same = replace(packed, source={**packed.source, "md5": plain.source["md5"]}).sealed()
            assert same.fingerprint == plain.fingerprint


def test_max_rows_takes_the_first_rows(tmp_path):
    text = random_file("criteo-kaggle", 100)
    (tmp_path / "raw").write_bytes(text)
    start = b"".join(text.splitlines(keepends=True)[:30])
    schema = prepare("criteo-kaggle", tmp_path / "raw", tmp_path / "out", max_rows=30)
    agrees(tmp_path / "out", "criteo-kaggle", start, "blocks")
    assert (schema.source["rows"], schema.source["md5"]) == (30, hashlib.md5(start).hexdigest())
    assert schema.preparation == {"split": "blocks", "max_rows": 30, "authors_hour": False}
    longer = prepare("criteo-kaggle", tmp_path / "raw", tmp_path / "out", max_rows=1000)
    assert longer.source["rows"] == 100


def test_the_folds_of_a_zip_are_one_file(tmp_path):
    text = random_file("avazu", 60)
    header, *rows = text.splitlines(keepends=True)
    with zipfile.ZipFile(tmp_path / "x4.zip", "w") as archive:
        for fold, part in {"valid": rows[40:50], "test": rows[50:], "train": rows[:40]}.items():
            archive.writestr(f"Avazu_x4/{fold}.csv", header + b"".join(part))
    prepare("avazu", tmp_path / "x4.zip", tmp_path / "out")
    agrees(tmp_path / "out", "avazu", text, "random")


def criteo_lines():
    return random_file("criteo-kaggle", 30).decode().splitlines(keepends=True)


def changed(number, column, value):
    """The lines with one value replaced; line and column count from 1 and 0."""
    lines = criteo_lines()
    values = lines[number - 1].removesuffix("\n").split("\t")
    values[column] = value
    lines[number - 1] = "\t".join(values) + "\n"
    return "".join(lines)


FAULTY = [
    (changed(7, 0, "2"), "line 7, column label: '2'"),
    (changed(7, 3, "+1"), "line 7, column I3: '+1'"),
    (changed(30, 3, "1.0"), "line 30, column I3: '1.0'"),
    (changed(1, 13, str(2**63)), "line 1, column I13: '9223372036854775808'"),
    (changed(7, 14, "123"), "line 7, column C1: '123'"),
    (changed(7, 39, "+1234567"), "line 7, column C26: '+1234567'"),
    (changed(7, 39, "12345678\t"), "line 7: 41 columns, criteo-kaggle has 40"),
    (changed(7, 39, "12345678\n"), "line 8: the line is blank"),
    ("".join(criteo_lines()) + "\n", "line 31: the line is blank"),
    ("".join(criteo_lines())[:-1], "the last line (30) has no line end"),
    ("".join(criteo_lines()[:13]), "13 rows are too few"),
    ("", "is empty"),
    ("nonsense\n", "line 1: 1 columns, criteo-kaggle has 40"),
    ("PAR1\0\0\0\0", "is no text"),
]


@pytest.mark.parametrize(("text", "sentence"), FAULTY, ids=[sentence for _, sentence in FAULTY])
def test_a_faulty_file_is_refused_and_leaves_nothing(tmp_path, monkeypatch, text, sentence):
    monkeypatch.setattr(raw, "BLOCK_BYTES", 1500)  # several blocks, so that the spool has begun
    (tmp_path / "raw.txt").write_text(text)
    with pytest.raises(BenchError) as caught:
        prepare("criteo-kaggle", tmp_path / "raw.txt", tmp_path / "out")
    assert sentence in str(caught.value)
    assert "rows are too few" in sentence or str(tmp_path / "raw.txt") in str(caught.value)
    assert left(tmp_path) == ["raw.txt"]


def test_a_failure_leaves_the_data_set_that_stood_there(tmp_path):
    (tmp_path / "good").write_bytes(random_file("criteo-kaggle", 30))
    (tmp_path / "bad").write_text(changed(7, 0, "2"))
    schema = prepare("criteo-kaggle", tmp_path / "good", tmp_path / "out")
    with pytest.raises(BenchError):
        prepare("criteo-kaggle", tmp_path / "bad", tmp_path / "out")
    assert DatasetSchema.read(tmp_path / "out") == schema
    assert left(tmp_path) == ["bad", "good", "out"]


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(encode.NumberedRows, "write", interrupted)
    (tmp_path / "raw").write_bytes(random_file("criteo-kaggle", 30))
    with pytest.raises(KeyboardInterrupt):
        prepare("criteo-kaggle", tmp_path / "raw", tmp_path / "out")
    assert left(tmp_path) == ["raw"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing_while_blocks_are_read_in_threads(tmp_path, monkeypatch, number):
    def stop(number, frame):
        raise Stopped(number, "stopped")

    def rows(self, block):
        if block.first_line > 1:
            os.kill(os.getpid(), number)
        return read(self, block)

    read, before = DataSet.rows, signal.signal(number, stop)
    monkeypatch.setattr(DataSet, "rows", rows)
    monkeypatch.setattr(raw, "BLOCK_BYTES", 1500)
    (tmp_path / "raw").write_bytes(random_file("criteo-kaggle", 300))
    try:
        with pytest.raises(Stopped):
            prepare("criteo-kaggle", tmp_path / "raw", tmp_path / "out")
    finally:
        signal.signal(number, before)
    assert left(tmp_path) == ["raw"]


def test_what_stands_at_out_is_replaced_only_if_it_is_ours(tmp_path):
    path, out = tmp_path / "raw", tmp_path / "deep" / "out"
    path.write_bytes(random_file("criteo-kaggle", 30))
    out.mkdir(parents=True)
    first = prepare("criteo-kaggle", path, out)  # an empty folder
    (out.parent / ".out.partial").mkdir()  # of a killed preparation
    assert prepare("criteo-kaggle", path, out) == first
    second = prepare("criteo-kaggle", path, out, max_rows=20)
    assert DatasetSchema.read(out) == second != first
    assert left(out.parent) == ["out"]
    (out / "notes.txt").write_text("mine")
    with pytest.raises(BenchError, match=r"no data set of ours \(notes.txt\): give another folder"):
        prepare("criteo-kaggle", path, out)
    assert (out / "notes.txt").read_text() == "mine"
    (out / "notes.txt").unlink()
    (out / "schema.json").unlink()
    with pytest.raises(BenchError, match=r"no schema\.json"):
        prepare("criteo-kaggle", path, out)
    with pytest.raises(BenchError, match="is a file"):
        prepare("criteo-kaggle", path, path)
    assert path.read_bytes() == random_file("criteo-kaggle", 30)


def test_two_preparations_do_not_share_a_folder(tmp_path):
    """One that outlived its snakemake, say: the next would empty the folder under it."""
    path, out = tmp_path / "raw", tmp_path / "out"
    path.write_bytes(random_file("criteo-kaggle", 30))
    with owned(out, "preparing a data set"):
        with pytest.raises(BenchError, match=r"another process is preparing a data set in .*/out"):
            prepare("criteo-kaggle", path, out)
        assert left(tmp_path) == ["raw"]
    prepare("criteo-kaggle", path, out)
    assert left(tmp_path) == ["out", "raw"]


def test_a_signal_between_two_data_sets_leaves_the_first(tmp_path, monkeypatch):
    path, out = tmp_path / "raw", tmp_path / "out"
    path.write_bytes(random_file("criteo-kaggle", 30))
    first = prepare("criteo-kaggle", path, out)

    def interrupted(source, target):
        if source.name == "new":
            raise Stopped(15, "stopped")
        rename(source, target)

    monkeypatch.setattr("mlet_bench.data.prepare.rename", interrupted)
    with pytest.raises(Stopped):
        prepare("criteo-kaggle", path, out, max_rows=20)
    assert DatasetSchema.read(out) == first and left(tmp_path) == ["out", "raw"]


def test_wrong_arguments_are_refused(tmp_path):
    with pytest.raises(BenchError, match="unknown data set 'movielens': there are criteo-kaggle, avazu, table"):
        prepare("movielens", tmp_path / "raw", tmp_path / "out")
    with pytest.raises(BenchError, match="criteo-kaggle has no split 'last-day': there are blocks"):
        prepare("criteo-kaggle", tmp_path / "raw", tmp_path / "out", split="last-day")
    with pytest.raises(BenchError, match="max_rows is 0"):
        prepare("criteo-kaggle", tmp_path / "raw", tmp_path / "out", max_rows=0)
    with pytest.raises(BenchError, match="is no file"):
        prepare("criteo-kaggle", tmp_path / "raw", tmp_path / "out")
    assert left(tmp_path) == []


def planted_file(folder, **changes):
    text = random_file("criteo-kaggle", 40)
    (folder / "raw.gz").write_bytes(gzip.compress(text))
    md5 = hashlib.md5(text).hexdigest()
    content = {"dataset": "criteo-kaggle", "rows": 40, "seed": 3, "plant": "none", "best_auc": 0.8, "md5": md5}
    content |= {"test_best_auc": {"blocks": 0.79}} | changes
    (folder / "raw.gz.planted.json").write_text(json.dumps(content))
    return folder / "raw.gz", content


@pytest.mark.parametrize("max_rows", [None, 40, 20])
def test_a_planted_file_is_marked(tmp_path, max_rows):
    path, content = planted_file(tmp_path)
    del content["test_best_auc"]
    content["best_auc"] = 0.8 if max_rows == 20 else 0.79  # of the test rows, where they are the file's
    assert prepare("criteo-kaggle", path, tmp_path / "out", max_rows=max_rows).source["planted"] == content


@pytest.mark.parametrize(
    ("changes", "max_rows", "sentence"),
    [
        ({"md5": "0" * 32}, None, "says md5 00000000000000000000000000000000"),
        ({"md5": "0" * 32}, 40, "says md5 00000000000000000000000000000000"),
        ({"rows": 41}, None, "says 41 rows"),
        ({"rows": 10}, 20, "says 10 rows"),
        ({"dataset": "avazu"}, None, "is about avazu"),
        ({"seed": None}, 20, "has no seed of type int"),
        ({"test_best_auc": {"random": 0.8}}, 40, "has no best AUC for test of split 'blocks'"),
    ],
)
def test_a_planted_file_that_is_not_the_one_described_is_refused(tmp_path, changes, max_rows, sentence):
    path, _ = planted_file(tmp_path, **changes)
    with pytest.raises(BenchError) as caught:
        prepare("criteo-kaggle", path, tmp_path / "out", max_rows=max_rows)
    assert f"{path}.planted.json {sentence}" in str(caught.value)
    assert "remove the json file if the raw file is genuine" in str(caught.value)
    assert left(tmp_path) == ["raw.gz", "raw.gz.planted.json"]


def test_a_complete_file_that_differs_from_the_published_one_is_refused(tmp_path, monkeypatch):
    text = random_file("criteo-kaggle", 40)
    (tmp_path / "raw").write_bytes(text)
    schema = prepare("criteo-kaggle", tmp_path / "raw", tmp_path / "out")
    criteo = DATASETS["criteo-kaggle"]
    monkeypatch.setattr(criteo, "full_rows", 40)
    monkeypatch.setattr(criteo, "full_clicks", sum(schema.clicks.values()))
    monkeypatch.setattr(criteo, "table_sizes", schema.table_sizes)
    assert prepare("criteo-kaggle", tmp_path / "raw", tmp_path / "out") == schema
    monkeypatch.setattr(criteo, "table_sizes", (*schema.table_sizes[:-1], 1))
    with pytest.raises(BenchError, match=r"column C26 has \d+ categories, published are 1"):
        prepare("criteo-kaggle", tmp_path / "raw", tmp_path / "other")
    assert left(tmp_path) == ["out", "raw"]


def test_the_fingerprint_is_of_the_content_not_of_the_name(tmp_path):
    text = random_file("criteo-kaggle", 30)
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(text)
    a, b = (prepare("criteo-kaggle", tmp_path / name, tmp_path / f"{name}.out") for name in ("a", "b"))
    assert a.fingerprint == b.fingerprint
    assert asdict(a) != asdict(b)
    assert a.fields[0] == Field("C1", a.table_sizes[0])
