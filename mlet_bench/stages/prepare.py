"""Turn a raw file, or a table of one's own, into a Parquet data set."""

import argparse
import json
from pathlib import Path
from typing import Any

from mlet_bench.data import DATASETS
from mlet_bench.data.base import PREPARED, Option
from mlet_bench.errors import BenchError
from mlet_bench.stages.numbers import count


def add_options(parser: argparse.ArgumentParser) -> None:
    known = ", ".join(DATASETS)
    parser.add_argument(
        "dataset", help=f"the data set that the file is of: {known}; or {PREPARED}, to take a prepared folder as it is"
    )
    parser.add_argument("--raw", type=Path, help="plain, .gz, .tar.gz or .zip; of a table a file, a folder or a glob")
    parser.add_argument("--out", type=Path, help="data-set folder to write")
    parser.add_argument("--name", help="what it is called in configs and results, if not as the data set")
    splits = "; ".join(f"{data.name}: {', '.join(data.splits)}" for data in DATASETS.values())
    parser.add_argument(
        "--split", help=f"{splits}; the first where it is left out. Of a table also as JSON, such as "
        '\'{"by": "column", "column": "fold", "val": [8], "test": [9]}\'',
    )  # fmt: skip
    parser.add_argument("--time", metavar="COLUMN", help='a table\'s split by time: {"by": "time", "column": COLUMN}')
    parser.add_argument("--max-rows", type=count, help="use the first rows only")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what it would be and what may mislead; keep nothing"
    )
    for name, (owners, option) in _every_option().items():
        flag, said = f"--{name.replace('_', '-')}", f"{', '.join(owners)}: {option.help}"
        if option.schema["type"] == "boolean":
            parser.add_argument(flag, dest=name, action="store_true", default=None, help=said)
        else:
            parser.add_argument(flag, dest=name, help=said)


def run(arguments: argparse.Namespace) -> None:
    out: Path | None = arguments.out
    raw = arguments.raw or (None if arguments.dataset == PREPARED else DATASETS[arguments.dataset].installed())
    if raw is None:
        raise BenchError("--raw is missing: give the file, or for a table the folder or the glob, to prepare")
    if arguments.dry_run:
        from mlet_bench.data.outlook import outlook

        print(outlook(arguments.dataset, raw, **_settings(arguments)))
        return
    if out is None:
        raise BenchError("--out is missing: give a folder for the data set, or --dry-run to see what it would be")
    if arguments.dataset == PREPARED:
        from mlet_bench.data.adopt import adopt

        schema = adopt(raw, out, arguments.name)
    else:
        from mlet_bench.data.prepare import prepare

        schema = prepare(arguments.dataset, raw, out, **_settings(arguments))
    rows = ", ".join(f"{split} {count:,}" for split, count in schema.rows.items())
    print(f"{out}: {rows} rows; {sum(schema.table_sizes):,} categories; fingerprint {schema.fingerprint}")


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """What ``prepare`` takes besides the data set and its files."""
    split = arguments.split
    if arguments.time:
        if split is not None:
            raise BenchError("--time and --split are both given: a split by time is --time alone")
        split = {"by": "time", "column": arguments.time}
    elif split is not None and split.startswith("{"):
        split = _json("split", split)
    given = {name: getattr(arguments, name) for name in _every_option() if getattr(arguments, name) is not None}
    options = {
        name: _value(name, option, given[name]) for name, (_, option) in _every_option().items() if name in given
    }
    return {"split": split, "max_rows": arguments.max_rows, "options": options, "called": arguments.name}


def _every_option() -> dict[str, tuple[list[str], Option]]:
    """The options of all data sets: which have one, and what it is."""
    found: dict[str, tuple[list[str], Option]] = {}
    for data in DATASETS.values():
        for name, option in data.every_option().items():
            found.setdefault(name, ([], option))[0].append(data.name)
    return found


def _value(name: str, option: Option, word: Any) -> Any:
    """An option's value: a switch, text, a number, JSON, or columns with commas between them."""
    match option.schema["type"]:
        case "boolean" | "string":
            return word
        case "integer":
            if not word.isascii() or not word.isdecimal() or int(word) < 1:
                raise BenchError(f"--{name.replace('_', '-')} is {word!r}: it must be a whole number of 1 or more")
            return int(word)
    if word.startswith(("[", "{")):
        return _json(name, word)
    names = [column.strip() for column in word.split(",") if column.strip()]
    transforms = option.schema.get("additionalProperties", {}).get("enum", [])
    pairs = {}
    for column in names:
        before, _, transform = column.rpartition(":")
        pairs |= {before: transform} if transform in transforms and before else {column: None}
    if not any(pairs.values()):
        return names
    return {column: transform or transforms[0] for column, transform in pairs.items()}


def _json(name: str, word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError as error:
        raise BenchError(f"--{name.replace('_', '-')} is {word!r}, which is no JSON ({error})") from None
