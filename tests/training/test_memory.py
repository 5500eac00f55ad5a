"""The need computed from sizes is what tensors take; a training that does not fit is refused before it starts."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toys import make_spec

from mlet_bench.errors import OutOfMemoryError
from mlet_bench.spec import DatasetSchema, Field
from mlet_bench.training import memory
from mlet_bench.training.captured import make_steps
from mlet_bench.training.memory import OVERHEAD, check_memory, free_bytes, pack_size, training_need
from mlet_bench.training.pack import build_pack
from mlet_bench.training.step import TrainStep

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
@pytest.mark.parametrize("arm", ["single", "mlet"])
def test_tables_and_data_are_counted_to_the_byte(arm, optimizer, schema, splits):
    spec = make_spec(schema, arm, optimizer=optimizer)
    step = TrainStep(build_pack([spec], schema, CPU), spec)
    embedding = step.pack.models[0].embedding
    tables = sum(parameter.nbytes for parameter in embedding.parameters())
    if optimizer == "adagrad":
        tables += sum(optimizer.sum.nbytes for optimizer in step.row_optimizers)
        tables += embedding.w2.nbytes if arm == "mlet" else 0
    need = training_need(spec, schema)
    assert need.tables == tables
    held = sum(getattr(splits[split], name).nbytes for split in ("train", "val") for name in ("label", "dense", "ids"))
    steps = make_steps(step, splits["train"], spec.batch_size)
    drawn = torch.randperm(len(splits["train"]))
    assert need.data == held + steps.order.nbytes + drawn.nbytes


def test_a_process_stays_within_the_need(tmp_path):
    """A training of 100 MB of tables and 30 MB of rows, in a process of its own."""
    code = """
import sys, torch
sys.path.insert(0, "tests")
from pathlib import Path
from toys import make_rows, make_spec, train
from mlet_bench.provenance import peak_resident_bytes
from mlet_bench.spec import DatasetSchema, Field
from mlet_bench.training.memory import training_need
torch.set_num_threads(1)
sizes = (200_000, 190_000, 7, 9)
rows = {"train": 500_000, "val": 100_000, "test": 0}
fields = tuple(Field(f"C{i}", n) for i, n in enumerate(sizes))
schema = DatasetSchema("criteo-kaggle", fields, ("I1", "I2"), rows, rows, {}, {}, 1)
data = {split: make_rows(rows[split], sizes=sizes) for split in ("train", "val")}
spec = make_spec(schema, "mlet", dim=16, inner_dim=64, batch_size=4096, validations=1)
train(spec, schema, data, Path(sys.argv[1]))
print(training_need(spec, schema).bytes, peak_resident_bytes())
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    need, resident = map(int, done.stdout.split())
    assert need < resident < need + OVERHEAD


def big(rows=39_291_958):
    fields = tuple(Field(f"C{i}", n) for i, n in enumerate((33_762_552, *[1] * 25)))
    counts = {"train": rows, "val": 3_274_329, "test": 3_274_330}
    return DatasetSchema("criteo-kaggle", fields, tuple("abcdefghijklm"), counts, counts, {}, {}, 1)


def test_criteo_kaggle_at_k_128_by_hand():
    need = training_need(make_spec(big(), "mlet", dim=64, inner_dim=128), big())
    assert need.tables == 4 * (33_762_577 * 128 + 26 * 128 * 64)
    assert need.data == 160 * (39_291_958 + 3_274_329) + 12 * 39_291_958


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's count of a process's own memory")
def test_a_stored_run_is_deployed_within_its_training_s_need(tmp_path):
    """A run with 150 MB of W1, in a process of its own. What is read of the file the system can drop and read again."""
    code = """
import sys, threading, time, torch
sys.path.insert(0, "tests")
from pathlib import Path
from toys import make_rows, make_spec, train
from mlet_bench.embeddings import mlet
from mlet_bench.evaluation.deploy import deploy_run, load_trained
from mlet_bench.models.build import build_model
from mlet_bench.spec import DatasetSchema, Field
from mlet_bench.training.memory import training_need
mlet.BLOCK_ROWS = 4096  # what is multiplied at a time, whatever the tables: within OVERHEAD
torch.set_num_threads(1)
sizes = (300_000, 290_000, 7, 9)
rows = {"train": 64, "val": 5000, "test": 0}
fields = tuple(Field(f"C{i}", n) for i, n in enumerate(sizes))
schema = DatasetSchema("criteo-kaggle", fields, ("I1", "I2"), rows, rows, {}, {}, 1)
data = {split: make_rows(rows[split], sizes=sizes) for split in ("train", "val")}
spec = make_spec(schema, "mlet", dim=16, inner_dim=64, validations=1)
folder = Path(sys.argv[1])

def own():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

if sys.argv[2] == "train":
    train(spec, schema, data, folder)
else:
    before, seen, done = own(), [], threading.Event()
    def look():
        while not done.wait(0.002):
            seen.append(own())
    looking = threading.Thread(target=look)
    looking.start()
    model = load_trained(spec, schema, folder, build_model(spec, schema))
    deploy_run(folder, schema, {"val": data["val"]}, model)
    done.set()
    looking.join()
    need = training_need(spec, schema)
    print(need.tables, need.bytes, max(seen) - before)
"""
    for what in ("train", "deploy"):
        done = subprocess.run([sys.executable, "-c", code, tmp_path, what], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    tables, need, own = map(int, done.stdout.split())
    assert tables < own < 1.2 * need < 2 * tables


def test_what_does_not_fit_is_refused_with_the_sizes(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 10 * 10**9)
    spec = make_spec(big(), "mlet", dim=16, inner_dim=128)
    with pytest.raises(
        OutOfMemoryError, match=r"needs 2\d\.\d GB \(17\.3 GB of tables, 7\.3 GB of rows\).* 10\.0 GB free"
    ):
        check_memory(spec, big(), CPU)
    check_memory(make_spec(big(), "single", dim=4), big(1000), CPU)
    monkeypatch.setattr(memory, "free_bytes", lambda device: None)
    check_memory(spec, big(), CPU)


@pytest.mark.parametrize(("free", "fits"), [(20, 1), (60, 2), (140, 5), (1000, 5)])
def test_a_pack_takes_as_many_runs_as_fit(free, fits, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: free * 10**9)
    spec = make_spec(big(), "mlet", dim=16, inner_dim=128)  # 17.3 GB of tables a run, and 7 GB of rows for all
    assert pack_size(spec, big(), CUDA, 5) == fits
    assert pack_size(spec, big(), CPU, 5) == 1


def test_rows_that_are_on_the_gpu_already_take_no_room_of_a_pack(monkeypatch):
    """Of 45 GB 40 are taken: 2.2 for the tables that are served, 17.5 a run, and the rows' 7 where they are to come."""
    monkeypatch.setattr(memory, "free_bytes", lambda device: 45 * 10**9)
    spec = make_spec(big(), "mlet", dim=16, inner_dim=128)
    assert [pack_size(spec, big(), CUDA, 5, loaded) for loaded in (False, True)] == [1, 2]


def test_free_memory_is_the_least_of_machine_and_container(tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    5000 kB\n")
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert free_bytes(CPU) == 5000 * 1024
    (tmp_path / "memory.max").write_text("3000\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert free_bytes(CPU) == 2000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_bytes(CPU) == 5000 * 1024
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "absent")
    assert free_bytes(CPU) is None
