"""Without TorchRec, importing its module says what to install."""

import importlib.util

import pytest

from mlet_bench.errors import BenchError


@pytest.mark.skipif(importlib.util.find_spec("torchrec") is not None, reason="torchrec is installed")
def test_without_torchrec_a_sentence_says_what_is_missing():
    with pytest.raises(BenchError, match=r"needs torchrec and fbgemm-gpu .*docs/scale-out\.md"):
        import mlet_bench.torchrec  # noqa: F401
