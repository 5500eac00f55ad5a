"""Every kind of file with a bit flipped, or with another content: what is read is right, or refused by a sentence.

Each kind is a list of files and a function that reads them as the commands do. It tells ``survived`` where all numbers
are right, ``wrong`` where one is not, and tells ``refused`` or raises BenchError where a sentence says what is damaged.
"""

import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from finished import cell_words, is_told, right_of, runs_of
from kill_at import numbers
from staged import call

from mlet_bench.data.dataset import load_split, training_counts
from mlet_bench.data.prepare import prepare
from mlet_bench.errors import BenchError
from mlet_bench.evaluation.deploy import load_deployed, load_trained
from mlet_bench.kernels import build
from mlet_bench.runs import RunFolder
from mlet_bench.spec import SPLITS, DatasetSchema
from mlet_bench.tracking import restore, sync
from mlet_bench.training.checkpoint import load_checkpoint

CODE = "c" * 12  # of the checkpoint


@dataclass(frozen=True)
class Kind:
    """Files that are read together, below a results folder.

    Attributes:
        files: patterns of their names.
        read: tells what came of a folder whose files may be damaged.
        slow: whether reading takes about a second.
    """

    files: tuple[str, ...]
    read: Callable[[Path], str]
    slow: bool = False


def of_raw(results: Path) -> str:
    if not (results / "raw/avazu.txt.gz.planted.json").exists():
        return "refused"  # to remove it is to say that the rows are genuine
    place = results.parent / "prepared"
    try:
        found = prepare("avazu", results / "raw/avazu.txt.gz", place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    right = DatasetSchema.read(results / "data/avazu")
    return "survived" if (found, found.sums) == (right, right.sums) else "wrong"


def of_data(results: Path) -> str:
    """The tensors and counts of the data set against those of the whole one beside."""
    found, right = _data(results / "data/avazu"), _data(results.parent / "whole")
    return "survived" if all(map(torch.equal, found, right)) and len(found) == len(right) else "wrong"


def _data(folder: Path) -> list[torch.Tensor]:
    schema, found = DatasetSchema.read(folder), []
    for split in SPLITS:
        rows = load_split(folder, schema, split)
        found += [rows.label, rows.dense, rows.ids]
    return found + [torch.tensor(training_counts(folder, schema, field.name)) for field in schema.fields]


def of_model(results: Path) -> str:
    """The models of a run, as deploying and scoring read them."""
    found = [_models(place, results) for place in (runs_of(results, "mlet-d4-k8") / "seed0", results.parent / "run")]
    return "survived" if all(map(torch.equal, *found)) else "wrong"


def _models(folder: Path, results: Path) -> list[torch.Tensor]:
    schema = DatasetSchema.read(results.parent / "whole")
    trained, deployed = load_trained(RunFolder(folder).spec, schema, folder), load_deployed(folder)[0]
    return [*trained.state_dict().values(), *deployed.state_dict().values()]


def of_checkpoint(results: Path) -> str:
    found = load_checkpoint(results.parent, "run", CODE)
    if found is None:
        return "refused"  # of another run, as far as can be read: the training begins from the start
    right = torch.load(results.parent / "checkpoint.right", weights_only=True)
    same = all(torch.equal(found["model"][name], right["model"][name]) for name in right["model"])
    return "survived" if same and found["progress"] == right["progress"] else "wrong"


def of_report(results: Path) -> str:
    return is_told(right_of(results.parent / "right"), results)


def of_cell(results: Path) -> str:
    """The command that made the runs, called again, ends in the files that it made."""
    mine, right = (runs_of(place, "mlet-d4-k8") for place in (results, results.parent / "right"))
    try:
        if call(*cell_words(results, "mlet-d4-k8")):
            return "refused"
        return "survived" if numbers(mine) == numbers(right) else "wrong"
    finally:
        shutil.rmtree(mine)
        shutil.copytree(right, mine)


def of_store(results: Path) -> str:
    """Sync into a damaged store, and restore from it."""
    again = results.parent / "again"
    try:
        sync(results)
        restore("toy", again)
        return is_told(right_of(results.parent / "right"), again)
    finally:
        shutil.rmtree(again, ignore_errors=True)


def of_kernels(results: Path) -> str:
    library = build.library()
    assert library is not None
    place = results.parent / "kernels" / Path(library._name).name
    return "survived" if build._is_whole(place) else "refused"


KINDS = {
    "raw file, gz": Kind(("raw/avazu.txt.gz", "raw/avazu.txt.gz.planted.json"), of_raw),
    "data set": Kind(("data/avazu/*.parquet", "data/avazu/vocabulary/*", "data/avazu/schema.json"), of_data),
    "model": Kind(("runs/avazu/dlrm/mlet-d4-k8/seed0/*.safetensors",), of_model),
    "checkpoint": Kind(("../checkpoint.pt",), of_checkpoint),
    "Parquet of a run": Kind(("runs/*/*/*/*/*.parquet", "overhead/*/*.parquet"), of_report),
    "JSON": Kind(("runs/*/*/*/*/*.json", "config.json", "data/avazu/schema.json"), of_report),
    "JSON, cell again": Kind(("runs/*/*/mlet-d4-k8/*/*.json", "runs/*/*/mlet-d4-k8/*.json"), of_cell, True),
    "mlflow.db": Kind(("../mlflow.db",), of_store, True),
    "compiled kernels": Kind(("../kernels/*",), of_kernels),
}  # fmt: skip


def told(came: Counter) -> str:
    """The counts in words."""
    return f"{came.total()} attempts, " + ", ".join(f"{came[of]} {of}" for of in ("survived", "refused", "wrong"))


def prepare_place(finished: Path, place: Path) -> Path:
    """Copy a finished results folder, with what is compared with it; the copy's results."""
    results = shutil.copytree(finished, place / "toy")
    for source, name in ((finished, "right"), (finished / "data/avazu", "whole")):
        shutil.copytree(source, place / name)
    shutil.copytree(runs_of(finished, "mlet-d4-k8") / "seed0", place / "run")
    run = runs_of(finished, "mlet-d4-k8") / "seed0"
    model = {name: value for name, value in load_trained(
        RunFolder(run).spec, DatasetSchema.read(finished / "data/avazu"), run).state_dict().items()}  # fmt: skip
    state = {"run_id": "run", "code": CODE, "model": model, "step": {}, "progress": {"curve": [0.25, 0.5]}}
    torch.save(state | {"kernels": build.library() is not None}, place / "checkpoint.pt")
    shutil.copy(place / "checkpoint.pt", place / "checkpoint.right")
    library = build.library()
    if library is not None:
        (place / "kernels").mkdir(mode=0o700)
        for file in (Path(library._name), build._sum_of(Path(library._name))):
            shutil.copy(file, place / "kernels")
            (place / "kernels" / file.name).chmod(0o600)
    sync(results)
    return results


def flipped(content: bytes, generator: random.Random) -> bytes:
    """With one bit changed."""
    place, bit = generator.randrange(len(content)), generator.randrange(8)
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


def replaced(content: bytes, generator: random.Random) -> bytes | None:
    """Gone, empty, cut off, or what somebody else could mean to do harm with."""
    table = BytesIO()
    pq.write_table(pa.table({"label": ["x"], "step": [None]}), table)
    header = b'{"x":{"dtype":"F32","shape":[%d,%d],"data_offsets":[0,8]}}' % (2**62, 2**62)
    others = [None, b"", content[: len(content) // 2], content[::-1], b"\0" * len(content), table.getvalue()]
    others += [(2**63 - 1).to_bytes(8, "little") + b"{}", len(header).to_bytes(8, "little") + header + bytes(8)]
    others += [b"[" * 10**5, b'{"a": 1e999}', b"null", b'{"runs": {"seed0": 3}}', b"\xff\xfe" * 9]
    return generator.choice(others)


def damage_and_read(
    results: Path,
    kind: Kind,
    attempts: int,
    generator: random.Random,
    damage: Callable[[bytes, random.Random], bytes | None] = flipped,
) -> tuple[Counter, list[str]]:
    """Damage a file, read, put everything back, ``attempts`` times; what came of them, and which were wrong."""
    files = sorted(path for pattern in kind.files for path in results.glob(pattern) if path.is_file())
    assert files
    came, wrong = Counter(), []
    for _ in range(attempts):
        path = generator.choice(files)
        right = path.read_bytes()
        damaged, said = damage(right, generator), ""
        path.unlink() if damaged is None else path.write_bytes(damaged)
        try:
            found = kind.read(results)
        except BenchError as error:
            assert len(str(error)) > 20
            found = "refused"
        except Exception as error:  # nobody foresaw it, so that a user gets a traceback
            found, said = "wrong", f" ({type(error).__name__}: {error})"
        finally:
            path.write_bytes(right)
        came[found] += 1
        if found == "wrong":
            wrong.append(f"{path} made {damaged if damaged is None else damaged[:99]!r}{said}")
    return came, wrong
