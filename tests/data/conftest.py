"""A small Hugging Face for the tests of downloads."""

import pytest
from hub import CONTENT, Hub

from mlet_bench.data import download


@pytest.fixture
def hub(monkeypatch):
    """Stands for huggingface.co; a piece is a quarter of the file."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PIECE", len(CONTENT) // 4)
    with Hub({"owner/set/data.gz": CONTENT}) as hub:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template.replace(constants.ENDPOINT, hub.url))
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def impatient(monkeypatch):
    """The library waits 1 to 8 seconds between attempts."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
