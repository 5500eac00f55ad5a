"""A deployed run in further formats: each a file that stands for itself, with its bytes, scored as it is served."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mlet_bench.data.dataset import Rows
from mlet_bench.embeddings.formats import FORMATS, FormatRefused
from mlet_bench.errors import BenchError
from mlet_bench.evaluation.deploy import load_deployed
from mlet_bench.evaluation.score import score
from mlet_bench.files import atomic, file_digest
from mlet_bench.models.base import ClickModel
from mlet_bench.models.build import build_served, serve_model
from mlet_bench.runs import FORMATS as SERVED
from mlet_bench.runs import LOOKUPS, METRICS, PLAIN, RunFolder, served_file
from mlet_bench.spec import DatasetSchema

TIMED_SECONDS = 0.02  # for each of ``LOOKUPS``: the fastest call counts, so that other jobs hardly do
OF_TABLES = "embedding."  # begins the name of each tensor that stands for the tables


def serve_run(folder: Path, schema: DatasetSchema, data: dict[str, Rows], formats: Sequence[str]) -> dict[str, Any]:
    """Write a run's rows in some formats, score each, and write ``formats.json``; return its content.

    A format's file, ``served-<format>.safetensors``, holds the model and, in its metadata, how it goes together. The
    format ``fp32`` is the deployed model as it stands. A format that is none for a run's rows, as it would take more
    bytes than float32, has its sentence in the place of numbers.

    Args:
        data: the splits ``val`` and ``test``, on the CPU: torch's look-up of packed rows is there alone.

    Returns:
        ``deployed_sha256``, and under ``formats`` by name: bytes of the tables and of the whole model, the file's
        ``sha256``, metrics on ``val`` and ``test``, and ``rows_per_second`` by the rows looked up at a time.

    Raises:
        BenchError: the run is not deployed and evaluated.
    """
    run = RunFolder(folder)
    spec = run.spec
    deployed, description = load_deployed(folder)
    metrics = run.document(METRICS, spec)
    if metrics["deployed_sha256"] != description["sha256"]:
        raise BenchError(f"{folder / METRICS.file} scores another model than the deployed one: evaluate the run again")
    ids, made = data["test"].ids, {}
    for name in formats:
        try:
            made[name] = (
                {"tables": description["bytes"]["deployed_tables"], "whole": description["bytes"]["deployed"],
                 "sha256": description["sha256"], "rows_per_second": lookup_speeds(deployed.embedding, ids)}
                | {split: metrics[split] for split in ("val", "test")}
                if name == PLAIN
                else _serve(folder, name, deployed, description, data)
            )  # fmt: skip
        except FormatRefused as refused:
            made[name] = {"refused": str(refused)}
    return run.write_document(SERVED, {"deployed_sha256": description["sha256"], "formats": made}, spec.id)


def _serve(folder: Path, name: str, deployed: ClickModel, description: dict, data: dict[str, Rows]) -> dict[str, Any]:
    """Write the file of one format and score what it gives when it is read again."""
    model, path = serve_model(deployed, FORMATS[name]), folder / served_file(name)
    told = {
        key: description[key] for key in ("run_id", "fingerprint", "model", "hyper", "embedding", "fields", "dense")
    }
    tensors = {key: tensor.contiguous() for key, tensor in model.state_dict().items() if tensor.numel()}
    with atomic(path, sum(tensor.nbytes for tensor in tensors.values())) as partial:
        # One key alone: safetensors writes several in random order, and equal models would hash differently.
        save_file(tensors, partial, {"served": json.dumps(told | {"format": name})})
    model, _ = load_served(path)
    return {
        "tables": sum(tensor.nbytes for key, tensor in tensors.items() if key.startswith(OF_TABLES)),
        "whole": sum(tensor.nbytes for tensor in tensors.values()),
        "sha256": file_digest(path),
        "rows_per_second": lookup_speeds(model.embedding, data["test"].ids),
        "val": score(model, data["val"]),
        "test": score(model, data["test"]),
    }


def load_served(path: Path) -> tuple[ClickModel, dict[str, Any]]:
    """The model of a file ``served-<format>.safetensors`` and its description, from that file alone.

    Raises:
        BenchError: the file is missing, damaged, or none of a format.
    """
    try:
        with safe_open(path, "pt") as file:
            told = json.loads((file.metadata() or {})["served"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except FileNotFoundError:
        raise BenchError(f"{path} does not exist: make it with 'mlet-bench formats'") from None
    except (SafetensorError, KeyError, ValueError) as error:
        raise BenchError(f"{path} cannot be read ({error}): make it again with 'mlet-bench formats'") from error
    return build_served(told, FORMATS[told["format"]], tensors), told


@torch.inference_mode()
def lookup_speeds(embedding: nn.Module, ids: Tensor) -> dict[str, float]:
    """Rows a second that are looked up, by how many at a time (``LOOKUPS``): the fastest call, of random batches.

    Args:
        ids: (N, F), genuine ones; batches begin anywhere among them.
    """
    found = {}
    for batch in LOOKUPS:
        best, started, number = float("inf"), time.perf_counter(), 0
        while number < 3 or time.perf_counter() - started < TIMED_SECONDS:
            first = number * batch % max(1, len(ids) - batch + 1)
            rows = ids[first : first + batch]
            clock = time.perf_counter()
            embedding(rows)
            best, number = min(best, (time.perf_counter() - clock) / len(rows)), number + 1
        found[str(batch)] = 1 / best
    return found
