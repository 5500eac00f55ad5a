"""Two DAGs at once: in one folder, as people do with --nolock, and in two that are made from the same files."""

import shutil

import pytest
from dags import CONFIG, assert_equal, start
from kill_at import numbers

pytestmark = pytest.mark.stress
TOGETHER = 2
SMALL = CONFIG | {"datasets": {"avazu": {"source": "synthesize", "rows": 1500}}}


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """A folder where one DAG has run."""
    folder = tmp_path_factory.mktemp("dag") / "right"
    process = start(folder, config=SMALL)
    assert process.wait() == 0, (folder / "snakemake.log").read_text()[-3000:]
    return folder


def test_two_dags_in_one_folder(right, tmp_path, capsys):
    """Snakemake's lock left out, the jobs meet: those that are refused say so, and one more call makes all whole."""
    folder = tmp_path / "both"
    both = [start(folder, "--nolock", config=SMALL) for _ in range(TOGETHER)]
    ended = [process.wait() for process in both]
    log = (folder / "snakemake.log").read_text()
    assert "Traceback" not in log, log[-3000:]
    assert start(folder, config=SMALL).wait() == 0, (folder / "snakemake.log").read_text()[-3000:]
    assert_equal(right, folder)
    with capsys.disabled():
        refused = log.count("another process is")
        print(f"\ntwo DAGs in one folder: {ended.count(0)} ended well, {refused} jobs refused; then whole", end="")


@pytest.mark.parametrize("source", ["file", "prepared"])
def test_two_dags_on_the_same_data(right, tmp_path, capsys, source):
    """Each in a folder of its own, from one raw file or one prepared data set, which stays as it was."""
    given = shutil.copytree(right / "results" / "toy", tmp_path / "given")
    file = given / "raw/avazu.txt" if source == "file" else given / "data/avazu"
    before = numbers(given)
    config = SMALL | {"datasets": {"avazu": {"source": source, "file": str(file)}}}
    folders = [tmp_path / f"folder{number}" for number in range(TOGETHER)]
    for process, folder in [(start(folder, config=config), folder) for folder in folders]:
        assert process.wait() == 0, (folder / "snakemake.log").read_text()[-3000:]
    assert numbers(given) == before
    runs = [numbers(folder / "results/toy/runs") for folder in (right, *folders)]
    assert runs[0] and all(each == runs[0] for each in runs)
    with capsys.disabled():
        print(f"\ntwo DAGs on the same data ({source}): {TOGETHER} ended in the same bits", end="")
