"""The second pass: ids by first appearance, through the spool, and what a vocabulary says of its tokens."""

import numpy as np
import pandas as pd
import pytest

from mlet_bench.data import split, vocabulary
from mlet_bench.data.parse import Rows
from mlet_bench.data.spool import Spool


@pytest.mark.parametrize("missing", [0, 0.05])
def test_ids_count_by_first_appearance_over_all_blocks(tmp_path, monkeypatch, missing):
    monkeypatch.setattr(vocabulary, "COUNTED", 70_000)
    draw, n = np.random.default_rng(0), 400_000
    tokens = draw.integers(0, 2**32, 100_000, dtype=np.uint32)[(100_000 ** draw.random(n)).astype(int)]
    absent, codes = draw.random(n) < missing, draw.integers(0, 3, n, dtype=np.int8)
    tokens[absent] = 0
    tokens[[7, n - 7]], absent[[7, n - 7]] = 0, False  # the token of zeros is no missing one
    parts = [slice(start, start + 30_000) for start in range(0, n, 30_000)]
    rows = Spool(tmp_path)
    rows.write_rows(
        Rows({"label": codes[part]}, {"C1": tokens[part]}, {"C1": absent[part]} if missing else {}) for part in parts
    )
    sizes = vocabulary.encode_fields(("C1",), codes, rows, tmp_path / "vocabulary")
    values = pd.array(tokens, dtype="UInt32")
    values[absent] = pd.NA
    ids, unique = pd.factorize(values, use_na_sentinel=False)
    assert sizes == [len(unique)]
    blocks = [
        [values.copy() for values in block] for block in rows.read_blocks([("id", "C1"), ("feature", "label")], 30_000)
    ]
    assert [len(block[0]) for block in blocks] == [30_000] * 13 + [10_000]
    np.testing.assert_array_equal(np.concatenate([block[0] for block in blocks]), ids)
    np.testing.assert_array_equal(np.concatenate([block[1] for block in blocks]), codes)
    found = pd.read_parquet(tmp_path / "vocabulary" / "C1.parquet")
    assert found["token"].fillna("").tolist() == ["" if pd.isna(token) else f"{token:08x}" for token in unique]
    np.testing.assert_array_equal(found["count"], np.bincount(ids[codes == split.TRAIN], minlength=len(unique)))
