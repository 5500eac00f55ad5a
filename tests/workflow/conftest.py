"""One finished run of the toy DAG for all tests that look at it without changing it."""

from pathlib import Path

import pytest
from toy_dag import snakemake


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The working directory of a finished run."""
    folder = tmp_path_factory.mktemp("dag")
    done = snakemake(folder, "--cores", "2", "--show-failed-logs")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder
