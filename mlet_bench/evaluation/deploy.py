"""From a trained run to the model that is served: deploy, check, store; and load it again without the factors."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file
from torch import nn

from mlet_bench.data.dataset import Rows
from mlet_bench.embeddings.base import FieldTables
from mlet_bench.errors import BenchError, DeployRefusedError, DivergedError
from mlet_bench.files import atomic, file_digest, read_json
from mlet_bench.models.base import ClickModel
from mlet_bench.models.build import build_deployed, build_model, deploy_model
from mlet_bench.runs import DEPLOYED, DEPLOYED_MODEL, MODEL, PROVENANCE, SPEC, RunFolder, require_keys
from mlet_bench.spec import DatasetSchema, RunSpec

TOLERANCE = 1e-5  # largest difference in logit that deploying may make, see logit_tolerance
CHECK_ROWS = 4096  # rows of each split given that it is checked on
TABLE_PREFIX, SHARED = "tables.", "tables"
ROWS = "embedding.weight"  # of a model's state: stored as one tensor a field


def load_trained(spec: RunSpec, schema: DatasetSchema, folder: Path, model: ClickModel | None = None) -> ClickModel:
    """The model as it was trained of a run, on the CPU.

    Args:
        model: one of the run's shape, as ``build_model`` makes it, to take the values: no second one is drawn.

    Raises:
        BenchError: the run was trained on other data, or its model is missing or damaged.
    """
    if spec.fingerprint != schema.fingerprint:
        raise BenchError(
            f"{folder} was trained on {spec.dataset} with fingerprint {spec.fingerprint}, the data set given has "
            f"{schema.fingerprint}: give the folder it was trained on, or train it again"
        )
    path = folder / MODEL
    state = _read(load_file, path, "train the run first, or again if its model was tidied away")
    noted = RunFolder(folder).document(PROVENANCE, spec).get("model_sha256")
    if noted is not None and noted != (found := file_digest(path)):
        raise BenchError(
            f"{path} has sha256 {found}, provenance.json says {noted}: it was altered; train the run again"
        )
    model = model if model is not None else build_model(spec, schema)
    model.load_state_dict(state)
    return model


def deploy_run(folder: Path, schema: DatasetSchema, splits: dict[str, Rows], model: ClickModel | None = None) -> dict:
    """Write ``deployed.safetensors`` and ``deployed.json`` of a run; return the latter's content.

    The file holds the rows of each field (``tables.<field>``; of a collapsed run its n×d table; ``tables`` where all
    fields share rows), what else the embedding stores, and the layers of the model; the JSON says how they go together,
    so that neither this package's training code nor W1 and W2 are needed to use them.

    Args:
        splits: real rows by split; trained and deployed model must agree on them to ``logit_tolerance``.
        model: the run's, as ``load_trained`` gives it, where it is in memory already.

    Raises:
        DeployRefusedError: they do not agree; nothing is written then.
        DivergedError: the trained model's logits are not finite; neither is then.
    """
    model = model if model is not None else load_trained(RunSpec.read(folder), schema, folder)
    return deploy_trained(folder, schema, splits, model)[0]


def deploy_trained(
    folder: Path, schema: DatasetSchema, splits: dict[str, Rows], model: ClickModel
) -> tuple[dict, ClickModel]:
    """``deploy_run`` of a model in memory, on any device, where the splits are too; and the model that is served.

    Raises:
        DeployRefusedError, DivergedError: as ``deploy_run``.
    """
    spec, run = RunSpec.read(folder), RunFolder(folder)
    served = deploy_model(model)
    compared = {split: compare_logits(model, served, rows) for split, rows in splits.items()}
    difference = {split: found for split, (found, _) in compared.items()}
    magnitudes = [magnitude for _, magnitude in compared.values()]
    if not all(map(math.isfinite, magnitudes)):
        raise DivergedError(
            f"{folder}: the trained model gives logits that are not finite: it diverged and is not deployed; lower the "
            f"learning rate ({spec.lr}) and train it again"
        )
    tolerance = logit_tolerance(max(magnitudes))
    if wrong := [found for found in difference.values() if not found <= tolerance]:  # as NaN is not
        raise DeployRefusedError(
            f"{folder}: the deployed model differs from the trained one by {wrong[0]:.2e} in logit, more than "
            f"{tolerance:.2g} (its logits go up to {max(magnitudes):.3g}): not stored"
        )
    arrays = served_arrays(served, schema)
    path = folder / DEPLOYED_MODEL
    with atomic(path, sum(array.nbytes for array in arrays.values())) as partial:
        # One key alone: safetensors writes several in random order, and equal models would hash differently.
        save_arrays(arrays, partial, metadata={"run_id": spec.id})
    method = {"method": served.embedding.name, "dim": spec.dim, "options": served.embedding.options()}
    description = {
        "fingerprint": schema.fingerprint,
        "model": spec.model,
        "hyper": spec.hyper,
        "embedding": method,
        "fields": {field.name: field.size for field in schema.fields},
        "dense": list(schema.dense),
        "sha256": file_digest(path),
        "bytes": {
            "training": _nbytes(model),
            "deployed": sum(array.nbytes for array in arrays.values()),
            "training_tables": model.embedding.training_bytes(),
            "deployed_tables": sum(array.nbytes for name, array in arrays.items() if _is_of_tables(name)),
            "deployed_linear": model.linear.training_bytes() if model.wide else 0,
        },
        "max_logit_difference": difference,
        "logit_tolerance": tolerance,
    }
    return run.write_document(DEPLOYED, description, spec.id), served


def logit_tolerance(largest: float) -> float:
    """How far rounding may move a logit, where the largest magnitude of one is ``largest``: relative above 1.

    Both models multiply the same W1 and W2 in float32, in another order. One rounding is u = 2^-24 = 6.0e-8 of a
    number, and a product over k terms is off by at most k·u of the sum of its terms' magnitudes, by sqrt(k)·u as a
    rule; the layers above scale that as they scale the values, and round in their turn. So the difference grows with
    the logits, and 1e-5 is 168u of the largest: the worst case of k = 128, the paper's widest, and far above what is
    typical at any k in use. A wrong row or factor moves a logit by a share of it that is thousands of times larger.
    Below a magnitude of 1, where terms of about 1 cancel, the difference is still that of those terms.
    """
    return TOLERANCE * max(1.0, largest)


@torch.inference_mode()
def compare_logits(model: nn.Module, served: nn.Module, rows: Rows) -> tuple[float, float]:
    """The largest difference in logit between two models, and the largest magnitude of the first one's logits.

    Computed as deployed, in float32, on the first CHECK_ROWS rows. A NaN in a model gives NaN.
    """
    dense, ids = rows.dense[:CHECK_ROWS], rows.ids[:CHECK_ROWS]
    logit = model(dense, ids)
    return (logit - served(dense, ids)).abs().max().item(), logit.abs().max().item()


def served_arrays(served: ClickModel, schema: DatasetSchema) -> dict:
    """The tensors of a deployed model by the names they are stored under, rows split by field.

    Contiguous ones, views where they are that on a CPU: of others safetensors would store the values in another order.
    """
    arrays = {name: value.contiguous().cpu().numpy() for name, value in served.state_dict().items() if name != ROWS}
    tables = served.embedding
    for name, rows in zip(
        part_names(tables, [field.name for field in schema.fields]), tables.weight.split(tables.stored)
    ):
        arrays[name] = rows.detach().cpu().numpy()
    return arrays


def part_names(tables: FieldTables, fields: Sequence[str]) -> list[str]:
    """What the stored rows are called: ``tables.<field>`` for each field, or ``tables`` where all fields share them."""
    return [TABLE_PREFIX + name for name in fields] if len(tables.stored) == len(fields) else [SHARED]


def load_deployed(folder: Path) -> tuple[ClickModel, dict]:
    """The model that a run serves and its description, from ``deployed.safetensors`` and ``deployed.json`` alone.

    Raises:
        BenchError: a file is missing, damaged, or not the one that the description was written with.
    """
    run, path = RunFolder(folder), folder / DEPLOYED_MODEL
    if run.has(SPEC):
        description = run.document(DEPLOYED)
    else:  # the two files were taken away from their run
        description = read_json(folder / DEPLOYED.file, DEPLOYED.again)
        require_keys(folder / DEPLOYED.file, description, DEPLOYED.keys)
    arrays = _read(load_arrays, path, DEPLOYED.again)
    found = file_digest(path)
    if found != description["sha256"]:
        raise BenchError(f"{path} has sha256 {found}, deployed.json says {description['sha256']}: deploy it again")
    sizes, embedding = description["fields"], description["embedding"]
    model = build_deployed(
        *(description["model"], list(sizes.values()), embedding["dim"], len(description["dense"])),
        *(description["hyper"], embedding["method"], embedding["options"]),
    )
    with torch.no_grad():
        tables = model.embedding
        for name, rows in zip(part_names(tables, list(sizes)), tables.weight.split(tables.stored), strict=True):
            rows.copy_(torch.from_numpy(arrays.pop(name)))
    state = {name: torch.from_numpy(value) for name, value in arrays.items()}
    model.load_state_dict(state | {ROWS: model.embedding.weight})
    return model, description


def _is_of_tables(name: str) -> bool:
    return name.startswith((TABLE_PREFIX, "embedding.")) or name == SHARED


def _read(load, path: Path, hint: str) -> dict:
    try:
        return load(path)
    except FileNotFoundError:
        raise BenchError(f"{path} does not exist: {hint}") from None
    except SafetensorError as error:
        raise BenchError(f"{path} cannot be read ({error}): {hint}") from error


def _nbytes(model: nn.Module) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
