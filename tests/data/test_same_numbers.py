"""Generated files and the data sets prepared from them are the same as ever: to the byte, and to the value."""

import hashlib

import pyarrow.parquet as pq
import pytest

from mlet_bench.data.generate import synthesize
from mlet_bench.data.prepare import prepare

# A change here is a new version of the preparation (``prepare.VERSION``), or of the planted data.
KNOWN = [
    ("criteo-kaggle", "blocks", "ffac6dc6a425f6c2091a6de1b17ecf4b", "937e95ad13467def", "667d3b55f8b1bc0e"),
    ("avazu", "random", "5977fe38620f40bd894a1203645004cf", "82ac291e4ac323ef", "089beb0e6bbe70ef"),
    ("avazu", "last-day", "5977fe38620f40bd894a1203645004cf", "8a36f01b76e247cc", "f8bfdfc0a69f8aa3"),
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
