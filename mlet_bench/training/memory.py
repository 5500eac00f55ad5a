"""How much memory a training needs, from the sizes of its tables and data; and whether it is there."""

from dataclasses import dataclass
from pathlib import Path

import torch

from mlet_bench.embeddings.base import BLOCK_VALUES
from mlet_bench.embeddings.single import SingleTables
from mlet_bench.errors import OutOfMemoryError
from mlet_bench.evaluation.score import EVALUATION_BATCH
from mlet_bench.models import MODELS
from mlet_bench.models.base import make_hyper
from mlet_bench.models.build import empty_embedding
from mlet_bench.spec import DatasetSchema, RunSpec
from mlet_bench.training.step import optimizers

CPU = torch.device("cpu")
FLOAT = 4
OVERHEAD = 600 << 20  # Python, torch and its caches; measured, see tests/training/test_memory.py
MEMINFO, CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Need:
    """Bytes that one training holds at its peak on the device that it runs on.

    Attributes:
        tables: W1 and W2 or E, and the state of the optimizer for them.
        data: the rows of the splits, and the order of an epoch.
        rest: activations of the largest batch.
        served: the tables that are made of those, and their ranks, once the activations are gone.
    """

    tables: int
    data: int
    rest: int
    served: int

    @property
    def bytes(self) -> int:
        """At the peak."""
        return self.tables + self.data + max(self.rest, self.served)


def training_need(spec: RunSpec, schema: DatasetSchema) -> Need:
    """What one run needs on its device, B rows a batch, F fields, D dense features.

    The method and the model say what their tables and activations take; the optimizer adds its state. A row of the data
    has 1 + D + F values of 4 bytes, and its place in the epoch's order takes 4 more, 8 while it is drawn.
    """
    model, fields = MODELS[spec.model], len(schema.fields)
    with torch.device("meta"):  # shapes without memory
        embedding = empty_embedding(spec, schema.table_sizes)
        tables = embedding.training_bytes()
        if model.wide:
            tables += SingleTables(schema.table_sizes, 1).training_bytes()
        gathered = embedding.values_read
        ranks = 16 * embedding.width**2  # W1ᵀ W1 in float64, and what its eigenvalues take
    tables *= 1 + optimizers(spec.optimizer)[0].state_per_value
    splits = ("train", "val", "test") if spec.authors_selection else ("train", "val")
    rows = sum(schema.rows[split] for split in splits)
    data = FLOAT * rows * (1 + len(schema.dense) + fields) + 12 * schema.rows["train"]
    of_row = model.activation_values(make_hyper(model, spec.hyper), fields, len(schema.dense), spec.dim)
    scored = of_row * EVALUATION_BATCH + min(gathered * EVALUATION_BATCH, max(gathered, BLOCK_VALUES))
    rest = FLOAT * max(scored, 3 * (gathered + of_row) * min(spec.batch_size, schema.rows["train"]))
    return Need(tables, data, rest, FLOAT * sum(schema.table_sizes) * spec.dim + ranks)


def free_bytes(device: torch.device) -> int | None:
    """Memory that can still be taken: the GPU's, or of the machine and the container; None where nobody says."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # torch's own, to take again
        return torch.cuda.mem_get_info(device)[0] + unused
    found = []
    if MEMINFO.exists():
        lines = dict(line.split(":") for line in MEMINFO.read_text(encoding="utf-8").splitlines())
        if "MemAvailable" in lines:
            found.append(1024 * int(lines["MemAvailable"].split()[0]))
    limit, used = CGROUP / "memory.max", CGROUP / "memory.current"
    if limit.exists() and used.exists() and (most := limit.read_text(encoding="utf-8").strip()) != "max":
        found.append(int(most) - int(used.read_text(encoding="utf-8")))
    return min(found, default=None)


def check_memory(spec: RunSpec, schema: DatasetSchema, device: torch.device) -> None:
    """Refuse a training that does not fit, before anything is loaded.

    Raises:
        OutOfMemoryError: with what is needed, what is free, and what can be done.
    """
    need, free = training_need(spec, schema), free_bytes(device)
    if free is None or need.bytes + (OVERHEAD if device.type == "cpu" else 0) <= free:
        return
    where = "GPU" if device.type == "cuda" else "machine"
    raise OutOfMemoryError(
        f"{spec.cell} on {schema.name} needs {need.bytes / 1e9:.1f} GB ({need.tables / 1e9:.1f} GB of tables, "
        f"{need.data / 1e9:.1f} GB of rows), and the {where} has {free / 1e9:.1f} GB free: end what else runs there, "
        "take a smaller k or d, fewer rows (max_rows), or a larger machine"
    )


def pack_size(spec: RunSpec, schema: DatasetSchema, device: torch.device, wanted: int, loaded: bool = False) -> int:
    """How many of ``wanted`` runs fit together on a GPU; on a CPU, where a pack gains nothing, one.

    Args:
        loaded: the rows are on the device already.
    """
    if device.type == "cpu":
        return 1
    need = training_need(spec, schema)
    each = need.tables + need.rest + 4 * schema.rows["train"]  # a run has tables and an order of its own
    free = int(0.9 * (free_bytes(device) or 0)) - need.served  # one run after the other is deployed
    free -= 0 if loaded else need.data - 4 * schema.rows["train"]
    return max(1, min(wanted, free // each))
