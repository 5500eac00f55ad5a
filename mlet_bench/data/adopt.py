"""A prepared folder taken as it is: checked, and linked or copied."""

from pathlib import Path

from mlet_bench.data.dataset import load_split, training_counts
from mlet_bench.data.prepare import replacing
from mlet_bench.errors import BenchError
from mlet_bench.files import link_or_copy, writing
from mlet_bench.spec import SPLITS, DatasetSchema


def adopt(folder: Path, out: Path, called: str | None = None) -> DatasetSchema:
    """Take the prepared data set in ``folder`` as ``out``: the same files and fingerprint.

    Args:
        called: the name that it has to have.

    Raises:
        BenchError: the folder is no prepared data set, is damaged, or holds one of another name.
    """
    folder, out = Path(folder).resolve(), Path(out).resolve()
    schema = DatasetSchema.read(folder)
    if called not in (None, schema.name):
        raise BenchError(
            f"{folder} holds a data set called {schema.name!r}, not {called!r}: call the entry of the config "
            f"{schema.name}, or prepare it with --name {called}"
        )
    for field in schema.fields:
        training_counts(folder, schema, field.name)
    vocabularies = [f"vocabulary/{field.name}.parquet" for field in schema.fields]
    with writing(out), replacing(out) as new:
        (new / "vocabulary").mkdir()
        for split in SPLITS:
            load_split(folder, schema, split)
        for name in (*(f"{split}.parquet" for split in SPLITS), *vocabularies):
            link_or_copy(folder / name, new / name)
        schema.write(new)
    return schema
