"""A configuration as a file has it: what YAML allows and no configuration means is refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlet_bench.errors import BenchError

LEVELS, VALUES = 20, 100_000  # of a configuration; the shipped ones have 5 levels and some hundred values


def read_yaml(name: Path | str) -> dict[str, Any]:
    """The keys of a YAML or JSON file; anchors, aliases and ``<<`` as YAML defines them.

    Raises:
        BenchError: no YAML, a tag of a programming language, a key that stands twice (YAML would drop the first), or
            what ``check_extent`` refuses.
        OSError: it cannot be read.
    """
    content = Path(name).read_bytes()
    try:
        found = _json(content) or _yaml(content, name)
    except RecursionError:
        raise BenchError(f"{name} nests too deeply: a configuration has {LEVELS} levels at most") from None
    if not isinstance(found, dict):
        raise BenchError(f"{name} holds no keys: it must be a configuration")
    check_extent(found, str(name))
    return found


def _json(content: bytes) -> Any:
    """The value of a JSON file; None for others. Not all of JSON is YAML: its tabs are not."""
    try:
        return json.loads(content)
    except ValueError:
        return None


def _yaml(content: bytes, name: Path | str) -> Any:
    import yaml

    try:
        # Composed before constructed: a key that stands twice is in the nodes alone, and no tag is followed yet.
        twice = next(_twice(yaml.compose(content, yaml.SafeLoader)), None)
        found = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise BenchError(f"{name} is no YAML: {' '.join(str(error).split())}") from None
    if twice:
        key, first, second = twice
        raise BenchError(
            f"{name} has the key {key!r} twice, in lines {first} and {second}, and YAML would drop the first: put the "
            "two together"
        )
    return found


def check_extent(config: Any, where: str) -> None:
    """Refuse what a few lines of aliases make of a configuration: values by the billion, or one within itself.

    Raises:
        BenchError: more than ``LEVELS`` levels or ``VALUES`` values, each counted wherever it stands.
    """
    values, level = 0, [config]
    for _ in range(LEVELS):
        values += len(level)
        if values > VALUES:
            raise BenchError(f"{where} has more than {VALUES:,} values, aliases written out: no configuration does")
        below = []
        for value in level:
            below += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            if len(below) > VALUES:
                break
        if not below:
            return
        level = below
    raise BenchError(f"{where} has more than {LEVELS} levels, or an alias within its own block: no configuration does")


def _twice(node: Any) -> Iterator[tuple[str, int, int]]:
    """Keys that stand twice in one block, with their lines; every block once, however many aliases it has."""
    due, seen = [node], set()
    while due:
        block = due.pop()
        if id(block) in seen or not isinstance(getattr(block, "value", None), list):
            continue
        seen.add(id(block))
        first: dict[str, int] = {}
        for item in block.value:
            key, value = item if isinstance(item, tuple) else (None, item)
            due.append(value)
            if key is not None and isinstance(key.value, str):
                line = key.start_mark.line + 1
                if key.value in first and key.value != "<<":
                    yield key.value, first[key.value], line
                first[key.value] = line
