"""A data set is one class and its name in the registry: a toy of its own is prepared, loaded, made and asked for."""

import subprocess
import sys
from datetime import date
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from mlet_bench.data import DATASETS
from mlet_bench.data.base import Column, DataSet, Dense, Hours, Integers, Planted
from mlet_bench.data.dataset import load_split, training_counts
from mlet_bench.data.download import download, downloads
from mlet_bench.data.generate import synthesize
from mlet_bench.data.prepare import prepare
from mlet_bench.data.remote import RemoteFile
from mlet_bench.errors import BenchError
from mlet_bench.spec import DatasetSchema

HEADER = "price|word|seen|bought|shelf|token\n"


class Toy(DataSet):
    """Two dense columns, three fields of different kinds, its own separator, a header, one split."""

    name = "toy"
    columns = (
        Column("price", "int", optional=True),
        Column("word", "text", optional=True),
        Column("seen", "int"),
        Column("bought", "label"),
        Column("shelf", "int"),
        Column("token", "hex", optional=True),
    )
    dense = (Dense("seen", transform="none"), Dense("price"))
    fields = ("word", "token", "shelf")
    splits = ("random",)
    separator = "|"
    header = True
    options: ClassVar = {"halved": "take half of what was seen"}

    def features(self):
        return (Dense("seen", "none", of=lambda x: x / 2), self.dense[1]) if self.chosen["halved"] else self.dense


@pytest.fixture(autouse=True)
def toy():
    before = list(DATASETS)
    DATASETS.add(Toy)
    yield Toy
    DATASETS.remove("toy")
    assert list(DATASETS) == before == ["criteo-kaggle", "avazu", "table", "flights"]


def lines(n):
    words = ["ein Wort", "é", "", '"']
    return [
        f"{7 if i % 2 else ''}|{words[i % 4]}|{i - 3}|{i % 2}|{i // 3}|{'0000BEEF' if i % 5 else ''}\n"
        for i in range(n)
    ]


def write(path, rows, header=HEADER):
    path.write_text(header + "".join(rows))
    return path


def test_a_toy_is_prepared_and_loaded(tmp_path):
    schema = prepare("toy", write(tmp_path / "raw", lines(40)), tmp_path / "out")
    assert schema == DatasetSchema.read(tmp_path / "out")
    assert (schema.name, schema.table_sizes, schema.dense) == ("toy", (4, 2, 14), ("seen", "price"))
    assert schema.rows == {"train": 32, "val": 4, "test": 4} and sum(schema.clicks.values()) == 20
    assert schema.preparation == {"split": "random", "max_rows": None, "halved": False}
    parts = [load_split(tmp_path / "out", schema, part) for part in schema.rows]
    rows = pd.concat(pd.DataFrame(np.hstack([part.label[:, None], part.dense, part.ids])) for part in parts)
    i = (rows[1] + 3).astype(int)  # what was seen tells the number of the line
    assert sorted(i) == list(range(40))
    np.testing.assert_array_equal(rows[0], i % 2)
    np.testing.assert_array_equal(rows[2].astype(np.float32), np.where(i % 2, np.log(8), 0).astype(np.float32))
    np.testing.assert_array_equal(rows[3], i % 4)  # ids count by first appearance
    np.testing.assert_array_equal(rows[4], i % 5 > 0)
    np.testing.assert_array_equal(rows[5], i // 3)
    words = pd.read_parquet(tmp_path / "out" / "vocabulary" / "word.parquet")["token"]
    assert [None if pd.isna(word) else word for word in words] == ["ein Wort", "é", None, '"']
    assert training_counts(tmp_path / "out", schema, "word").sum() == 32


def test_an_option_changes_the_features_and_the_fingerprint(tmp_path):
    raw = write(tmp_path / "raw", lines(40))
    plain, halved = (prepare("toy", raw, tmp_path / str(flag), options={"halved": flag}) for flag in (False, True))
    both = {"False": plain, "True": halved}
    seen = [load_split(tmp_path / folder, schema, "train").dense[:, 0] for folder, schema in both.items()]
    np.testing.assert_array_equal(seen[0] / 2, seen[1])
    assert plain.fingerprint != halved.fingerprint and halved.preparation["halved"] is True
    with pytest.raises(BenchError, match="toy has no option 'authors_hour': there are halved"):
        prepare("toy", raw, tmp_path / "out", options={"authors_hour": True})
    with pytest.raises(BenchError, match="criteo-kaggle has no option 'halved': it has none"):
        prepare("criteo-kaggle", raw, tmp_path / "out", options={"halved": True})


@pytest.mark.parametrize(
    ("place", "line", "sentence"),
    [
        (3, "1||x|0|1|\n", "line 5, column seen: 'x' is not an integer"),
        (3, "1||2|3|1|\n", "line 5, column bought: '3' is not a label"),
        (3, "1||2|1|1|abcd\n", "line 5, column token: 'abcd' is not a token"),
        (3, "1|a\tb|2|1|1|\n", "line 5, column word: 'a\\tb' is not text without control characters"),
        (3, "1||2|1||\n", "line 5, column shelf: '' is empty"),
        (0, "1||2|1|1\n", "line 2: 5 columns, toy has 6"),
    ],
)
def test_a_fault_is_named_by_file_line_and_column(tmp_path, place, line, sentence):
    rows = lines(20)
    rows[place] = line
    with pytest.raises(BenchError) as caught:
        prepare("toy", write(tmp_path / "raw", rows), tmp_path / "out")
    assert str(caught.value).startswith(f"{tmp_path / 'raw'}, {sentence}")


def test_what_a_toy_lacks_is_said(tmp_path, monkeypatch):
    raw = write(tmp_path / "raw", lines(20), header=HEADER.replace("shelf", "shelves"))
    with pytest.raises(BenchError, match=r"column 5 is 'shelves', expected 'shelf'; toy needs the 6 columns price"):
        prepare("toy", raw, tmp_path / "out")
    with pytest.raises(BenchError, match="toy has no split 'last-day': there are random"):
        prepare("toy", raw, tmp_path / "out", split="last-day")
    with pytest.raises(
        BenchError, match="toy cannot be synthesized: its description lacks planted, full_rows, table_sizes"
    ):
        synthesize("toy", 1000, 0, tmp_path / "planted")
    with pytest.raises(
        BenchError, match="no source is called 'toy': toy has no file to fetch; there are criteo-kaggle"
    ):
        download("toy", tmp_path)
    monkeypatch.setattr(Toy, "planted", DATASETS["avazu"].planted)
    with pytest.raises(BenchError, match="toy cannot be synthesized: its description lacks full_rows, table_sizes"):
        synthesize("toy", 1000, 0, tmp_path / "planted")
    monkeypatch.undo()
    assert Toy.sources() == ("file", "prepared")
    with pytest.raises(BenchError, match="toy cannot be had by source 'download': use file or prepared"):
        Toy.download_name("download", "random")


def test_of_the_published_facts_those_are_checked_that_there_are(tmp_path, monkeypatch):
    raw = write(tmp_path / "raw", lines(40))
    monkeypatch.setattr(Toy, "full_rows", 40)
    prepare("toy", raw, tmp_path / "out")
    monkeypatch.setattr(Toy, "full_clicks", 21)
    with pytest.raises(BenchError, match="20 clicks, published are 21"):
        prepare("toy", raw, tmp_path / "out")


def test_a_toy_with_a_law_is_made_and_prepared(tmp_path, monkeypatch):
    monkeypatch.setattr(Toy, "full_rows", 1000)
    monkeypatch.setattr(Toy, "table_sizes", (40, 30, 20))
    law = Planted(7, 0.3, 0.7, {"seen": Integers(0.0, 3, 9), "price": Integers(0.2, 5, 50)}, missing={"token": 0.2})
    monkeypatch.setattr(Toy, "planted", law)
    synthesize("toy", 1000, 0, tmp_path / "raw")
    schema = prepare("toy", tmp_path / "raw", tmp_path / "out")
    assert schema.table_sizes == (40, 30, 20) and schema.source["planted"]["best_auc"] == pytest.approx(0.7, abs=0.04)
    assert pd.read_parquet(tmp_path / "out" / "vocabulary" / "token.parquet")["token"].isna().sum() == 1
    assert Toy.sources() == ("synthesize", "file", "prepared")


def test_what_can_be_chosen_of_each():
    criteo, avazu = DATASETS["criteo-kaggle"], DATASETS["avazu"]
    assert criteo.sources() == ("download", "sample", "synthesize", "file", "prepared")
    assert avazu.sources() == ("download", "synthesize", "file", "prepared")
    assert criteo.download_name("download", "blocks") == "criteo-kaggle"
    assert criteo.download_name("sample", "blocks") == "criteo-kaggle-sample"
    assert avazu.download_name("download", "random") == "avazu"
    assert avazu.download_name("download", "last-day") == "avazu-kaggle"  # the mirror's rows are shuffled
    assert list(avazu.options) == ["authors_hour"] and not criteo.options


def test_a_toy_that_can_be_fetched_is_among_the_downloads(monkeypatch):
    mixed = RemoteFile("toy-mirror", "toy.gz", hub="toys/toy", order="shuffled")
    monkeypatch.setattr(Toy, "downloads", {"toy-mirror": (mixed,)})
    monkeypatch.setattr(Toy, "served", {"sample": ("toy-mirror",)})
    assert downloads()["toy-mirror"] == (mixed,)
    assert Toy.sources() == ("sample", "file", "prepared") and Toy.download_name("sample", "random") == "toy-mirror"
    with pytest.raises(BenchError, match="shuffled, unfit for split 'last-day'"):
        Toy.download_name("sample", "last-day")


def test_hours_go_on_into_the_next_month():
    from mlet_bench.data.generate import PlantedFile

    planted = PlantedFile("avazu", 2400, 0)
    hours, _ = planted._hours(np.arange(2400), Hours(date(2024, 2, 28), 3))
    assert hours.to_list()[0] == 24022800 and hours.to_list()[-1] == 24030123


def test_descriptions_import_nothing_heavy():
    code = "import sys; from mlet_bench.data import DATASETS; [d.options for d in DATASETS.values()]; "
    code += "print([m for m in ('torch', 'polars', 'numpy', 'pyarrow', 'huggingface_hub') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
