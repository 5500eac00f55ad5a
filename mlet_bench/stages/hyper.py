"""The hyper-parameters of all models as options of the command line, from their dataclasses."""

import argparse
from dataclasses import fields
from typing import Any, get_origin, get_type_hints

from mlet_bench.models import MODELS
from mlet_bench.models.base import resolve_hyper
from mlet_bench.stages.numbers import count, finite


def hyper_options(parser: argparse.ArgumentParser) -> None:
    """``--model``, and an option for each hyper-parameter of each model."""
    parser.add_argument("--model", default=next(iter(MODELS)), help=f"one of {', '.join(MODELS)}")
    group = parser.add_argument_group("hyper-parameters of the model; left out, they are the recipe's")
    for name, (owners, field, kind) in _every_field().items():
        options: dict[str, Any] = {"help": f"{', '.join(owners)}: {field.metadata.get('help', name)}", "default": None}
        if get_origin(kind) is tuple:
            options |= {"type": count, "nargs": "*"}
        elif kind is bool:
            options |= {"action": argparse.BooleanOptionalAction}
        else:
            options |= {"type": finite if kind is float else kind}
        group.add_argument(f"--{name.replace('_', '-')}", **options)


def hyper_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """All hyper-parameters of the chosen model, the recipe's where none is given.

    Raises:
        BenchError: no such model, or one was given that it does not have.
    """
    given = {name: getattr(arguments, name) for name in _every_field()}
    return resolve_hyper(MODELS[arguments.model], given, arguments.recipe)


def _every_field() -> dict[str, tuple]:
    found: dict[str, tuple] = {}
    for model in MODELS.values():
        kinds = get_type_hints(model.Hyper)
        for field in fields(model.Hyper):
            owners = found.get(field.name, ([],))[0]
            found[field.name] = ([*owners, model.name], field, kinds[field.name])
    return found
