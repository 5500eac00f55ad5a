"""Generated files and the data sets prepared from them are the same as ever: to the byte, and to the value."""

import hashlib

import pyarrow.parquet as pq
import pytest

from mlet_bench.data.generate import synthesize
from mlet_bench.data.prepare import prepare

# Noted when the two formats were read by our own code, before polars did. A change here is a new version of the
# preparation (``prepare.VERSION``), or of the planted data.
KNOWN = [
    ("criteo-kaggle", "blocks", "0f769bfdf795d28b83707f51f4048ae4", "97f88477cb037442", "502db860a544d30e"),
    ("avazu", "random", "dd494ac45a5a6314b4807e1d4e40fa5f", "da3e9f1fea62fd68", "3490f855866374f6"),
    ("avazu", "last-day", "dd494ac45a5a6314b4807e1d4e40fa5f", "df09c9d1fc2febb6", "71f283db110d7644"),
]


def content(folder):
    """A digest of every column of every file: names, types, row order, values."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.parquet")):
        with pq.ParquetFile(path) as file:
            table = file.read()
        digest.update(f"{path.relative_to(folder)} {table.schema.to_string()}".encode())
        for column in table.columns:
            digest.update(repr(column.to_pylist()).encode())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize(("name", "split", "md5", "fingerprint", "digest"), KNOWN)
def test_the_same_numbers_as_before(tmp_path, name, split, md5, fingerprint, digest):
    assert synthesize(name, 2000, 5, tmp_path / "raw")["md5"] == md5
    schema = prepare(name, tmp_path / "raw", tmp_path / "out", split=split)
    assert schema.fingerprint == fingerprint
    assert content(tmp_path / "out") == digest
