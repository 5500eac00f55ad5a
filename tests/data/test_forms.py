"""Criteo and Avazu as people pass them on: with a header, commas, an index in front, integers as 4.0."""

import io
from dataclasses import replace

import pandas as pd
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
