"""Formats: values by hand, torch's own operators, numpy's SVD, and a run in each format from its file alone."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from toys import SIZES, groupings, make_rows, make_spec, train

from mlet_bench.embeddings.formats import FORMATS, FormatRefused, ServedTables
from mlet_bench.embeddings.single import SingleTables
from mlet_bench.errors import BenchError
from mlet_bench.evaluation import serve
from mlet_bench.evaluation.deploy import deploy_run, load_deployed
from mlet_bench.evaluation.evaluate import evaluate_run
from mlet_bench.evaluation.metrics import all_metrics
from mlet_bench.evaluation.score import predict
from mlet_bench.evaluation.serve import load_served, serve_run
from mlet_bench.files import file_digest
from mlet_bench.models.build import serve_model
from mlet_bench.runs import METRICS, RunFolder

QUANTIZED = torch.ops.quantized


def table_of(rows) -> SingleTables:
    """One field whose table has these rows."""
    rows = torch.tensor(rows, dtype=torch.float32)
    tables = SingleTables([len(rows)], rows.shape[1])
    with torch.no_grad():
        tables.weight.copy_(rows)
    return tables


def read(form: str, rows) -> tuple[dict, list]:
    """What a format stores of one table, and what it reads of all its rows."""
    served = ServedTables.of(table_of(rows), FORMATS[form])
    found = served(torch.arange(len(rows))[:, None]).squeeze(1)  # (n, d)
    return {name: tensor for name, tensor in served.state_dict().items() if name != "method.weight"}, found.tolist()


def drawn(width: int = 16) -> SingleTables:
    tables = SingleTables(SIZES, width)
    tables.reset_parameters(0)
    return tables


def test_columns_of_8_bits_by_hand():
    stored, found = read("int8-columns", [[127.0, 0.0, 2.54], [-3.2, 0.0, -1.0], [64.6, 0.0, 0.013]])
    torch.testing.assert_close(stored["scales"], torch.tensor([[1.0, 0.0, 0.02]]))
    assert stored["rows"].tolist() == [[127, 0, 127], [-3, 0, -50], [65, 0, 1]] and stored["rows"].dtype == torch.int8
    torch.testing.assert_close(torch.tensor(found), torch.tensor([[127, 0, 2.54], [-3, 0, -1.0], [65, 0, 0.02]]))


def test_columns_of_4_bits_are_two_to_a_byte():
    stored, found = read("int4-columns", [[7.0, -14.0, 0.7], [-7.0, 4.0, 0.1], [3.4, 0.0, -0.7]])
    numbers = [7, -7, 7, -7, 2, 1, 3, 0, -7]  # rows, one after the other
    assert stored["rows"].tolist() == [(a + 8) | (b + 8) << 4 for a, b in zip(numbers[::2], [*numbers[1::2], -8])]
    torch.testing.assert_close(torch.tensor(found), torch.tensor([[7, -14, 0.7], [-7, 4, 0.1], [3, 0, -0.7]]))


def test_a_quarter_of_the_values_and_their_index_by_hand():
    rows = [[0.1, -5.0, 0.2, 0.0], [0.0, 0.0, 0.0, 0.3], [4.0, 0.1, 3.0, -2.0], [0.0, 0.0, 0.0, 0.0]]
    stored, found = read("pruned-4", rows)
    assert stored["values"].tolist() == [-5, 4, 3, -2] and stored["columns"].tolist() == [1, 0, 2, 3]
    assert stored["ends"].tolist() == [1, 1, 4, 4] and stored["columns"].dtype == torch.uint8
    assert found == [[0, -5, 0, 0], [0, 0, 0, 0], [4, 0, 3, -2], [0, 0, 0, 0]]


def test_half_precision_by_hand_and_what_it_cannot_hold():
    assert read("fp16", [[1 / 3, 2048.4]])[1] == [[0.333251953125, 2048.0]]
    with pytest.raises(FormatRefused, match="above 65,504"):
        read("fp16", [[1e5]])


@pytest.mark.parametrize(
    "bits, unpack", [(8, QUANTIZED.embedding_bag_byte_unpack), (4, QUANTIZED.embedding_bag_4bit_unpack)]
)
@pytest.mark.parametrize("width", [4, 16, 64])
def test_rows_are_torch_s_to_the_bit(bits, unpack, width):
    tables = drawn(width)
    served = ServedTables.of(tables, FORMATS[f"int{bits}"])
    packed, ids = served.get_buffer("rows"), make_rows(64).ids
    assert packed.shape == (sum(SIZES), width * bits // 8 + bits) and packed.dtype == torch.uint8  # d + 8, d/2 + 4
    slots = tables.slots(ids).squeeze(2).T  # (B, F)
    assert torch.equal(served(ids), unpack(packed)[slots])
    # The distance between neighbours is the row's range in so many steps.
    span = (tables.weight.amax(1) - tables.weight.amin(1))[slots]
    steps = 2**bits - 1
    assert ((served(ids) - tables(ids)).abs().amax(2) <= span / steps * (0.51 if bits == 8 else 0.6)).all()


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_truncated_tables_are_those_of_numpy_s_svd(rank):
    tables = drawn()
    served = ServedTables.of(tables, FORMATS[f"svd-{rank}"])
    for field, size in enumerate(SIZES):
        ids = torch.zeros(size, len(SIZES), dtype=torch.int64)
        ids[:, field] = torch.arange(size)
        table = tables.table(field).detach().double().numpy()
        u, s, v = np.linalg.svd(table, full_matrices=False)
        kept = min(rank, len(s))
        wanted = u[:, :kept] * s[:kept] @ v[:kept]
        np.testing.assert_allclose(served(ids)[:, field].numpy(), wanted, atol=1e-6 * s[0])


@pytest.mark.parametrize(
    "form, width", [("int8", 1), ("int8", 2), ("int4", 1), ("int4", 3), ("svd-4", 4), ("svd-8", 2)]
)
def test_a_format_that_is_none_for_the_rows_says_so(form, width):
    with pytest.raises(FormatRefused, match=f"^{form}: .*row"):
        ServedTables.of(drawn(width), FORMATS[form])


@pytest.fixture
def schema(schema):
    """Fields whose order is not that of their names."""
    names = ("C10", "C2", "site", "C1")
    fields = tuple(replace(field, name=name) for field, name in zip(schema.fields, names, strict=True))
    return replace(schema, fields=fields).sealed()


@pytest.fixture
def run(schema, splits, tmp_path):
    """An evaluated run of d=4, and its splits that are scored."""
    train(make_spec(schema), schema, splits, tmp_path)
    deploy_run(tmp_path, schema, {"val": splits["val"]})
    data = {name: splits[name] for name in ("val", "test")}
    evaluate_run(tmp_path, schema, data, groupings(data))
    return tmp_path, data


def test_a_run_is_served_in_every_format_from_its_file_alone(run, schema):
    folder, data = run
    made = serve_run(folder, schema, data, list(FORMATS))["formats"]
    deployed, _ = load_deployed(folder)
    refused = {name for name, told in made.items() if "refused" in told}
    assert refused == {"svd-4", "svd-8", "svd-16"}  # d = 4
    for name in FORMATS:
        path = folder / f"served-{name}.safetensors"
        assert path.is_file() == (name != "fp32" and name not in refused)
        if not path.is_file():
            continue
        told, model = made[name], load_served(path)[0]
        header = 8 + int.from_bytes(path.read_bytes()[:8], "little")
        assert told["whole"] == path.stat().st_size - header  # the header, a fixed cost, is left out
        assert told["sha256"] == file_digest(path)
        with safe_open(path, "pt") as file:
            tables = sum(file.get_tensor(key).nbytes for key in file.keys() if key.startswith("embedding."))  # noqa: SIM118
            assert json.loads(file.metadata()["served"])["embedding"] == {"method": "single", "dim": 4, "options": {}}
        assert told["tables"] == tables
        label = data["test"].label.numpy()
        assert all_metrics(label, predict(model, data["test"])) == pytest.approx(told["test"], abs=1e-5)
        rows = data["test"]
        in_memory = serve_model(deployed, FORMATS[name])
        vectors = in_memory.embedding(rows.ids)
        assert torch.equal(model.embedding(rows.ids), vectors)
        # Where a tensor begins in memory moves the last bit of a product.
        logits = in_memory.head(rows.dense, vectors)
        torch.testing.assert_close(model(rows.dense, rows.ids), logits, rtol=0, atol=1e-6)
    assert made["fp32"]["tables"] == 350 * 4 * 4 and made["int4"]["tables"] == 350 * (2 + 4)
    assert made["int8"]["tables"] == 350 * (4 + 8) and made["int8-columns"]["tables"] == 350 * 4 + 4 * 4 * 4
    scored = all_metrics(data["test"].label.numpy(), predict(deployed, data["test"]))
    assert made["fp32"]["test"] == pytest.approx(scored, abs=1e-5)
    assert all(
        speed > 0 for told in made.values() if "refused" not in told for speed in told["rows_per_second"].values()
    )


def test_speed_is_that_of_the_fastest_call_by_a_clock_that_runs_in_calls_alone(monkeypatch):
    """1/1024 s a row, the first call of each size twice that; of 12 rows, 20 calls of one fill 20 ms."""
    now, begun = [0.0], {}
    monkeypatch.setattr(serve, "time", SimpleNamespace(perf_counter=lambda: 100 + now[0]))

    def embedding(rows):
        starts = begun.setdefault(len(rows), [])
        starts.append(int(rows[0, 0]))
        now[0] += len(rows) / 1024 * (2 if len(starts) == 1 else 1)

    assert serve.lookup_speeds(embedding, torch.arange(12)[:, None]) == {"1": 1024, "2048": 1024}
    assert begun == {1: [*range(12), *range(8)], 12: [0, 0, 0]}


def test_equal_models_have_equal_files(run, schema):
    folder, data = run
    sums = {serve_run(folder, schema, data, ["int4"])["formats"]["int4"]["sha256"] for _ in range(4)}
    assert len(sums) == 1


@pytest.mark.parametrize("scored", ["0", "g"])  # before and after every hash
def test_scores_of_another_model_are_not_those_of_its_formats(run, schema, scored):
    folder, data = run
    metrics = RunFolder(folder)
    metrics.write_document(METRICS, metrics.document(METRICS) | {"deployed_sha256": scored}, metrics.spec.id)
    with pytest.raises(BenchError, match="scores another model than the deployed one"):
        serve_run(folder, schema, data, ["int4"])


def test_a_damaged_or_absent_file_is_named(run, schema):
    folder, data = run
    path = folder / "served-int4.safetensors"
    with pytest.raises(BenchError, match=r"served-int4\.safetensors does not exist: make it"):
        load_served(path)
    serve_run(folder, schema, data, ["int4"])
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(BenchError, match=r"served-int4\.safetensors cannot be read"):
        load_served(path)
    with pytest.raises(BenchError, match=r"cannot be read"):
        load_served(folder / "deployed.safetensors")
