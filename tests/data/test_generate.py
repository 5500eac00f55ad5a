"""The planted files: their form, their law, and the AUC they promise."""

import gzip
import hashlib
import re
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from benchmarks import likeness
from mlet_bench.data import DATASETS
from mlet_bench.data.best_auc import ExpectedAuc
from mlet_bench.data.generate import PlantedFile, synthesize, tokens
from mlet_bench.data.planted import MAX_ROWS, RANK, PlantedModel, power_law, table_sizes
from mlet_bench.data.prepare import prepare
from mlet_bench.data.split import TEST, assign
from mlet_bench.data.worlds import WORLDS, World
from mlet_bench.errors import BenchError
from mlet_bench.evaluation.frequency import RARE_ROWS
from mlet_bench.files import read_json

NAMES = ["criteo-kaggle", "avazu"]
INTEGERS = DATASETS["criteo-kaggle"].planted.dense
ROWS = 70_000  # more than a chunk
HEADER = (
    "id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,device_id,device_ip,"
    "device_model,device_type,device_conn_type,C14,C15,C16,C17,C18,C19,C20,C21"
)
HEX_COLUMNS = HEADER.split(",")[5:14]


@pytest.fixture(scope="module", params=NAMES)
def planted(request, tmp_path_factory):
    """(name, path, sidecar, table of strings) of one planted file of each kind."""
    path = tmp_path_factory.mktemp("planted") / "raw.txt"
    info = synthesize(request.param, ROWS, 3, path)
    return request.param, path, info, read(request.param, path)


def read(name, path):
    columns = ["label", *(f"I{i}" for i in range(1, 14)), *DATASETS[name].fields] if name != "avazu" else None
    separator = "\t" if name != "avazu" else ","
    return pl.read_csv(path, separator=separator, has_header=name == "avazu", new_columns=columns, infer_schema=False)


def test_full_sizes():
    criteo, avazu = (table_sizes(DATASETS[name], DATASETS[name].full_rows) for name in NAMES)
    assert criteo == DATASETS["criteo-kaggle"].table_sizes and sum(criteo) == 33_762_577 and len(criteo) == 26
    assert avazu == DATASETS["avazu"].table_sizes and len(avazu) == 21 and max(avazu) == 6_729_486


@given(st.sampled_from(NAMES), st.integers(100, MAX_ROWS))
def test_scaled_sizes(name, rows):
    sizes, data = table_sizes(DATASETS[name], rows), DATASETS[name]
    assert all(2 < scaled <= real for scaled, real in zip(sizes, data.table_sizes))
    assert max(sizes) < rows  # every category finds its row
    assert rows >= data.full_rows or max(sizes) == -(-max(data.table_sizes) * rows // data.full_rows)


def test_every_category_occurs(planted):
    name, _, _, table = planted
    found = tuple(table[field].n_unique() for field in DATASETS[name].fields)  # the missing value is one of them
    assert found == table_sizes(DATASETS[name], ROWS)
    with_missing = {field for field in DATASETS[name].fields if table[field].null_count()}
    assert with_missing == set(DATASETS[name].planted.missing)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rows", [100, 101, 999])
def test_every_category_occurs_in_small_files(name, rows, tmp_path):
    synthesize(name, rows, 1, tmp_path / "raw")
    table = read(name, tmp_path / "raw")
    assert table.height == rows
    assert tuple(table[field].n_unique() for field in DATASETS[name].fields) == table_sizes(DATASETS[name], rows)


def test_form_of_each_line(planted):
    name, path, _, _ = planted
    lines = path.read_text().split("\n")
    assert lines.pop() == ""
    assert b"\r" not in path.read_bytes()
    if name == "avazu":
        assert lines.pop(0) == HEADER
        line = re.compile(r"\d+,[01],1410(2[1-9]|30)([01]\d|2[0-3]),\d+,\d+(,[0-9a-f]{8}){9}(,\d+){8},(-1|\d+),\d+")
    else:
        line = re.compile(r"[01](\t\d*)(\t-?\d+)(\t\d*){11}(\t([0-9a-f]{8})?){26}")
    assert len(lines) == ROWS
    assert [text for text in lines if not line.fullmatch(text)][:3] == []


def test_ids_and_hours():
    planted = PlantedFile("avazu", 2400, 0)
    index = np.arange(2400)
    values, _ = planted.features(index, np.random.default_rng(0))
    columns = planted.columns(index, index % 2, values, np.zeros((21, 2400), dtype=np.int64))
    assert columns["id"].n_unique() == 2400
    hours = columns["hour"].to_list()
    assert hours == sorted(hours) and (hours[0], hours[-1]) == (14102100, 14103023)
    assert columns["hour"].n_unique() == 240


def test_click_rate(planted):
    name, _, _, table = planted
    label = table["click" if name == "avazu" else "label"].cast(pl.Int8)
    assert label.mean() == pytest.approx(DATASETS[name].planted.click_rate, abs=0.01)


def test_missing_rates(planted):
    name, _, _, table = planted
    expected = dict(DATASETS[name].planted.missing)
    if name == "criteo-kaggle":
        expected |= {name: law.missing for name, law in INTEGERS.items()}
    for column in table.columns:
        rate = expected.get(column, 0)
        found = table[column].null_count() / ROWS
        assert found == pytest.approx(rate, abs=5 * (rate * (1 - rate) / ROWS) ** 0.5), column


def test_integers_are_heavy_tailed_and_only_i2_is_negative(tmp_path):
    synthesize("criteo-kaggle", 20_000, 0, tmp_path / "raw")
    integers = read("criteo-kaggle", tmp_path / "raw").select(pl.col("^I.*$").cast(pl.Int64))
    assert [name for name in integers.columns if integers[name].min() < 0] == ["I2"]
    assert set(integers["I2"].filter(integers["I2"] < 0)) == {-1, -2, -3}
    for name, law in INTEGERS.items():
        column = integers[name].drop_nulls()
        if column.name != "I2":  # whose negative values lie below its law
            assert 0.75 * law.median <= column.median() <= 1.1 * law.median, column.name
        assert column.max() > 2 * law.top, column.name


def test_frequencies_fall_like_zipf():
    model = PlantedModel(DATASETS["criteo-kaggle"], 1_000_000, 0)
    ids = model.categories(np.arange(200_000), np.random.default_rng(0))
    counts = np.bincount(ids[12], minlength=3194)  # C13: no missing value, 3194 categories
    slope = np.polyfit(np.log(np.arange(2, 100)), np.log(counts[1:99]), 1)[0]
    assert slope == pytest.approx(-0.88, abs=0.06)


def test_same_arguments_same_bytes(planted, tmp_path):
    name, path, info, _ = planted
    again = tmp_path / "again.txt.gz"
    assert synthesize(name, ROWS, 3, again) == info
    content = path.read_bytes()
    assert gzip.decompress(again.read_bytes()) == content
    assert info["md5"] == hashlib.md5(content).hexdigest()
    assert read_json(path.with_name("raw.txt.planted.json"), "make it") == info
    assert {key: info[key] for key in ("dataset", "rows", "seed", "plant")} == {
        "dataset": name,
        "rows": ROWS,
        "seed": 3,
        "plant": "none",
    }
    assert {file.name for file in tmp_path.iterdir()} == {"again.txt.gz", "again.txt.gz.planted.json"}


def test_another_seed_is_another_file(tmp_path):
    md5 = {synthesize("avazu", 200, seed, tmp_path / "raw")["md5"] for seed in range(3)}
    assert len(md5) == 3


def test_gzip_bytes_do_not_depend_on_name_or_time(tmp_path, monkeypatch):
    for second, file in enumerate(("a.gz", "b.gz")):
        monkeypatch.setattr("gzip.time", SimpleNamespace(time=lambda second=second: 1e9 + second))
        synthesize("avazu", 200, 0, tmp_path / file)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_failure_leaves_nothing(tmp_path, monkeypatch):
    synthesize("avazu", 200, 0, tmp_path / "raw")
    before = (tmp_path / "raw").read_bytes()
    monkeypatch.setattr(ExpectedAuc, "value", lambda self: 1 / 0)
    monkeypatch.setattr(PlantedModel, "calibrate", lambda self, signal: None)
    with pytest.raises(ZeroDivisionError):
        synthesize("avazu", 300, 0, tmp_path / "raw")
    assert (tmp_path / "raw").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["raw"]  # without the sidecar it says nothing false


def test_tokens_are_distinct_hex():
    found = tokens(2, np.arange(300_000))
    assert found.dtype == np.uint32 and len(np.unique(found)) == 300_000
    # By hand: category 0 of field 0 is MurmurHash3's finaliser of 0x9e3779b9.
    x = 0x9E3779B9
    x = ((x ^ x >> 16) * 0x85EBCA6B) & 0xFFFFFFFF
    x = ((x ^ x >> 13) * 0xC2B2AE35) & 0xFFFFFFFF
    assert tokens(0, np.array([0])) == x ^ x >> 16
    assert tokens(0, np.array([7])) != tokens(1, np.array([7]))


def test_best_auc_is_what_the_law_asks_for(planted):
    name, _, info, _ = planted
    assert info["best_auc"] == pytest.approx(DATASETS[name].planted.best_auc, abs=0.005)


@pytest.mark.parametrize("name", NAMES)
def test_best_auc_is_the_auc_of_the_true_probabilities(name, tmp_path, monkeypatch):
    """Labels read back from the file, ranked by the probabilities they were drawn from."""
    seen, rows = [], 150_000
    add = ExpectedAuc.add
    monkeypatch.setattr(PlantedModel, "calibrate", lambda self, signal: None)  # which also adds
    monkeypatch.setattr(ExpectedAuc, "add", lambda self, p: (seen.append(p), add(self, p)))
    info = synthesize(name, rows, 5, tmp_path / "raw")
    label = read(name, tmp_path / "raw")["click" if name == "avazu" else "label"].cast(pl.Int8).to_numpy()
    p = np.concatenate(seen[:: 1 + len(info["test_best_auc"])])  # the others are the test rows of the splits
    assert len(p) == rows
    # Three standard errors of an AUC near .7 with 40,000 to 75,000 of the rarer class are below .006.
    assert roc_auc_score(label, p) == pytest.approx(info["best_auc"], abs=0.006)
    assert label.mean() == pytest.approx(p.mean(), abs=0.005)


def test_the_best_auc_is_stated_for_the_test_rows(tmp_path):
    """As one that reads the prepared test split would have it: labels ranked by their probabilities, in expectation."""
    info = synthesize("avazu", 30_000, 0, tmp_path / "raw")
    model = (planted := PlantedFile("avazu", 30_000, 0)).model
    index = np.arange(30_000)
    pilot = planted._generator(0)
    _, seen = planted.features(index, pilot)
    model.calibrate(model.signal(model.categories(index, pilot), seen))
    generator = planted._generator(1)
    _, seen = planted.features(index, generator)
    p = model.probability(model.signal(model.categories(index, generator), seen))
    for split, best in info["test_best_auc"].items():
        schema = prepare("avazu", tmp_path / "raw", tmp_path / split, split=split)
        hours = pl.read_parquet(tmp_path / split / "test.parquet")["hour"].to_numpy()
        codes = assign(split, 30_000, index * 10 // 30_000)
        assert hours.sum() == pytest.approx(np.log1p(index[codes == TEST] * 240 // 30_000 % 24).sum(), rel=1e-5)
        auc = ExpectedAuc()
        auc.add(p[codes == TEST])
        assert schema.source["planted"]["best_auc"] == best == auc.value() != info["best_auc"]
    part = prepare("avazu", tmp_path / "raw", tmp_path / "part", max_rows=20_000)
    assert part.source["planted"]["best_auc"] == info["best_auc"]  # of other test rows nothing is known


def test_the_number_of_threads_changes_nothing(tmp_path):
    """The best AUC enters the fingerprint of the data set, and so the id of every run."""
    made = []
    for threads in (1, 4):
        with threadpool_limits(threads):
            made.append(synthesize("criteo-kaggle", ROWS, 3, tmp_path / f"raw{threads}"))
    assert made[0] == made[1]


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_as_genuine_ones_are(name, tmp_path):
    """Against what ``python -m benchmarks.likeness`` found in 14,000 genuine rows: distinct ids, dependence, clicks."""
    genuine = {"criteo-kaggle": (0.453, 0.166, 0.060, 0.055), "avazu": (0.198, 0.358, 0.050, 0.043)}[name]
    found = []
    for seed in (0, 1):
        synthesize(name, 14_000, seed, tmp_path / "raw")
        labels, codes = likeness.read_codes(name, tmp_path / "raw")
        spread, effect = likeness.click_spread(labels, codes), likeness.frequency_effect(labels, codes)
        statistics = likeness.distinct_in_batch(codes), likeness.dependence(codes).mean(), spread.mean(), effect.mean()
        found.append(statistics)
    distinct, dependence, spread, effect = np.mean(found, 0)
    assert distinct == pytest.approx(genuine[0], abs=0.03)
    assert dependence == pytest.approx(genuine[1], rel=0.4)
    assert spread == pytest.approx(genuine[2], rel=0.4)
    assert 0.3 * genuine[3] < effect < 2.5 * genuine[3]


def test_likeness_by_hand():
    codes = np.array([[0, 0, 1, 1] * 64, [1, 1, 0, 0] * 64, [0, 1, 0, 1] * 64])
    np.testing.assert_allclose(likeness.dependence(codes), [1, 0], atol=0.02)  # the same field renamed; independent
    assert likeness.distinct_in_batch(codes) == 2 / 128
    labels = np.array([0, 0, 1, 0] * 64)  # rates 0 and 1/2 of the first field, of 128 rows each
    expected = np.sqrt(1 / 16 - (1 / 2) * (1 / 2) / 127 / 2)
    assert likeness.click_spread(labels, codes[:1]) == pytest.approx(expected)
    counts = np.array([[0] * 192 + [1] * 64])
    assert likeness.frequency_effect((counts[0] == 1).astype(int), counts) == pytest.approx(1)
    u = np.random.default_rng(0).random(20_000)
    assert likeness._entropy(power_law(u, 50, 1.5)) < likeness._entropy(power_law(u, 50, 0.5)) < np.log(50)


def test_worlds_decide_what_clicks_depend_on():
    data, index = DATASETS["criteo-kaggle"], np.arange(50_000)
    models = {name: PlantedModel(data, 100_000, 0, world) for name, world in WORLDS.items()}
    categories = {name: model.categories(index, np.random.default_rng(1)) for name, model in models.items()}
    dense = np.random.default_rng(2).standard_normal((13, 50_000))

    def varies_with_dense(name):
        other = models[name].signal(categories[name], -dense)
        return not np.allclose(models[name].signal(categories[name], dense), other)

    assert varies_with_dense("none") and varies_with_dense("rare") and not varies_with_dense("step-size")
    near = {name: likeness.dependence(found).mean() for name, found in categories.items()}
    assert near["step-size"] == pytest.approx(0, abs=0.01) and near["none"] == near["rare"] > 0.1
    common = models["rare"].common
    vectors = models["rare"].vectors(2, np.arange(5000))  # of C3
    assert 0 < common[2] < 5000 and not vectors[: common[2]].any() and vectors[common[2] :].any(1).all()
    held = [np.mean(found < first) for found, first in zip(categories["rare"], common, strict=True)]
    assert np.quantile(held, 0.1) > 0.55  # three quarters, less the row that each category of a large table has
    assert models["none"].common == [0] * 26


def test_in_the_world_of_rare_rows_what_matters_is_what_c7_calls_rare():
    """In the large tables, which have nearly all of the rare categories."""
    model = PlantedModel(DATASETS["criteo-kaggle"], 48_000, 0, WORLDS["rare"])
    categories = model.categories(np.arange(48_000), np.random.default_rng(1))
    large = [field for field, size in enumerate(model.sizes) if size > 5000]
    counts = [np.bincount(categories[f, :41_000], minlength=model.sizes[f])[categories[f]] for f in large]
    rare, matters = np.array(counts) < RARE_ROWS, [categories[field] >= model.common[field] for field in large]
    assert np.mean(rare & matters) > max(0.95 * np.mean(matters), 0.8 * np.mean(rare))


def test_in_the_world_of_mlet_the_four_largest_tables_alone_matter():
    data, index = DATASETS["criteo-kaggle"], np.arange(20_000)
    model = PlantedModel(data, 20_000, 0, WORLDS["mlet"])
    categories, dense = model.categories(index, np.random.default_rng(1)), np.zeros((13, 20_000))
    signal = model.signal(categories, dense)
    assert signal.var() == pytest.approx(1, rel=0.3)
    matter = []
    for field in range(26):
        changed = categories.copy()
        changed[field] = (changed[field] + 1) % model.sizes[field]
        matter += [] if np.array_equal(model.signal(changed, dense), signal) else [data.fields[field]]
    assert matter == ["C3", "C12", "C16", "C21"]
    # Two tables of equal size here, without their missing values.
    top = [np.bincount(categories[data.fields.index(name)])[1:].max() for name in ("C3", "C4")]
    assert top[0] < 60 and top[1] > 3_000  # about equally frequent, and not


def test_a_worlds_shares_add_up():
    with pytest.raises(BenchError, match=r"world 'odd': the shares 0.5, 0.2, 0.2 must add up to 1"):
        World("odd", "", 0.5, 0.2, 0.2)


def test_expected_auc_by_hand():
    """Against the sum over all label vectors of three rows: pairs rightly ranked over pairs, both in expectation."""
    p, wins, pairs = np.array([0.2, 0.7, 0.7]), 0.0, 0.0
    for labels in np.ndindex(2, 2, 2):
        chance = np.prod(np.where(labels, p, 1 - p))
        for i in range(3):
            for j in range(3):
                if labels[i] and not labels[j]:
                    pairs += chance
                    wins += chance * ((p[i] > p[j]) + 0.5 * (p[i] == p[j]))
    auc = ExpectedAuc()
    auc.add(p[:1])
    auc.add(p[1:])
    assert auc.value() == pytest.approx(wins / pairs, rel=1e-6)  # p counts in millionths


def test_signal_is_a_dot_product_of_low_rank_vectors():
    """The signal taken apart by hand for a few rows, and its law over many categories."""
    model = PlantedModel(DATASETS["avazu"], 100_000, 0)
    categories = model.categories(np.arange(4000), np.random.default_rng(1))
    dense = np.random.default_rng(2).standard_normal((1, 4000))
    vectors = [model.vectors(f, categories[f]).astype(float) for f in range(21)]
    expected = model.dense_weights[0] * dense[0]
    for f in range(21):
        expected += vectors[f] @ model.directions[f].astype(float)
        expected += model.pair_weights[f] * (vectors[f] * vectors[(f + 1) % 21]).sum(1)
    np.testing.assert_allclose(model.signal(categories, dense), expected, atol=1e-4)

    # min(n, 10,000)^-0.2 of a field, the product of two of a pair; the shares of variance add up to 1.
    weights = np.minimum(DATASETS["avazu"].table_sizes, 10_000) ** -0.2
    pairs = weights * weights[[*range(1, 21), 0]]
    np.testing.assert_allclose(model.pair_weights / model.pair_weights[0], pairs / pairs[0])
    shares = (model.directions**2).sum(), RANK * (model.pair_weights**2).sum(), (model.dense_weights**2).sum()
    np.testing.assert_allclose(shares, (0.55, 0.25, 0.2), rtol=1e-5)

    table = model.vectors(8, np.arange(50_000))
    assert table.shape == (50_000, RANK)
    np.testing.assert_allclose(np.cov(table.T), np.eye(RANK), atol=0.03)
    assert not np.allclose(table[:100], model.vectors(9, np.arange(100)))


def test_a_model_can_learn_it(tmp_path):
    """Click rates per category, smoothed and added up in log odds, find a good part of the signal on later rows."""
    synthesize("criteo-kaggle", 30_000, 0, tmp_path / "raw")
    table = read("criteo-kaggle", tmp_path / "raw").with_columns(pl.col("label").cast(pl.Int8))
    train, test = table[:25_000], table[25_000:]
    base, score = train["label"].mean(), np.zeros(5000)
    for field in DATASETS["criteo-kaggle"].fields:
        rates = train.group_by(field).agg((pl.col("label").sum() + 50 * base) / (pl.len() + 50))
        rate = test.select(field).join(rates, on=field, how="left", nulls_equal=True, maintain_order="left")["label"]
        rate = rate.fill_null(base).to_numpy()
        score += np.log(rate / (1 - rate))
    assert roc_auc_score(test["label"], score) > 0.65


@pytest.mark.parametrize(
    ("name", "rows", "seed", "message"),
    [
        ("criteo", 1000, 0, "'criteo'.*criteo-kaggle, avazu"),
        ("avazu", 99, 0, "99 rows.*100 to"),
        ("avazu", MAX_ROWS + 1, 0, "100 to"),
        ("avazu", 1000, -1, "seed -1.*0 or more"),
    ],
)
def test_bad_arguments(name, rows, seed, message, tmp_path):
    with pytest.raises(BenchError, match=message):
        synthesize(name, rows, seed, tmp_path / "raw")
    assert not list(tmp_path.iterdir())
