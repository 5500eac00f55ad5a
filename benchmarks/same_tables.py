"""Say whether two results folders hold the same numbers: which tables, columns and rows differ, by value, to the bit.

    python benchmarks/same_tables.py results/before results/after --renamed inference_bytes=deployed_bytes

Tables are read from ``tables/*.parquet``. Rows are matched by what names them (data set, cell, seed, metric, ...), so
that their order, and rows and columns that only the second folder has, are told and count as no difference. The exit
status is 1 if a number of the first folder is missing in the second or is another there.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

KEYS = ["claim", "dataset", "model", "cell", "seed", "metric", "field", "stage", "weighting", "grouping", "group"]
KEYS += ["epoch", "factor", "device", "batch_size", "dim", "inner_dim"]
# Of these tables "factor" is a number, not a name.
NUMBERS = {"reduction": {"factor"}}


def main() -> int:
    """Compare two folders; 0 if every number of the first is in the second."""
    parser = argparse.ArgumentParser(description="Do two results folders hold the same numbers?")
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--renamed", nargs="*", default=[], metavar="OLD=NEW", help="columns renamed since")
    parser.add_argument("--skip", nargs="*", default=[], help="columns that differ from run to run, such as times")
    arguments = parser.parse_args()
    renamed = dict(pair.split("=", 1) for pair in arguments.renamed)
    differ = False
    for path in sorted((arguments.before / "tables").glob("*.parquet")):
        other = arguments.after / "tables" / path.name
        if not other.is_file():
            differ = True
            print(f"{path.stem}: no such table in {arguments.after}")
            continue
        before, after = pd.read_parquet(path).rename(columns=renamed), pd.read_parquet(other)
        lost, gained = differences(before, after, path.stem, set(arguments.skip))
        differ |= bool(lost)
        said = lost + gained or ["equal"]
        print(*(f"{path.stem}: {sentence}" for sentence in said), sep="\n")
    return int(differ)


def differences(before: pd.DataFrame, after: pd.DataFrame, name: str, skip: set[str]) -> tuple[list[str], list[str]]:
    """What of ``before`` is missing or another in ``after``, and what ``after`` has besides, in sentences."""
    keys = [key for key in KEYS if key in before and key in after and key not in NUMBERS.get(name, ())]
    before, after = (frame.assign(**{key: frame[key].astype("string") for key in keys}) for frame in (before, after))
    for frame in (before, after):
        if frame.duplicated(keys).any():
            return [f"rows are not told apart by {', '.join(keys)}"], []
    before, after = before.set_index(keys).sort_index(), after.set_index(keys).sort_index()
    gone = before.index.difference(after.index)
    lost = [f"{len(gone)} rows are gone, {gone[0]} for one"] if len(gone) else []
    lost += [f"column {column} is gone" for column in before.columns.difference(after.columns) if column not in skip]
    both = before.index.intersection(after.index)
    for column in before.columns.intersection(after.columns).difference(list(skip)):
        ours, theirs = (frame.loc[both, column].astype(object) for frame in (before, after))
        wrong = ~((ours == theirs).fillna(False).astype(bool) | (ours.isna() & theirs.isna()))
        if wrong.any():
            at = wrong[wrong].index[0]
            found = f"{at}: {ours[at]!r}, now {theirs[at]!r}"
            lost.append(f"{column} differs in {wrong.sum()} of {len(both)} rows: {found}")
    more = [f"{len(new)} more rows" for new in [after.index.difference(before.index)] if len(new)]
    return lost, more + [f"more column {column}" for column in after.columns.difference(before.columns)]


if __name__ == "__main__":
    sys.exit(main())
