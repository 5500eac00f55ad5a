"""A table of one's own: values worked out by hand, whatever form the file has."""

import gzip
import json
import math
import os
import zipfile
import zlib

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from mlet_bench.cli import main
from mlet_bench.data import tablefile
from mlet_bench.data.dataset import load_split, training_counts
from mlet_bench.data.prepare import prepare
from mlet_bench.errors import BenchError
from mlet_bench.spec import SPLITS, DatasetSchema

OPTIONS = {"label": "clicked", "categorical": ["user", "item"], "dense": {"price": "none"}}
BY_FOLD = {"by": "column", "column": "fold", "val": [8], "test": [9]}
USERS = ["b", "a", None, "b", "c", "b", "a", "", "b", None, "d", "a"]
ITEMS = [2**60 + 1, 2**60, 2**60 + 1, 7, 7, 7, 7, 7, 7, -1, 2**60, 7]
PRICES = [1.0, 2.0, None, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 1000.0, -3.0]
LABELS = [1, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]


def small():
    """Twelve rows: ten to train on, then one each for validation and test."""
    folds = [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 8, 9]
    return pl.DataFrame({"user": USERS, "item": ITEMS, "price": PRICES, "fold": folds, "clicked": LABELS})


def made(folder, file, split=BY_FOLD, **options):
    """The schema of a prepared table, and the rows of its splits one after the other: label, dense, ids."""
    schema = prepare("table", file, folder / "out", split=split, options=OPTIONS | options, called="mine")
    assert schema == DatasetSchema.read(folder / "out") == schema.sealed()
    parts = [load_split(folder / "out", schema, part) for part in SPLITS]
    assert schema.rows == {part: len(rows) for part, rows in zip(SPLITS, parts)}
    return schema, *(np.concatenate([getattr(rows, name) for rows in parts]) for name in ("label", "dense", "ids"))


def vocabulary(folder, field):
    table = pl.read_parquet(folder / "out" / "vocabulary" / f"{field}.parquet")
    assert table["id"].to_list() == list(range(len(table)))
    assert (
        table["count"].to_list() == training_counts(folder / "out", DatasetSchema.read(folder / "out"), field).tolist()
    )
    return dict(zip(table["token"], table["count"]))


def written(folder, form):
    """The small table as a file, or several, of a form."""
    table, path = small(), folder / f"t.{form}"
    text = table.write_csv().encode()
    match form:
        case "parquet":
            table.write_parquet(path, row_group_size=5)
        case "csv":
            path.write_bytes(text)
        case "csv.gz":
            path.write_bytes(gzip.compress(text))
        case "csv.zst":
            with pa.CompressedOutputStream(str(path), "zstd") as file:
                file.write(text)
        case "zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("t.csv", text)
        case "bare":
            table.write_csv(path, separator=";", include_header=False, null_value="NA", quote_style="never")
        case "crlf":
            path.write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
        case "folder":
            path.mkdir()
            table[:5].write_parquet(path / "part-0.parquet")
            table[5:].write_parquet(path / "part-1.parquet")
            (path / "_SUCCESS").write_text("")
        case "glob":
            table[:5].write_csv(folder / "a [1].csv")
            table[5:].write_csv(folder / "b [1].csv")
            return folder / "? [[]1].csv"
    return path


FORMS = ("parquet", "csv", "csv.gz", "csv.zst", "zip", "crlf", "folder", "glob")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_values_worked_out_by_hand(tmp_path, form):
    schema, label, dense, ids = made(tmp_path, written(tmp_path, form))
    assert (schema.name, schema.source["of"], schema.table_sizes) == ("mine", "table", (6, 4))
    assert label.tolist() == LABELS and schema.clicks == {"train": 5, "val": 0, "test": 1}
    assert dense[:, 0].tolist() == [price or 0.0 for price in PRICES]
    assert ids[:, 0].tolist() == [0, 1, 2, 0, 3, 0, 1, 4, 0, 2, 5, 1]
    assert ids[:, 1].tolist() == [0, 1, 0, 2, 2, 2, 2, 2, 2, 3, 1, 2]
    assert vocabulary(tmp_path, "user") == {"b": 4, "a": 2, None: 2, "c": 1, "": 1, "d": 0}
    assert vocabulary(tmp_path, "item") == {str(2**60 + 1): 2, str(2**60): 1, "7": 6, "-1": 1}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        ["schema.json", "vocabulary", *(f"{part}.parquet" for part in SPLITS)]
    )


def test_a_packed_file_is_its_unpacked_twin(tmp_path):
    found = {
        form: made(tmp_path, written(tmp_path, form))[0].fingerprint for form in ("csv", "csv.gz", "csv.zst", "zip")
    }
    assert len(set(found.values())) == 1
    assert made(tmp_path, written(tmp_path, "parquet"))[0].fingerprint not in found.values()


def test_csv_without_a_header_another_separator_and_texts_for_missing(tmp_path):
    more = {"separator": ";", "quote": "", "missing": ["NA"], "names": ["user", "item", "price", "fold", "clicked"]}
    _, label, dense, ids = made(tmp_path, written(tmp_path, "bare"), **more)
    assert label.tolist() == LABELS and dense[2, 0] == 0 and ids[:, 0].tolist() == [0, 1, 2, 0, 3, 0, 1, 2, 0, 2, 4, 1]
    assert None in vocabulary(tmp_path, "user")


def test_chunks_and_row_groups_change_nothing(tmp_path, monkeypatch):
    whole = made(tmp_path, written(tmp_path, "parquet"), min_count=2, dense={"price": "standard"})
    monkeypatch.setattr(tablefile, "CHUNK_ROWS", 3)
    parts = made(tmp_path, written(tmp_path, "parquet"), min_count=2, dense={"price": "standard"})
    assert parts[0].table_sizes == whole[0].table_sizes
    for ours, theirs in zip(parts[1:], whole[1:]):
        np.testing.assert_array_equal(ours, theirs)


def test_rare_categories_share_one_by_their_training_rows(tmp_path):
    schema, *_, ids = made(tmp_path, written(tmp_path, "parquet"), min_count=2)
    assert schema.table_sizes == (4, 3)
    assert vocabulary(tmp_path, "user") == {"b": 4, "a": 2, None: 2, "<rare>": 2}
    assert vocabulary(tmp_path, "item") == {str(2**60 + 1): 2, "<rare>": 2, "7": 6}
    assert ids[:, 0].tolist() == [0, 1, 2, 0, 3, 0, 1, 3, 0, 2, 3, 1]
    assert ids[:, 1].tolist() == [0, 1, 0, 2, 2, 2, 2, 2, 2, 1, 1, 2]


def test_a_column_above_the_cap_is_hashed_and_the_others_are_not(tmp_path):
    schema, *_, ids = made(tmp_path, written(tmp_path, "parquet"), max_categories=4)
    keys = ["" if user is None else f"={user}" for user in USERS]
    buckets = [zlib.crc32(key.encode()) % 4 for key in keys]
    first = list(dict.fromkeys(buckets))
    assert ids[:, 0].tolist() == [first.index(bucket) for bucket in buckets]
    assert list(vocabulary(tmp_path, "user")) == [f"<hash {bucket}>" for bucket in first]
    assert schema.table_sizes == (len(first), 4) and "7" in vocabulary(tmp_path, "item")


def test_a_token_that_is_called_as_the_rare_ones_are_is_refused(tmp_path):
    small().with_columns(user=pl.lit("<rare>")).write_parquet(tmp_path / "t.parquet")
    made(tmp_path, tmp_path / "t.parquet")
    made(tmp_path, tmp_path / "t.parquet", categorical=["item", "user"], min_count=1)
    small().with_columns(user=pl.col("user").replace("b", "<rare>")).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(BenchError, match="column user has the token '<rare>'"):
        made(tmp_path, tmp_path / "t.parquet", min_count=2)


def test_transforms_are_fitted_on_training_rows_alone(tmp_path):
    known = [price for price in PRICES[:10] if price is not None]
    mean = sum(known) / 9
    spread = math.sqrt(sum((price - mean) ** 2 for price in known) / 9)
    dense = {"price": "standard", "fold": "log1p"}
    schema, _, values, _ = made(tmp_path, written(tmp_path, "csv"), dense=dense)
    found_mean, found_spread = schema.preparation["scales"]["price"]
    assert (found_mean, found_spread) == (pytest.approx(mean, rel=1e-15), pytest.approx(spread, rel=1e-15))
    expected = [0.0 if price is None else (price - mean) / spread for price in PRICES]
    np.testing.assert_allclose(values[:, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(values[:, 1], np.log1p(small()["fold"].to_numpy()), rtol=1e-6)
    other = small().with_columns(price=pl.when(pl.col("fold") < 8).then("price").otherwise(-77.0))
    other.write_parquet(tmp_path / "o.parquet")
    changed = made(tmp_path, tmp_path / "o.parquet", dense=dense)
    assert changed[0].preparation["scales"] == schema.preparation["scales"]
    np.testing.assert_array_equal(changed[2][:10], values[:10])


def test_a_constant_column_and_one_without_values_become_zero(tmp_path):
    table = small().with_columns(price=pl.lit(5.0), none=pl.lit(None))
    table.write_parquet(tmp_path / "t.parquet")
    _, _, dense, _ = made(tmp_path, tmp_path / "t.parquet", dense=["price", "none"])
    assert dense.shape == (12, 2) and not dense.any()


TIMES = [f"2024-01-{day:02d}T10:00:00" for day in range(1, 31)]


@pytest.mark.parametrize(
    "times",
    [
        pl.Series(TIMES),
        pl.Series([f"{time}Z" for time in TIMES]),
        pl.Series([f"{time.replace('T', ' ')}.5+02:00" for time in TIMES]),
        pl.Series([time[:10] for time in TIMES]),
        pl.Series(TIMES).str.to_datetime(),
        pl.Series(TIMES).str.to_datetime(time_unit="ns", time_zone="UTC"),
        pl.Series(TIMES).str.to_datetime().dt.date(),
        pl.Series(range(100, 130)),
        pl.Series([x / 7 for x in range(30)]),
        pl.Series([str(x / 7) for x in range(30)]),
        pl.Series(range(30)).cast(pl.Duration("ms")),
    ],
    ids=lambda times: f"{times.dtype} {times[0]}",
)
def test_a_split_by_time_holds_the_latest_out_in_any_order(tmp_path, times, capsys):
    order = np.random.default_rng(0).permutation(30)
    table = pl.DataFrame({"ts": times, "user": range(30), "clicked": [i % 2 for i in range(30)]})[order]
    table.write_parquet(tmp_path / "t.parquet")
    split = {"by": "time", "column": "ts"}
    schema, *_ = made(tmp_path, tmp_path / "t.parquet", split, categorical=["user"], dense=[])
    assert schema.rows == {"train": 24, "val": 3, "test": 3}
    users = list(vocabulary(tmp_path, "user"))
    for part, days in {"val": {24, 25, 26}, "test": {27, 28, 29}}.items():
        ids = pl.read_parquet(tmp_path / "out" / f"{part}.parquet")["user"]
        assert {int(users[i]) for i in ids} == days
    assert "time goes backwards in" in capsys.readouterr().err


def test_rows_of_one_time_stay_together_or_are_refused(tmp_path):
    table = pl.DataFrame({"ts": [1] * 80 + [2] * 15 + [3] * 5, "user": [0] * 100, "clicked": [0, 1] * 50})
    table.write_parquet(tmp_path / "t.parquet")
    options = {"categorical": ["user"], "dense": []}
    with pytest.raises(BenchError, match="too many rows have the same time"):
        made(tmp_path, tmp_path / "t.parquet", {"by": "time", "column": "ts"}, **options)
    table.with_columns(ts=pl.Series([1] * 75 + [2] * 15 + [3] * 10)).write_parquet(tmp_path / "t.parquet")
    schema, *_ = made(tmp_path, tmp_path / "t.parquet", {"by": "time", "column": "ts"}, **options)
    assert schema.rows == {"train": 75, "val": 15, "test": 10}


def test_a_label_by_an_expression_and_rows_to_keep(tmp_path):
    for form in ("parquet", "csv"):
        more = {"label": "price >= 5 OR fold = 0", "where": "price IS NOT NULL", "dense": []}
        _, label, _, ids = made(tmp_path, written(tmp_path, form), **more)
        assert label.tolist() == [1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0]
        assert ids[:, 0].tolist() == [0, 1, 0, 2, 0, 1, 3, 0, 4, 5, 1]  # the row without a price had the first null


def test_the_first_rows_alone(tmp_path):
    schema = prepare("table", written(tmp_path, "glob"), tmp_path / "out", max_rows=10, options=OPTIONS)
    assert schema.source["rows"] == 10 and sum(schema.rows.values()) == 10 and schema.name == "table"
    assert "of" not in schema.source


def test_the_command_line_says_the_same_as_the_config(tmp_path, capsys):
    path = written(tmp_path, "csv")
    schema = made(tmp_path, path, dense={"price": "log1p", "fold": "standard"}, min_count=2)[0]
    words = ["prepare", "table", "--raw", str(path), "--label", "clicked", "--categorical", "user,item"]
    words += ["--dense", "price:log1p,fold", "--min-count", "2", "--split", json.dumps(BY_FOLD), "--name", "mine"]
    assert main([*words, "--out", str(tmp_path / "by-words")]) == 0
    assert DatasetSchema.read(tmp_path / "by-words") == schema
    before = sorted(os.listdir(tmp_path))
    capsys.readouterr()
    assert main([*words, "--dry-run"]) == 0
    assert sorted(os.listdir(tmp_path)) == before
    said = capsys.readouterr().out
    assert "user: String: categorical, text\n" in said and "price: String: dense (log1p)\n" in said
    assert "all tables: 7 categories, 448 bytes at d=16" in said
    assert "train: 10 rows, 50.00% with label 1" in said
    assert "warning: val has rows of one label only" in said


def test_a_dry_run_warns_of_what_would_mislead(tmp_path, capsys):
    i = np.arange(400)
    label = (i * 7 % 10 < 4).astype(int)
    columns = {"id": i, "told": 2 * label + i % 2, "fair": i // 8, "new": i * 3 // 4, "score": label * 9.5, "ok": i % 7}
    pl.DataFrame(columns | {"ts": i, "clicked": label}).write_parquet(tmp_path / "t.parquet")
    words = [
        "prepare",
        "table",
        "--raw",
        str(tmp_path / "t.parquet"),
        "--label",
        "clicked",
        "--time",
        "ts",
        "--dry-run",
    ]
    assert main([*words, "--categorical", "id,told,fair,new", "--dense", "score,ok"]) == 0
    warned = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert [line.split()[1] for line in warned if "%" not in line] == ["id", "told", "score"]
    assert [line for line in warned if "%" in line] == [
        f"warning: 100% of the test rows have a category of {name} that no training row has"
        for name in ("id", "fair", "new")
    ]


def test_a_prepared_folder_is_taken_as_it_is(tmp_path, capsys):
    schema = made(tmp_path, written(tmp_path, "csv"))[0]
    words = ["prepare", "prepared", "--raw", str(tmp_path / "out"), "--out", str(tmp_path / "taken")]
    assert main([*words, "--name", "mine"]) == 0
    assert DatasetSchema.read(tmp_path / "taken") == schema
    assert len(load_split(tmp_path / "taken", schema, "train")) == 10
    assert main([*words, "--name", "yours"]) == 2
    assert "holds a data set called 'mine', not 'yours'" in capsys.readouterr().err
    (tmp_path / "out" / "val.parquet").write_bytes(b"PAR1")
    assert main(words) == 2
    assert "val.parquet was altered" in capsys.readouterr().err
    assert DatasetSchema.read(tmp_path / "taken") == schema
