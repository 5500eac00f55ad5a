"""Data sets that are tables: CSV or Parquet, any columns, as options say."""

from collections.abc import Mapping
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mlet_bench.data.base import KEY, DataSet, Dense, Option, shown
from mlet_bench.errors import BenchError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from mlet_bench.data.tablefile import Chunk, TableFiles

TRANSFORMS = ("standard", "log1p", "none")
NAME = {"type": "string", "minLength": 1}
NAMES = {"type": "array", "uniqueItems": True, "items": NAME}
VALUES = {"type": "array", "minItems": 1, "items": {"type": ["string", "integer", "boolean"]}}
SPLIT = {
    "description": "random; {by: time, column: ts}, the latest tenth for test and the tenth before it for validation; "
    "or {by: column, column: fold, val: [8], test: [9]}, by a column's values, the other rows for training",
    "type": ["string", "object"],
    "pattern": "^random$",
    "additionalProperties": False,
    "properties": {"by": {"enum": ["time", "column"]}, "column": NAME, "val": VALUES, "test": VALUES},
    "required": ["by", "column"],
}


class TableData(DataSet):
    """A table with a label of two values. A subclass may preset options.

    Attributes:
        preset: options that are not to be chosen.
    """

    columns, dense, fields = (), (), ()
    splits = ("random", "time", "column")
    options: ClassVar = {
        "label": Option("column of 0 and 1, or an SQL expression such as 'rating >= 4'", NAME, None),
        "categorical": Option("categorical columns, in the model's order", NAMES, []),
        "dense": Option(
            "numeric columns, or each with a transform: standard (mean 0 and deviation 1 over training rows, where "
            "none is named), log1p or none",
            {
                "type": ["array", "object"],
                "items": NAME,
                "uniqueItems": True,
                "additionalProperties": {"enum": list(TRANSFORMS)},
            },
            [],
        ),
        "where": Option("rows to keep, as an SQL expression; all where it is left out", NAME, None),
        "min_count": Option(
            "categories with fewer training rows share one", {"type": "integer", "minimum": 1, "maximum": 2**31}, 1
        ),
        "max_categories": Option(
            "a column that has more is hashed into as many", {"type": "integer", "minimum": 1, "maximum": 2**31}, None
        ),
        "separator": Option("the byte between columns of a CSV file; \\t is a tab", NAME, ","),
        "quote": Option("the byte around values of a CSV file; empty: there are none", {"type": "string"}, '"'),
        "names": Option("the columns' names, where a CSV file has no header", NAMES | {"minItems": 1}, None),
        "missing": Option("texts that stand for a missing value, such as NA", NAMES, []),
    }
    preset: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, options: Mapping[str, Any] | None = None, split: Any = None):
        super().__init__(options, split)
        chosen = {name: option.default for name, option in TableData.every_option().items()} | self.chosen | self.preset
        if not isinstance(chosen["dense"], Mapping):
            chosen["dense"] = dict.fromkeys(chosen["dense"], TRANSFORMS[0])
        for name in ("separator", "quote"):
            chosen[name] = chosen[name].replace("\\t", "\t")
            if len(chosen[name].encode()) > 1 or chosen[name] in ("\n", "\r"):
                raise BenchError(f"{name} is {chosen[name]!r}: it must be one ASCII character, and no line end")
        self.chosen = chosen
        if chosen["label"] is None:
            raise BenchError(f"{self.name} has no label: name a column of 0 and 1, or give an expression")
        for column, transform in chosen["dense"].items():
            if transform not in TRANSFORMS:
                raise BenchError(
                    f"dense column {column}: no transform {transform!r}; there are {', '.join(TRANSFORMS)}"
                )
        self.fields = tuple(chosen["categorical"])
        self.dense = tuple(Dense(column, transform) for column, transform in chosen["dense"].items())
        self.min_count, self.max_categories = chosen["min_count"], chosen["max_categories"]
        self._check_names()
        self._typing = None

    def _check_names(self) -> None:
        """Refuse columns that could not be written, or not be told apart."""
        if not self.fields:
            raise BenchError(f"{self.name} has no categorical column: embedding tables need at least one")
        used = [*self.fields, *(dense.column for dense in self.dense)]
        for column in used:
            if used.count(column) > 1:
                raise BenchError(f"column {column!r} is named twice: it is categorical or dense, and once")
            if column in ("label", KEY):
                raise BenchError(f"a column {column!r} cannot be a feature, the prepared files have one: rename it")
            if "/" in column or not column.isprintable() or column.startswith(".") or len(column.encode()) > 100:
                raise BenchError(
                    f"column {shown(column)} names a file of the vocabulary: it cannot have '/', a control character, "
                    "a point at its start, or more than 100 bytes; rename it"
                )

    @classmethod
    def files(cls, given: Path | str) -> list[Path]:
        """One file, those of a folder, or those that a glob matches, in order of name; hidden ones are left out."""
        path = Path(given)
        if path.is_file():
            return [path]
        found = path.iterdir() if path.is_dir() else map(Path, glob(str(path), recursive=True))
        files = sorted(file for file in found if file.is_file() and not file.name.startswith((".", "_")))
        if not files:
            problem = (
                "a folder without files; give a glob for those below" if path.is_dir() else "no file, folder or glob"
            )
            raise BenchError(f"{path} is {problem}: a table is CSV or Parquet (looked in {Path.cwd()})")
        return files

    @classmethod
    def split_schema(cls) -> dict[str, Any]:
        return {**SPLIT, "default": "random"}

    def read_split(self, split: Any) -> Any:
        if split == "random":
            return split
        if not isinstance(split, Mapping) or split.get("by") not in ("time", "column") or not split.get("column"):
            raise BenchError(f"split {split!r} is not possible: give {SPLIT['description']}")
        wanted = {"by", "column", "val", "test"} if split["by"] == "column" else {"by", "column"}
        if split.keys() != wanted:
            raise BenchError(
                f"split by {split['by']} has {', '.join(sorted(split))}; it needs {', '.join(sorted(wanted))}"
            )
        if both := {*map(str, split.get("val", ()))} & {*map(str, split.get("test", ()))}:
            raise BenchError(f"split by column {split['column']}: {', '.join(both)} is both val and test")
        return dict(split)

    @property
    def used(self) -> list[str]:
        """The columns of the file that features and split are made of."""
        by = [] if isinstance(self.split, str) else [self.split["column"]]
        return list(dict.fromkeys([*self.fields, *(dense.column for dense in self.dense), *by]))

    def open(self, path: Path | str, scratch: Path, max_rows: int | None = None) -> "TableFiles":
        from mlet_bench.data.columns import Typing
        from mlet_bench.data.tablefile import TableFiles

        files = TableFiles(self.files(path), self.chosen, scratch, max_rows)
        self._typing = Typing(self, files.head())
        files.select(self._typing.used)
        return files

    def rows(self, block: "Chunk") -> "pl.DataFrame":
        assert self._typing is not None, "open comes first: it decides the columns' types"
        return self._typing.rows(block)

    def types(self) -> dict[str, str]:
        """Each column with what it was taken for, once the table was opened."""
        return {} if self._typing is None else self._typing.described()

    def spell(self, field: str, tokens: "pa.Array") -> "pa.Array":
        return tokens.cast("string")
