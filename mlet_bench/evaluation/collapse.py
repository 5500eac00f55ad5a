"""From a trained run to its n×d model: collapse, check, store; and load it again without the factors."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file
from torch import Tensor, nn

from mlet_bench.data.dataset import Rows
from mlet_bench.errors import BenchError
from mlet_bench.files import atomic, file_digest, read_json, write_sealed
from mlet_bench.models import build_collapsed, build_model, collapse_model
from mlet_bench.spec import DatasetSchema, RunSpec

TOLERANCE = 1e-5  # largest difference in logit that a collapse may make
CHECK_ROWS = 4096  # rows of each split given that it is checked on
TABLE_PREFIX = "tables."


def load_trained(spec: RunSpec, schema: DatasetSchema, folder: Path, model: nn.Module | None = None) -> nn.Module:
    """The factorised model of a run, on the CPU.

    Args:
        model: one of the run's shape, as ``build_model`` makes it, to take the values: no second one is drawn.

    Raises:
        BenchError: the run was trained on other data, or its model is missing or damaged.
    """
    if spec.fingerprint != schema.fingerprint:
        raise BenchError(
            f"{folder} was trained on {spec.dataset} with fingerprint {spec.fingerprint}, the data set given has "
            f"{schema.fingerprint}: give the folder it was trained on, or train it anew"
        )
    path = folder / "model.safetensors"
    hint = "train the run first, or anew if its model was tidied away"
    state = _read(load_file, path, hint)
    noted = read_json(folder / "provenance.json", hint).get("model_sha256")
    if noted is not None and noted != (found := file_digest(path)):
        raise BenchError(f"{path} has sha256 {found}, provenance.json says {noted}: it was altered; train the run anew")
    model = model if model is not None else build_model(spec, schema)
    model.load_state_dict(state)
    return model


def collapse_run(folder: Path, schema: DatasetSchema, splits: dict[str, Rows], model: nn.Module | None = None) -> dict:
    """Write ``collapsed.safetensors`` and ``collapsed.json`` of a run; return the latter's content.

    The file holds one n×d table a field (``tables.<field>``) and the MLPs' layers; the JSON says how they go
    together, so that neither this package's training code nor W1 and W2 are needed to use them.

    Args:
        splits: real rows by split; factorised and collapsed model must agree on them to 1e-5 in logit.
        model: the run's, as ``load_trained`` gives it, where it is in memory already.

    Raises:
        BenchError: they do not agree; nothing is written then.
    """
    spec = RunSpec.read(folder)
    model = model if model is not None else load_trained(spec, schema, folder)
    collapsed = collapse_model(model)
    difference = {split: max_logit_difference(model, collapsed, rows) for split, rows in splits.items()}
    worst = max(difference.values())
    if not worst <= TOLERANCE:
        raise BenchError(
            f"{folder}: the collapsed model differs from the factorised one by {worst:.2e} in logit, more than "
            f"{TOLERANCE:g}: not stored"
        )
    arrays = collapsed_arrays(collapsed, schema)
    path = folder / "collapsed.safetensors"
    with atomic(path, sum(array.nbytes for array in arrays.values())) as partial:
        # One key alone: safetensors writes several in random order, and equal models would hash differently.
        save_arrays(arrays, partial, metadata={"run_id": spec.id})
    description = {
        "run_id": spec.id,
        "fingerprint": schema.fingerprint,
        "model": spec.model,
        "embedding_dim": spec.dim,
        "fields": {field.name: field.size for field in schema.fields},
        "dense": list(schema.dense),
        "bottom": list(spec.bottom),
        "top": list(spec.top),
        "sha256": file_digest(path),
        "bytes": {
            "training": sum(_nbytes(p) for p in model.parameters()),
            "inference": sum(_nbytes(p) for p in collapsed.parameters()),
            "training_tables": sum(_nbytes(p) for p in model.embedding.parameters()),
            "inference_tables": sum(_nbytes(p) for p in collapsed.embedding.parameters()),
        },
        "max_logit_difference": difference,
    }
    write_sealed(folder / "collapsed.json", description)
    return description


@torch.inference_mode()
def max_logit_difference(model: nn.Module, collapsed: nn.Module, rows: Rows) -> float:
    """The largest difference in logit between two models over some rows.

    Computed as deployed, in float32, on the first CHECK_ROWS rows. A NaN in either model gives NaN.
    """
    dense, ids = rows.dense[:CHECK_ROWS], rows.ids[:CHECK_ROWS]
    return (model(dense, ids) - collapsed(dense, ids)).abs().max().item()


def collapsed_arrays(collapsed: nn.Module, schema: DatasetSchema) -> dict:
    """The tensors of a collapsed model by the names they are stored under: numpy views, tables split by field."""
    arrays = {name: value.numpy() for name, value in collapsed.state_dict().items() if name != "embedding.weight"}
    for number, field in enumerate(schema.fields):
        arrays[TABLE_PREFIX + field.name] = collapsed.embedding.table(number).detach().numpy()
    return arrays


def load_collapsed(folder: Path) -> tuple[nn.Module, dict]:
    """The n×d model of a run and its description, from ``collapsed.safetensors`` and ``collapsed.json`` alone.

    Raises:
        BenchError: a file is missing, damaged, or not the one that the description was written with.
    """
    hint = "collapse the run first with 'mlet-bench collapse'"
    description = read_json(folder / "collapsed.json", hint)
    path = folder / "collapsed.safetensors"
    arrays = _read(load_arrays, path, hint)
    found = file_digest(path)
    if found != description["sha256"]:
        raise BenchError(f"{path} has sha256 {found}, collapsed.json says {description['sha256']}: collapse it anew")
    sizes = description["fields"]
    model = build_collapsed(
        description["model"],
        list(sizes.values()),
        description["embedding_dim"],
        len(description["dense"]),
        description["bottom"],
        description["top"],
    )
    with torch.no_grad():
        for number, name in enumerate(sizes):
            model.embedding.table(number).copy_(torch.from_numpy(arrays.pop(TABLE_PREFIX + name)))
    state = {name: torch.from_numpy(value) for name, value in arrays.items()}
    model.load_state_dict(state | {"embedding.weight": model.embedding.weight})
    return model, description


def _read(load, path: Path, hint: str) -> dict:
    try:
        return load(path)
    except FileNotFoundError:
        raise BenchError(f"{path} does not exist: {hint}") from None
    except SafetensorError as error:
        raise BenchError(f"{path} cannot be read ({error}): {hint}") from error


def _nbytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
