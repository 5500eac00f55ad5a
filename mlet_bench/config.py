"""The suite's configuration: checked, filled with defaults, and expanded into the grid of cells."""

import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlet_bench.arms import ARMS, with_recipe
from mlet_bench.config_file import check_extent, read_yaml
from mlet_bench.data import dataset_of, described
from mlet_bench.data.base import PREPARED
from mlet_bench.errors import BenchError
from mlet_bench.files import SEAL, read_json
from mlet_bench.plugins import load_plugins
from mlet_bench.spec import DatasetSchema, RunSpec, cell_name

LARGEST = sys.float_info.max
OWN_MODEL = "own model"  # the source of rows that mlet_bench.sweep knows by their scores alone


@dataclass(frozen=True)
class Cell:
    """One data set, model, arm, d and k, with all its seeds."""

    dataset: str
    model: str
    arm: str
    dim: int
    inner_dim: int | None
    epochs: int
    budget: str = ""

    @property
    def name(self) -> str:
        """``mlet-d16-k64``, ``hash-d16-b1_16`` within a budget, or ``mlet-d16-k64-e4`` for 4 epochs."""
        return cell_name(self.arm, self.dim, self.inner_dim, self.epochs, self.budget)

    @property
    def folder(self) -> str:
        """Where its runs lie below ``results/<profile>/runs``."""
        return f"{self.dataset}/{self.model}/{self.name}"


def load_config(files: Sequence[str]) -> dict[str, Any]:
    """A configuration from YAML files, as Snakemake merges them: a later one overrides single keys; checked.

    Raises:
        BenchError: as ``check_config`` and ``read_yaml``.
    """
    merged: dict[str, Any] = {}
    for name in files:
        merged = _merged(merged, read_yaml(name))
    return check_config(with_homes(merged))


def _merged(config: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    pairs = {key: (config[key], other[key]) for key in config.keys() & other.keys()}
    blocks = {key: pair for key, pair in pairs.items() if all(isinstance(block, dict) for block in pair)}
    return config | other | {key: _merged(*pair) for key, pair in blocks.items()}


def with_homes(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with ~ in the names of raw files expanded; a folder in the place of a file is told as one."""
    datasets = config.get("datasets")
    for name, dataset in datasets.items() if isinstance(datasets, dict) else ():
        if isinstance(dataset, dict) and isinstance(dataset.get("file"), str):
            dataset["file"] = os.path.expanduser(dataset["file"])
            if dataset.get("source") == "file" and Path(dataset["file"]).is_dir():
                where = f"config.datasets.{name}.file is {dataset['file']!r}"
                raise BenchError(f"{where}: that is a folder; give the raw file itself (plain, .gz, .tar.gz or .zip)")
    return config


def check_config(config: dict[str, Any]) -> dict[str, Any]:
    """Check a configuration, its plugins loaded, and return it with every default written out.

    A data set that is ``null`` is dropped: an override can take one out of the grid.

    Raises:
        BenchError: names the key, what was found and what is allowed. Raw files given by path must exist.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from jsonschema.validators import extend

    from mlet_bench.config_schema import config_schema
    from mlet_bench.models import MODELS
    from mlet_bench.models.base import resolve_hyper

    check_extent(config, "config")
    config = {key: value for key, value in config.items() if key != SEAL}  # a results folder's own, given again
    if isinstance(config.get("datasets"), dict):
        kept = {name: dataset for name, dataset in config["datasets"].items() if dataset is not None}
        config = config | {"datasets": kept}
    if isinstance(plugins := config.get("plugins"), list):
        load_plugins(name for name in plugins if isinstance(name, str))
    given = config.get("datasets")
    schema = config_schema(given if isinstance(given, dict) else {})
    types = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _is_integer, "number": _is_number})
    error = best_match(extend(Draft202012Validator, type_checker=types)(schema).iter_errors(config))
    if error is not None:
        raise BenchError(_sentence(error))
    config = _with_defaults(config, schema)
    config["training"] = with_recipe(config["training"])
    given = config["models"] if isinstance(config["models"], dict) else {name: {} for name in config["models"]}
    recipe = config["training"]["recipe"]
    config["models"] = {name: resolve_hyper(MODELS[name], hyper or {}, recipe) for name, hyper in given.items()}
    for name, dataset in config["datasets"].items():
        _check_source(name, dataset)
    _check_models(config)
    _check_widths(config, "config")
    for name in ("controls", "longer"):
        if name in config:
            _check_widths(config | config[name], f"config.{name}")
    if "budgets" in config:
        _check_budgets(config)
    return config


def read_config(results: Path) -> dict[str, Any]:
    """The configuration that a results folder was made with, its plugins loaded.

    Raises:
        BenchError: the folder has none, or a plugin cannot be imported.
    """
    path = results / "config.json"
    damaged = f"delete {path} and run the workflow again, which writes it from the profile and keeps what is done"
    config = read_json(path, "not a results folder; run the workflow first", damaged)
    needed = ("profile", "datasets", "models", "training", "seeds")
    if not isinstance(config, dict) or not config.keys() >= set(needed):
        raise BenchError(f"{path} is no configuration, or one of another version: {damaged}")
    load_plugins(config.get("plugins", []))
    return config


def cells(config: dict[str, Any]) -> Iterator[Cell]:
    """Every cell of a checked configuration, each once: for arms with an inner dim, every pair with k >= d."""
    blocks = [config | {"epochs": config["training"]["epochs"]}]
    for name in ("controls", "longer"):  # their arms, over models, widths (and epochs) of their own where they say so
        if config.get(name, {}).get("enabled"):
            blocks.append(blocks[0] | config[name])
    if config.get("budgets", {}).get("enabled"):
        blocks.append(blocks[0] | budget_block(config))
    found = {
        Cell(dataset, model, arm, dim, inner_dim, block["epochs"], budget): None
        for block in blocks
        for dataset in config["datasets"]
        for model in block["models"]
        for arm in block["arms"]
        for dim in block["dims"]
        for inner_dim in (block["inner_dims"] if ARMS[arm].inner_dim else [None])
        if inner_dim is None or inner_dim >= dim
        for budget in block.get("sizes", [""])
    }
    yield from found


def jobs(config: dict[str, Any], together: bool) -> dict[str, list[Cell]]:
    """The training jobs of the DAG: ``dataset/model/name`` → its cells.

    Args:
        together: one job for all arms of a method at one d, as their runs have shapes in common; else one a cell.
    """
    found: dict[str, list[Cell]] = {}
    for cell in cells(config):
        shared = cell_name(ARMS[cell.arm].method, cell.dim, None, cell.epochs, cell.budget)
        name = f"{cell.dataset}/{cell.model}/{shared}" if together else cell.folder
        found.setdefault(name, []).append(cell)
    return found


def budget_block(config: dict[str, Any]) -> dict[str, Any]:
    """The ``budgets`` of a configuration as a block of cells: one d, each inner width that is wide enough."""
    block = config["budgets"]
    return block | {"dims": [block.get("dim", max(config["dims"]))]}


def cell_training(config: dict[str, Any], cell: Cell) -> dict[str, Any]:
    """The training settings of a cell: the training block, its length the cell's.

    Longer trainings keep the spacing of the validations, so that the end of every epoch is one of them.
    """
    base = config["training"]
    return base | {"epochs": cell.epochs, "validations": base["validations"] * cell.epochs // base["epochs"]}


def cell_spec(config: dict[str, Any], cell: Cell, seed: int, fingerprint: str = "") -> RunSpec:
    """The run that a checked configuration asks for; ``fingerprint`` is empty while the data set is not prepared."""
    widths = {"dim": cell.dim, "inner_dim": cell.inner_dim, "hyper": config["models"][cell.model]}
    widths |= {"budget": cell.budget}
    training = cell_training(config, cell)
    return RunSpec(cell.dataset, fingerprint, cell.model, cell.arm, seed=seed, **widths, **training)


def run_folders(config: dict[str, Any], results: Path | str) -> Iterator[tuple[Cell, int, Path]]:
    """Every run that a checked configuration asks for: its cell, its seed and its folder."""
    for cell in cells(config):
        for seed in config["seeds"]:
            yield cell, seed, Path(results) / "runs" / cell.folder / f"seed{seed}"


def _is_integer(checker: Any, value: Any) -> bool:
    """JSON's schema takes 1.0 for a whole number, and has no largest; tables hold int64."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _is_number(checker: Any, value: Any) -> bool:
    """YAML has .inf and .nan."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def _number_wanted(found: float | str | bool, kind: str) -> str:
    """What to write in the place of what is no number of a kind, as the second half of a sentence."""
    wanted = "a whole number" if kind == "integer" else "a number"
    if isinstance(found, str):
        try:
            meant = float(found)
        except ValueError:
            return f"it must be {wanted}"
        # YAML reads 1e-1 as text: its numbers have a point, and a sign in the exponent.
        plain = f"{meant:.10f}".rstrip("0") if 1e-6 < abs(meant) < 1e9 else f"{meant:e}"
        plain = plain.removesuffix(".") if kind == "integer" else plain + "0" * plain.endswith(".")
        return f"YAML reads it as text; write {plain}" if math.isfinite(meant) else f"it must be {wanted}, and finite"
    if isinstance(found, bool):
        return f"it must be {wanted}"
    if not abs(found) <= LARGEST:
        return f"it must be {wanted}, and finite"
    if isinstance(found, int):
        return "it must be below 2^63"
    return f"it must be {wanted}" + (f", {int(found)} without a point" if found.is_integer() else "")


def _sentence(error) -> str:
    where = "config" + "".join(f"[{part!r}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    found = repr(error.instance) if not isinstance(error.instance, dict) else "a block"
    match error.validator:
        case "additionalProperties":
            allowed = sorted(error.schema["properties"])
            unknown = sorted(set(error.instance) - set(allowed))
            return f"{where}: unknown key {', '.join(map(repr, unknown))}; allowed are {', '.join(allowed)}"
        case "enum":
            return f"{where} is {found}; allowed are {', '.join(map(str, error.validator_value))}"
        case "required":
            missing = [key for key in error.validator_value if key not in error.instance]
            return f"{where}: {', '.join(map(repr, missing))} missing"
        case "type" if error.validator_value in ("integer", "number") and isinstance(error.instance, int | float | str):
            return f"{where} is {found}: {_number_wanted(error.instance, error.validator_value)}"
        case _:
            what = error.schema.get("description")
            return f"{where} is {found}: {error.message}" + (f" ({what})" if what else "")


def _with_defaults(value: Any, schema: dict[str, Any]) -> Any:
    """Write the schema's ``default`` wherever an object lacks a key."""
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    filled = {}
    for key, part in schema.get("properties", {}).items():
        if key in value or "default" in part:
            filled[key] = _with_defaults(value.get(key, part.get("default")), part)
    return filled


def _check_source(name: str, dataset: dict[str, Any]) -> None:
    where, source = f"config.datasets.{name}", dataset["source"]
    needs = {"file": ("file", "table", PREPARED), "rows": ("synthesize",)}
    for key, sources in needs.items():
        if (source in sources) != (key in dataset):
            problem = "is missing" if source in sources else "has no meaning"
            raise BenchError(
                f"{where}: {key!r} {problem} with source {source!r}; it goes with {' or '.join(map(repr, sources))}"
            )
    for key in ("seed", "plant"):
        if key in dataset and source != "synthesize":
            raise BenchError(f"{where}: {key!r} has no meaning with source {source!r}; it goes with 'synthesize'")
    if source == "file" and not Path(dataset["file"]).is_file():
        raise BenchError(f"{where}.file is {dataset['file']!r}: there is no such file (looked in {Path.cwd()})")
    kind = dataset_of(name, dataset)
    try:
        if source == PREPARED:
            DatasetSchema.read(dataset["file"])
            return
        described(name, dataset)
        if source == "package":
            kind.installed()
        elif "file" in dataset:
            kind.files(dataset["file"])
    except BenchError as error:
        raise BenchError(f"{where}: {error}") from None


def _check_budgets(config: dict[str, Any]) -> None:
    """Arms whose width is their size cannot be fitted: their cells at several d stand on the same axis of bytes."""
    from mlet_bench.embeddings import METHODS

    block = config["budgets"]
    for arm in block["arms"]:
        if not METHODS[ARMS[arm].method].size_option:
            raise BenchError(
                f"config.budgets.arms has {arm!r}, whose width is its size, so that no budget can choose one: give it "
                "several dims in the main grid, where its cells are compared at their bytes"
            )
    _check_widths(
        config | budget_block(config) | {"inner_dims": block.get("inner_dims", config["inner_dims"])},
        "config.budgets",
        "dim",
    )


def _check_models(config: dict[str, Any]) -> None:
    """A block's models are some of the configuration's."""
    for name in ("controls", "longer", "budgets"):
        if other := [model for model in config.get(name, {}).get("models", ()) if model not in config["models"]]:
            raise BenchError(
                f"config.{name}.models has {other[0]!r}, which config.models ({', '.join(config['models'])}) has not: "
                "add it there, or leave it out here"
            )


def _check_widths(config: dict[str, Any], where: str, dims: str = "dims") -> None:
    """Every width listed must be used: an unusable one is a mistake, not something to skip in silence."""
    arm = next((arm for arm in config["arms"] if ARMS[arm].inner_dim), None)
    if arm is None:
        return
    for dim in config["dims"]:
        if dim > max(config["inner_dims"]):
            raise BenchError(
                f"{where}.{dims} has d={dim}, above every k in {where}.inner_dims {config['inner_dims']}: "
                f"arm {arm!r} needs k >= d; add a larger k or drop this d"
            )
    for inner_dim in config["inner_dims"]:
        if inner_dim < min(config["dims"]):
            raise BenchError(
                f"{where}.inner_dims has k={inner_dim}, below every d in {where}.{dims} {config['dims']}: "
                f"arm {arm!r} needs k >= d; add a smaller d or drop this k"
            )
