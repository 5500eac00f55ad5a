"""Criteo and Avazu as people pass them on: with a header, commas, an index in front, integers as 4.0."""

import bz2
import gzip
import io
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from data.test_prepare import random_file

from mlet_bench.data import DATASETS, raw
from mlet_bench.data.prepare import prepare
from mlet_bench.errors import BenchError

NAMES = {name: [column.name for column in DATASETS[name].columns] for name in ("criteo-kaggle", "avazu")}


def prepared(folder, name, content):
    (folder / "raw").write_bytes(content)
    return prepare(name, folder / "raw", folder / "out")


def criteo_table(text):
    return pd.read_csv(io.BytesIO(text), sep="\t", header=None, names=NAMES["criteo-kaggle"], dtype=str)


def kaggle(text):
    """``Id,Label,I1,...``, as Kaggle's csv had it."""
    table = criteo_table(text).rename(columns={"label": "Label"})
    table.insert(0, "Id", range(10_000_000, 10_000_000 + len(table)))
    return table.to_csv(index=False).encode()


def floats(text):
    """By way of pandas, which makes floats of integers with gaps."""
    integers = {name: float for name in NAMES["criteo-kaggle"][1:14]}
    return criteo_table(text).astype(integers).to_csv(index=False).encode()


CRITEO = {
    "Kaggle": kaggle,
    "4.0": floats,
    "commas": lambda text: text.replace(b"\t", b","),
    "header": lambda text: "\t".join(NAMES["criteo-kaggle"]).encode() + b"\n" + text,
    "index": lambda text: criteo_table(text).to_csv().encode(),
    "other order": lambda text: criteo_table(text)[NAMES["criteo-kaggle"][::-1]].to_csv(index=False, sep=";").encode(),
    "quotes": lambda text: criteo_table(text).to_csv(index=False, quoting=1).encode(),
    "crlf": lambda text: kaggle(text).replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("form", CRITEO)
def test_criteo_in_another_form_is_the_same_data_set(tmp_path, monkeypatch, form):
    text = random_file("criteo-kaggle", 120)
    original = prepared(tmp_path, "criteo-kaggle", text)
    assert prepared(tmp_path, "criteo-kaggle", CRITEO[form](text)) == original
    monkeypatch.setattr(raw, "BLOCK_BYTES", 5000)
    assert prepared(tmp_path, "criteo-kaggle", CRITEO[form](text)) == original


def test_avazu_saved_again_by_pandas_has_the_same_ids(tmp_path):
    text = random_file("avazu", 120)
    original = prepared(tmp_path, "avazu", text)
    words = {name: str for name in NAMES["avazu"] if DATASETS["avazu"].kind(name) == "hex"}
    table = pd.read_csv(io.BytesIO(text), dtype=words)
    assert prepared(tmp_path, "avazu", table.to_csv().encode()) == original  # an index column in front
    lossy = prepared(tmp_path, "avazu", table.assign(id=table["id"].astype(float)).to_csv(index=False).encode())
    assert replace(lossy, source=original.source).sealed() == original
    assert lossy.fingerprint != original.fingerprint  # the ids, which nothing uses, are lost
    without = prepared(tmp_path, "avazu", table.drop(columns="id").to_csv(index=False).encode())
    assert replace(without, source=original.source).sealed() == original


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda lines: [*lines[:5], lines[5].replace(b",", b";", 1), *lines[6:]], "line 6: 40 columns, the first line"),
        (lambda lines: [*lines[:5], b"1,2," + lines[5].split(b",", 2)[2], *lines[6:]], "line 6, column label: '2' is"),
        (lambda lines: [line.rsplit(b",", 1)[0] + b"\n" for line in lines], "line 1: 1 columns, criteo-kaggle has 40"),
    ],
)
def test_what_cannot_be_read_exactly_is_refused_by_its_line(tmp_path, change, sentence):
    lines = kaggle(random_file("criteo-kaggle", 30)).splitlines(keepends=True)
    with pytest.raises(BenchError) as caught:
        prepared(tmp_path, "criteo-kaggle", b"".join(change(lines)))
    assert sentence in str(caught.value)


def test_tokens_that_pandas_took_for_numbers_are_refused(tmp_path):
    table = criteo_table(random_file("criteo-kaggle", 30)).assign(C1="123456")
    with pytest.raises(BenchError, match="line 2, column C1: '123456' is not a token of 8 hex digits"):
        prepared(tmp_path, "criteo-kaggle", table.to_csv(index=False).encode())


def parquet(text):
    content = io.BytesIO()
    criteo_table(text).to_parquet(content)
    return content.getvalue()


def avazu_table(text):
    return pd.read_csv(io.BytesIO(text), dtype=str)


def times(text):
    table = avazu_table(text)
    return table.assign(hour=pd.to_datetime(table["hour"], format="%y%m%d%H")).to_csv(index=False).encode()


CONVERTIBLE = {
    "Parquet": ("criteo-kaggle", parquet),
    "bzip2": ("criteo-kaggle", bz2.compress),
    "xz": ("avazu", lzma.compress),
    "zstd": ("avazu", lambda text: pa.compress(text, "zstd", asbytes=True)),
    "UTF-16": ("criteo-kaggle", lambda text: text.decode().encode("utf-16")),
    "carriage returns": ("avazu", lambda text: text.replace(b"\n", b"\r")),
    "blank lines": ("criteo-kaggle", lambda text: text.replace(b"\n", b"\n\n")),
    "quotes": ("criteo-kaggle", lambda text: b'"' + text.replace(b"\t", b'"\t"').replace(b"\n", b'"\n"')[:-1]),
    "an index column": ("criteo-kaggle", lambda text: criteo_table(text).to_csv(header=False, sep="\t").encode()),
    "missing values": ("criteo-kaggle", lambda text: criteo_table(text).to_csv(index=False, na_rep="NaN").encode()),
    "missing values, in some": ("criteo-kaggle", lambda text: text.replace(b"\t\t", b"\tNULL\t")),
    "times": ("avazu", times),
}  # fmt: skip


def as_it_is(path, content):
    path.write_bytes(content)


def in_gz(path, content):
    path.write_bytes(gzip.compress(content))


def in_zip(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a folder/train.csv", content)


def in_tar(path, content):
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("dac/train.txt")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))


def converted_by_its_advice(path, name):
    """The file that the line of shell in the error makes."""
    with pytest.raises(BenchError) as caught:
        prepare(name, path, path.parent / "none")
    said, _, line = str(caught.value).partition("and this line converts it: ")
    assert line and "\n" not in line
    tools = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=os.environ | tools)
    assert done.returncode == 0 and not done.stderr, (line, done.stderr)
    return said, path.with_name(f"{path.name}.converted")


@pytest.mark.parametrize("form", CONVERTIBLE)
def test_what_cannot_be_read_is_converted_by_the_line_that_the_error_gives(tmp_path, form):
    name, change = CONVERTIBLE[form]
    if form in ("bzip2", "xz", "zstd") and shutil.which(form) is None:
        pytest.skip(f"{form} is not installed")
    text = random_file(name, 60)
    original = prepared(tmp_path, name, text)
    path = tmp_path / "it's $HOME; a file.csv"
    as_it_is(path, change(text))
    said, made = converted_by_its_advice(path, name)
    assert form.partition(",")[0] in said
    found = prepare(name, made, tmp_path / "found")
    assert replace(found, source=original.source).sealed() == original


@pytest.mark.parametrize("pack", [in_gz, in_zip, in_tar])
def test_what_is_packed_is_unpacked_by_that_line(tmp_path, pack):
    if pack is in_zip and shutil.which("unzip") is None:
        pytest.skip("unzip is not installed")
    text = random_file("criteo-kaggle", 60)
    original = prepared(tmp_path, "criteo-kaggle", text)
    pack(tmp_path / "packed", text.replace(b"\n", b"\n\n"))
    _, made = converted_by_its_advice(tmp_path / "packed", "criteo-kaggle")
    assert (
        made.read_bytes() == text
        and prepare("criteo-kaggle", made, tmp_path / "found")
        == replace(original, source=original.source | {"file": made.name}).sealed()
    )


@pytest.mark.parametrize("pack", [as_it_is, in_gz])
def test_a_last_line_without_an_end_is_ended_by_the_line_that_the_error_gives(tmp_path, pack):
    text = random_file("criteo-kaggle", 60)
    path = tmp_path / "a raw file"
    pack(path, text[:-1])
    with pytest.raises(BenchError) as caught:
        prepare("criteo-kaggle", path, tmp_path / "out")
    subprocess.run(["sh", "-c", str(caught.value).partition("append a newline if it is whole: ")[2]], check=True)
    assert (tmp_path / "a raw file.converted").read_bytes() == text


@pytest.mark.parametrize(
    "text", [b"a,b\n1,2\n", b"no table\n", random_file("criteo-kaggle", 5).replace(b"\t", b" "), b"{}\n[]\n"]
)
def test_what_is_no_such_file_is_told_what_one_has(tmp_path, text):
    with pytest.raises(
        BenchError, match=r"criteo-kaggle has the columns label, I1, .*, C26 without a header and '\\t'"
    ):
        prepared(tmp_path, "criteo-kaggle", text)


def test_avazu_without_its_header_is_the_same_data_set(tmp_path):
    text = random_file("avazu", 60)
    rows = text.partition(b"\n")[2]
    assert prepared(tmp_path, "avazu", rows) == prepared(tmp_path, "avazu", text)
    with pytest.raises(BenchError, match="line 3, column C1: 'x' is not an integer"):
        lines = rows.splitlines(keepends=True)
        values = lines[2].split(b",")
        prepared(tmp_path, "avazu", b"".join([*lines[:2], b",".join([*values[:3], b"x", *values[4:]]), *lines[3:]]))
