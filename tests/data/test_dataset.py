"""Tensors of a prepared data set, and the refusal of one that was changed."""

import json
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from mlet_bench.data.dataset import load_split, training_counts
from mlet_bench.data.generate import synthesize
from mlet_bench.data.prepare import prepare
from mlet_bench.errors import BenchError
from mlet_bench.spec import DatasetSchema, Field

N_ROWS = {"train": 50, "val": 7, "test": 8}


def frame(n_rows, seed):
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "label": np.arange(n_rows, dtype=np.int8) % 2,
            "I1": draw.normal(size=n_rows).astype(np.float32),
            "I2": draw.normal(size=n_rows).astype(np.float32),
            "C1": draw.integers(0, 5, n_rows, dtype=np.int32),
            "C2": draw.integers(0, 90, n_rows, dtype=np.int32),
        }
    )


@pytest.fixture
def folder(tmp_path):
    """A data set written without the preparation: several row groups of uneven size."""
    (tmp_path / "vocabulary").mkdir()
    for part, n_rows in N_ROWS.items():
        frame(n_rows, n_rows).to_parquet(tmp_path / f"{part}.parquet", index=False, row_group_size=20)
    clicks = {part: n_rows // 2 for part, n_rows in N_ROWS.items()}
    fields = (Field("C1", 5), Field("C2", 90))
    DatasetSchema("criteo-kaggle", fields, ("I1", "I2"), N_ROWS, clicks, {"file": ""}, {}, 1).sealed().write(tmp_path)
    write_vocabulary(tmp_path, [0, 1, 2, 3, 4])
    return tmp_path


def write_vocabulary(folder, ids, counts=(9, 8, 0, 7, 26)):
    tokens = pa.array(["a", None, "b", "c", "d"], pa.string())
    table = pa.table({"token": tokens, "id": pa.array(ids, pa.int32()), "count": pa.array(counts, pa.int64())})
    pq.write_table(table, folder / "vocabulary" / "C1.parquet")


@pytest.mark.parametrize("part", N_ROWS)
def test_a_split_becomes_tensors_in_the_order_of_the_file(folder, part):
    rows = load_split(folder, DatasetSchema.read(folder), part)
    expected = frame(N_ROWS[part], N_ROWS[part])
    assert len(rows) == N_ROWS[part]
    assert (rows.label.dtype, rows.dense.dtype, rows.ids.dtype) == (torch.float32, torch.float32, torch.int32)
    np.testing.assert_array_equal(rows.label.numpy(), expected["label"])
    np.testing.assert_array_equal(rows.dense.numpy(), expected[["I1", "I2"]])
    np.testing.assert_array_equal(rows.ids.numpy(), expected[["C1", "C2"]])
    assert rows.ids.is_contiguous()


def test_a_data_set_without_dense_features_loads(folder):
    data = frame(8, 8).drop(columns=["I1", "I2"])
    data.to_parquet(folder / "test.parquet", index=False)
    replace(DatasetSchema.read(folder), dense=()).sealed().write(folder)
    rows = load_split(folder, DatasetSchema.read(folder), "test")
    assert rows.dense.shape == (8, 0)
    np.testing.assert_array_equal(rows.ids.numpy(), data[["C1", "C2"]])


def last_value(column, value):
    def change(data):
        data.loc[len(data) - 1, column] = value
        return data

    return change


TAMPERED = [
    (last_value("C1", 5), "column C1 has ids outside its table"),
    (last_value("C2", -1), "column C2 has ids outside its table"),
    (last_value("label", 2), "column label has labels other than 0 and 1"),
    (last_value("label", -1), "column label has labels other than 0 and 1"),
    (last_value("label", 0), "has 3 clicks, schema.json says 4"),
    (last_value("I2", -np.inf), "column I2 has values that are not finite"),
    (last_value("I1", np.inf), "column I1 has values that are not finite"),
    (lambda data: data.astype({"C1": np.int64}), "column C1: int64, not int32"),
    (lambda data: data.astype({"I1": np.float64}), "column I1: double, not float"),
    (lambda data: data.drop(columns="C2"), "column C2: missing, not int32"),
    (lambda data: data.assign(C3=data["C2"]), "has the columns label, I1, I2, C1, C2, C3, not"),
    (lambda data: data[["label", "I1", "I2", "C2", "C1"]], "has the columns label, I1, I2, C2, C1, not"),
    (lambda data: data.iloc[:-1], "has 7 rows, schema.json says 8"),
]


@pytest.mark.parametrize(("change", "sentence"), TAMPERED, ids=[sentence for _, sentence in TAMPERED])
def test_a_changed_file_is_refused(folder, change, sentence):
    change(frame(8, 8)).to_parquet(folder / "test.parquet", index=False, row_group_size=3)
    with pytest.raises(BenchError) as caught:
        load_split(folder, DatasetSchema.read(folder), "test")
    assert str(folder / "test.parquet") in str(caught.value)
    assert sentence in str(caught.value)
    assert "prepare it again" in str(caught.value)


def test_nulls_are_refused(folder):
    table = pa.Table.from_pandas(frame(8, 8), preserve_index=False)
    holes = pa.array([None, *range(4), 0, 1, 2], pa.int32())
    pq.write_table(table.set_column(3, "C1", holes), folder / "test.parquet")
    with pytest.raises(BenchError, match="column C1 has nulls"):
        load_split(folder, DatasetSchema.read(folder), "test")


def test_a_file_that_is_missing_or_no_parquet_is_refused(folder):
    schema = DatasetSchema.read(folder)
    content = (folder / "train.parquet").read_bytes()
    for damaged in (content[:100], b"", content[: len(content) // 2] + bytes(len(content) // 2)):
        (folder / "train.parquet").write_bytes(damaged)
        with pytest.raises(BenchError, match=r"train.parquet cannot be read"):
            load_split(folder, schema, "train")
    (folder / "train.parquet").unlink()
    with pytest.raises(BenchError, match=r"train.parquet does not exist"):
        load_split(folder, schema, "train")
    with pytest.raises(BenchError, match="unknown split 'valid': there are train, val, test"):
        load_split(folder, schema, "valid")


def test_training_counts(folder):
    schema = DatasetSchema.read(folder)
    counts = training_counts(folder, schema, "C1")
    assert counts.dtype == np.int64
    assert counts.tolist() == [9, 8, 0, 7, 26]
    with pytest.raises(BenchError, match=r"C2.parquet does not exist"):
        training_counts(folder, schema, "C2")
    for ids, counts, sentence in (
        ([0, 1, 2, 4, 3], (9, 8, 0, 7, 26), "column id: the ids do not count from 0"),
        ([0, 1, 2, 3, 4], (7, 7, 7, 7, 7), "counts 35 training rows, schema.json 50"),
        ([0, 1, 2, 3, 4], (9, 8, 0, -1, 34), "counts 50 training rows, schema.json 50"),
        ([0, 1, 2, 3, 4], (9, 8, 0, 7, None), "column count has nulls"),
    ):
        write_vocabulary(folder, ids, counts)
        with pytest.raises(BenchError, match=sentence):
            training_counts(folder, schema, "C1")


def another_order(path):
    table = pq.read_table(path)
    pq.write_table(table.take([1, 0, *range(2, len(table))]), path)


def another_count(path):
    table = pq.read_table(path)
    counts = table["count"].to_pylist()
    counts[:2] = counts[1::-1]  # as many training rows as before
    pq.write_table(table.set_column(2, "count", pa.array(counts, pa.int64())), path)


@pytest.mark.parametrize(
    ("name", "change"), [("train.parquet", another_order), ("vocabulary/site_id.parquet", another_count)]
)
def test_files_of_another_preparation_are_refused_though_each_is_whole(tmp_path, name, change):
    """Everything that is checked of a file by itself holds; its sum in schema.json does not."""
    synthesize("avazu", 300, 0, tmp_path / "raw")
    schema = prepare("avazu", tmp_path / "raw", tmp_path / "out")
    load = partial(load_split, split="train") if name == "train.parquet" else partial(training_counts, field="site_id")
    load(tmp_path / "out", schema)
    change(tmp_path / "out" / name)
    load(tmp_path / "out", replace(schema, sums={}))
    with pytest.raises(BenchError, match=rf"{name} was altered since it was written.*prepare it again"):
        load(tmp_path / "out", DatasetSchema.read(tmp_path / "out"))


def test_sums_are_no_part_of_the_fingerprint_and_are_sealed_themselves(tmp_path):
    synthesize("avazu", 300, 0, tmp_path / "raw")
    schema = prepare("avazu", tmp_path / "raw", tmp_path / "out")
    assert set(schema.sums) == {f"{part}.parquet" for part in N_ROWS} | {
        f"vocabulary/{field.name}.parquet" for field in schema.fields
    }
    assert replace(schema, sums={}).sealed().fingerprint == schema.fingerprint
    path = tmp_path / "out" / "schema.json"
    content = json.loads(path.read_text())
    assert content["sums"] == DatasetSchema.read(tmp_path / "out").sums == schema.sums
    content["sums"]["train.parquet"] = content["sums"]["val.parquet"]
    path.write_text(json.dumps(content))
    with pytest.raises(BenchError, match="was altered since it was written: prepare it again"):
        DatasetSchema.read(tmp_path / "out")


def test_loading_needs_no_polars(folder):
    program = """
        import sys

        for name in ("polars", "mlflow", "snakemake", "matplotlib", "jsonschema"):
            sys.modules[name] = None  # an import of it fails
        from mlet_bench.data.dataset import load_split, training_counts
        from mlet_bench.spec import DatasetSchema

        folder = sys.argv[1]
        assert len(load_split(folder, DatasetSchema.read(folder), "train")) == 50
        assert len(training_counts(folder, DatasetSchema.read(folder), "C1")) == 5
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(folder)], check=True)


def test_what_prepare_writes_can_be_loaded(tmp_path):
    line = "\t".join(["1", *["2"] * 13, *["0000beef"] * 26]) + "\n"
    (tmp_path / "raw").write_text(line * 21)
    schema = prepare("criteo-kaggle", tmp_path / "raw", tmp_path / "out")
    shutil.move(tmp_path / "out", tmp_path / "moved")
    for part, n_rows in {"train": 18, "val": 1, "test": 2}.items():
        rows = load_split(tmp_path / "moved", schema, part)
        assert (len(rows), rows.dense.shape, rows.ids.shape) == (n_rows, (n_rows, 13), (n_rows, 26))
        assert (rows.dense == np.log(np.float32(3))).all()
        assert (rows.ids == 0).all()
    assert training_counts(tmp_path / "moved", schema, "C26").tolist() == [18]
