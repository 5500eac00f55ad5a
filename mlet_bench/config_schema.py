"""The JSON schema of a configuration, made from the registries: what is registered can be configured.

``workflow/schemas/config.schema.json`` is a copy for editors and readers: ``python -m mlet_bench.config_schema`` writes
it.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from mlet_bench.arms import ARMS, RECIPES
from mlet_bench.budgets import PATTERN as BUDGET
from mlet_bench.data import DATASETS, dataset_of
from mlet_bench.data.base import PREPARED, DataSet
from mlet_bench.data.worlds import WORLDS
from mlet_bench.embeddings.formats import FORMATS
from mlet_bench.errors import BenchError
from mlet_bench.files import write_json
from mlet_bench.models import MODELS
from mlet_bench.runs import PLAIN
from mlet_bench.spec import LOSSES, WIDEST

COPY = Path(__file__).parents[1] / "workflow" / "schemas" / "config.schema.json"
OPTIMIZERS = ("sgd", "adagrad")

WHOLE, COUNT, ABOVE_ZERO = ({"type": "integer", "minimum": 0}, {"type": "integer", "minimum": 1},
                            {"type": "number", "exclusiveMinimum": 0})  # fmt: skip
NAMES = "^[A-Za-z0-9][A-Za-z0-9_-]*$"
SOURCE = {
    "of": "the data set that it is, where the entry has a name of its own",
    "source": "download: the whole set; sample: a part that its owner publishes; synthesize: planted rows; package: an "
    "installed Python package; file: a raw file of yours; table: a table of yours; prepared: a folder that is ready",
    "file": "path of the raw file, with source: file; of a file, a folder of parts or a glob, with source: table; of "
    "the folder, with source: prepared",
    "rows": "rows to make, with source: synthesize",
    "seed": "seed of the planted rows",
    "plant": "what is planted in them: " + "; ".join(f"{world.name}: {world.purpose}" for world in WORLDS.values()),
    "max_rows": "use the first rows only",
}


def config_schema(datasets: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The schema, with every default; what plugins have registered is part of it.

    Args:
        datasets: the entries of a config, which decide what each may say; None: any.
    """
    arms, widths = _several({"enum": list(ARMS)}), _several(COUNT | {"maximum": WIDEST})
    some = {"models": {"description": "names of models; left out, all", **_several({"enum": list(MODELS)})}}
    more = {"arms": arms, "dims": widths, "inner_dims": widths} | some
    switch = {"enabled": {"type": "boolean", "default": True}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mlet-bench configuration",
        **_object(
            {
                "profile": {
                    "description": "names the results folder: results/<profile>",
                    "type": "string",
                    "pattern": NAMES,
                },
                "plugins": {
                    "description": "modules or .py files with methods, models, data sets, metrics, claims or figures "
                    "of your own",
                    "type": "array",
                    "items": {"type": "string", "minLength": 1},
                    "default": [],
                },
                "datasets": _datasets(datasets),
                "models": _models(),
                "arms": arms,
                "controls": {
                    "description": "more arms, to tell what explains a difference; widths left out are the main grid's",
                    **_object(switch | more, required=["arms"]),
                },
                "longer": {
                    "description": "cells trained for more epochs, to see whether a difference lasts: the curve of an "
                    "n-epoch run holds those of fewer",
                    **_object(
                        switch | {"epochs": {"type": "integer", "minimum": 2}} | more, required=["arms", "epochs"]
                    ),
                },
                "budgets": {
                    "description": "cells of arms that share rows, each method as large as fits into a budget of bytes "
                    "as it is served",
                    **_object(
                        switch
                        | {
                            "sizes": {
                                "description": "270MB, say, or 1/16 of the single layer's tables at the same d",
                                **_several({"type": "string", "pattern": BUDGET}),
                            },
                            "arms": arms,
                            "dim": {"description": "d of these cells; left out, the widest of dims", **COUNT},
                            "inner_dims": widths,
                        }
                        | some,
                        required=["sizes", "arms"],
                    ),
                },
                "embedding_lr_factors": {
                    "description": "what arms that tune choose among on validation: embedding learning rate over the "
                    "base one; auto: 1, 4, 16, and on until the best lies inside",
                    "anyOf": [{"const": "auto"}, _several(ABOVE_ZERO)],
                    "default": "auto",
                },
                "formats": {
                    "description": "what each run is served in and scored as; fp32 is the deployed model as it stands",
                    **_several({"enum": list(FORMATS)}),
                    "default": [PLAIN],
                },
                "dims": {"description": "d, embedding widths", **widths},
                "inner_dims": {"description": "k, inner widths; every pair with k >= d is run", **widths},
                "seeds": _several(WHOLE),
                "training": {**_object(_training()), "default": {}},
                "device": {
                    "description": "auto is cuda where there is a GPU",
                    "enum": ["auto", "cpu", "cuda"],
                    "default": "auto",
                },
                "deterministic": {
                    "description": "on a GPU, only operations that give the same bits each time: slower; a CPU always "
                    "does",
                    "type": "boolean",
                    "default": False,
                },
                "threads": {"description": "CPU threads of a training job", **COUNT, "default": 1},
                "keep": {
                    "description": "what stays of each run once it is evaluated: its numbers and test scores, also the "
                    "model that is served, or W1 and W2 too",
                    "enum": ["metrics", "deployed", "all"],
                    "default": "deployed",
                },
                "overhead": {**_object(_overhead()), "default": {}},
            },
            required=["profile", "datasets", "arms", "dims", "inner_dims", "seeds"],
        ),
    }


def _object(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, **more, "properties": properties}


def _several(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "uniqueItems": True, "items": items}


def _datasets(entries: Mapping[str, Any] | None) -> dict[str, Any]:
    """Entries of names of one's own are known by what they are of."""
    known = {name: _dataset(data, name) for name, data in DATASETS.items() if name != "table"}
    names = {"minProperties": 1, "propertyNames": {"pattern": NAMES}}
    if entries is None:
        other = {"anyOf": [_dataset(data) for data in DATASETS.values()]}
        return _object(known) | names | {"additionalProperties": other}
    for name, entry in entries.items():
        if isinstance(entry, dict) and (name in known or {"of", "source"} & entry.keys()):
            with suppress(BenchError):  # of what does not exist: the schema says what there is
                known[name] = _dataset(dataset_of(name, entry), name, entry.get("source") == PREPARED)
    return _object(known) | names


def _dataset(data: type[DataSet], name: str = "", prepared: bool = False) -> dict[str, Any]:
    """An entry that is of a data set; of one that is prepared there is nothing more to choose."""
    kinds: dict[str, Any] = {
        "of": {"enum": [data.name]} | ({} if name == data.name else {"default": data.name}),
        "source": {"enum": list(data.sources())},
        "file": {"type": "string", "minLength": 1},
    }
    if not prepared:
        kinds |= {
            "rows": {"type": "integer", "minimum": 100},
            "seed": WHOLE,
            "plant": {"enum": list(WORLDS)},
            "max_rows": {"type": "integer", "minimum": 20},
        }
    properties = {name: {"description": SOURCE[name], **kind} for name, kind in kinds.items()}
    if not prepared:
        properties["split"] = data.split_schema()
        for name, option in data.every_option().items():
            default = {} if option.default is None else {"default": option.default}
            properties[name] = {"description": option.help, **option.schema, **default}
    return _object(properties, required=["source"])


def _models() -> dict[str, Any]:
    known = {name: _object(_hyper(model.Hyper)) for name, model in MODELS.items()}
    return {
        "description": "names, or each name with hyper-parameters; those left out are the recipe's",
        "type": ["array", "object"],
        **{"minItems": 1, "uniqueItems": True, "items": {"enum": list(MODELS)}},
        **{"minProperties": 1, "additionalProperties": False, "properties": known},
        "default": [next(iter(MODELS))],
    }


def _hyper(kind: type) -> dict[str, Any]:
    types = get_type_hints(kind)
    plain = {int: "integer", float: "number", bool: "boolean", str: "string"}
    found = {}
    for field in fields(kind):
        of = types[field.name]
        shape = {"type": "array", "items": COUNT} if get_origin(of) is tuple else {"type": plain[of]}
        found[field.name] = {"description": field.metadata.get("help", field.name), **shape}
    return found


def _training() -> dict[str, Any]:
    return {
        "recipe": {
            "description": "where settings left out come from, a model's hyper-parameters too: the authors' fork of "
            "DLRM, their DeepCTR code for the second paper (authors-b), or facebookresearch/dlrm",
            "enum": list(RECIPES),
            "default": "authors",
        },
        "optimizer": {"enum": list(OPTIMIZERS)},
        "lr": ABOVE_ZERO,
        "loss": {"description": "what is differentiated: mean or sum over the batch", "enum": list(LOSSES)},
        "w2_std": {"description": "standard deviation of W2's initial values", **ABOVE_ZERO},
        "batch_size": COUNT,
        "epochs": COUNT | {"default": 1},
        "validations": WHOLE | {"default": 10},
        "authors_selection": {
            "description": "also report the authors' figure, the AUC at the best test accuracy while training: "
            "selected on the scored rows",
            "type": "boolean",
            "default": False,
        },
    }


def _overhead() -> dict[str, Any]:
    return {
        "batch_sizes": _several(COUNT) | {"default": [128]},
        "pairs": {"description": "timed A B pairs per cell", "type": "integer", "minimum": 5, "default": 50},
        "steps": {"description": "steps per timing", **COUNT, "default": 20},
        "when_busy": {
            "description": "where other programs take all cores: write no timings and the reason, or time all the same",
            "enum": ["skip", "time"],
            "default": "skip",
        },
    }


if __name__ == "__main__":
    write_json(COPY, config_schema())
