"""Turn a raw file into a Parquet data set."""

import argparse
from pathlib import Path

from mlet_bench.data import DATASETS
from mlet_bench.stages.numbers import count


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", help=f"the data set that the file is of: {', '.join(DATASETS)}")
    parser.add_argument("--raw", type=Path, required=True, help="plain, .gz, .tar.gz or .zip")
    parser.add_argument("--out", type=Path, required=True, help="data-set folder to write")
    splits = "; ".join(f"{data.name}: {', '.join(data.splits)}" for data in DATASETS.values())
    parser.add_argument("--split", help=f"{splits}; the first where it is left out")
    parser.add_argument("--max-rows", type=count, help="use the first rows only")
    for name, (owners, said) in _every_option().items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, dest=name, action="store_true", help=f"{', '.join(owners)}: {said}")


def run(arguments: argparse.Namespace) -> None:
    from mlet_bench.data.prepare import prepare

    options = {name: True for name in _every_option() if getattr(arguments, name)}
    settings = {"split": arguments.split, "max_rows": arguments.max_rows, "options": options}
    schema = prepare(arguments.dataset, arguments.raw, arguments.out, **settings)
    rows = ", ".join(f"{split} {count:,}" for split, count in schema.rows.items())
    print(f"{arguments.out}: {rows} rows; {sum(schema.table_sizes):,} categories; fingerprint {schema.fingerprint}")


def _every_option() -> dict[str, tuple[list[str], str]]:
    """The options of all data sets: which have one, and its sentence of help."""
    found: dict[str, tuple[list[str], str]] = {}
    for data in DATASETS.values():
        for name, said in data.options.items():
            found.setdefault(name, ([], said))[0].append(data.name)
    return found
