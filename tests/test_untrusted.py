"""Files from elsewhere: nothing in them is run, nothing is written outside the folder asked for."""

import ast
import gzip
import io
import pickle
import random
import re
import resource
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from long_lines import LONG_LINES, table
from staged import call

from mlet_bench.data.generate import synthesize
from mlet_bench.data.prepare import prepare
from mlet_bench.data.raw import RawFile
from mlet_bench.errors import BenchError
from mlet_bench.training.checkpoint import load_checkpoint

PACKAGE = Path(__file__).parents[1] / "mlet_bench"
RUNS_CODE = {
    "pickle.load",
    "pickle.loads",
    "pd.read_pickle",
    "eval",
    "exec",
    "yaml.load",
    "marshal.loads",
    "joblib.load",
}


def calls():
    """Every call in the package: file, name as written, names of its keyword arguments with their source."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                yield file.relative_to(PACKAGE), ast.unparse(node.func), keywords


def test_nothing_that_runs_code_is_ever_called():
    found = list(calls())
    assert not [(file, name) for file, name, _ in found if name in RUNS_CODE]
    loads = [(file, keywords) for file, name, keywords in found if name == "torch.load"]
    assert loads and all(keywords.get("weights_only") == "True" for _, keywords in loads)
    assert all(keywords.get("allow_pickle", "False") == "False" for _, name, keywords in found if name == "np.load")
    assert not [file for file in PACKAGE.rglob("*.py") if "import pickle" in file.read_text()]


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("store", ["torch", "pickle"])
def test_a_checkpoint_that_would_run_code_is_refused(store, tmp_path):
    mark, path = tmp_path / "it ran", tmp_path / "checkpoint.pt"
    if store == "torch":
        torch.save({"run_id": "x", "model": Bomb(mark)}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(BenchError, match="delete it"):
        load_checkpoint(tmp_path, "x", "code")
    assert not mark.exists()


def evil_tar(path, content):
    with tarfile.open(path, "w:gz") as archive:
        for name, kind in (("../../link.txt", tarfile.SYMTYPE), ("/etc/hard", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("../../../outside/train.txt")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))


def evil_zip(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../outside/train.txt", content)


@pytest.mark.parametrize("pack", [evil_tar, evil_zip])
def test_an_archive_cannot_write_outside_the_folder_asked_for(pack, tmp_path):
    synthesize("criteo-kaggle", 300, 0, tmp_path / "plain.txt")
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    pack(place / "raw", (tmp_path / "plain.txt").read_bytes())
    before = {path for path in tmp_path.rglob("*")}
    schema = prepare("criteo-kaggle", place / "raw", place / "out")
    assert sum(schema.rows.values()) == 300
    made = {path for path in tmp_path.rglob("*") if path != place / ".out.lock"} - before
    assert made and all(path == place / "out" or (place / "out") in path.parents for path in made)


def packed(kind: str, text: bytes) -> bytes:
    """An archive, or a compressed file, in memory."""
    buffer = io.BytesIO()
    if kind == "gz":
        return gzip.compress(text)
    if kind == "tar.gz":
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for name, content in (("dac/readme.txt", b"hello"), ("dac/train.txt", text), ("dac/test.txt", text)):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return buffer.getvalue()
    with zipfile.ZipFile(buffer, "w", getattr(zipfile, kind)) as archive:
        archive.writestr("x/train.csv", text)
    return buffer.getvalue()


is_row = re.compile(rb"[01]\t\d+\t[0-9a-f]{8}").fullmatch


@pytest.mark.parametrize("max_rows", [None, 100])
@pytest.mark.parametrize("kind", ["gz", "tar.gz", "ZIP_STORED", "ZIP_DEFLATED", "ZIP_BZIP2", "ZIP_LZMA"])
def test_a_damaged_archive_is_refused_or_gives_the_right_rows(kind, max_rows, tmp_path):
    """Bytes changed, left out, or cut off at its end: no library's own exception, and no altered row, the first rows
    of more included: the sum that says whether they are right stands at the end.
    """
    text = b"".join(b"%d\t%d\t%08x\n" % (row % 2, row, row * 2654435761 % 2**32) for row in range(300))
    wanted = b"".join(text.splitlines(keepends=True)[:max_rows])
    draw, whole, path, refused = random.Random(0), packed(kind, text), tmp_path / "raw", 0
    for _ in range(200):
        damaged, place = bytearray(whole), draw.randrange(len(whole))
        match draw.randrange(4):
            case 0:
                del damaged[place : place + draw.randrange(1, 50)]
            case 1:
                del damaged[place:]
            case _:
                damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            found = b"".join(block.text for block in RawFile(path, max_rows=max_rows))
        except BenchError as error:
            refused += 1
            assert str(path) in str(error)
            continue
        if is_row(found.partition(b"\n")[0]):  # else it lost its own start, is plain text, and no row to a parser
            assert found == wanted
    assert refused > 100


def test_a_link_in_the_place_of_the_data_is_not_followed(tmp_path):
    with tarfile.open(tmp_path / "raw", "w:gz") as archive:
        info = tarfile.TarInfo("train.txt")
        info.type, info.linkname = tarfile.SYMTYPE, str(tmp_path / "plain.txt")
        archive.addfile(info)
    synthesize("criteo-kaggle", 300, 0, tmp_path / "plain.txt")
    with pytest.raises(BenchError, match="has no data file"):
        prepare("criteo-kaggle", tmp_path / "raw", tmp_path / "out")


def test_an_archive_that_unpacks_to_far_more_is_stopped_by_its_first_wrong_line(tmp_path):
    """128 MiB of zeros in 130 kB: read in blocks, refused in the first, nothing is left."""
    with (
        zipfile.ZipFile(tmp_path / "raw", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("train.txt", "w") as file,
    ):
        for _ in range(8):
            file.write(b"0" * (1 << 24))
    with pytest.raises(BenchError, match="no line end"):
        prepare("criteo-kaggle", tmp_path / "raw", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.lock", "raw"]


@pytest.mark.parametrize("kind", LONG_LINES)
def test_a_line_without_an_end_is_named_and_not_read(kind, tmp_path, capsys):
    long = LONG_LINES[kind]
    long.write(tmp_path / "raw", 40)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert call(*long.words, "--raw", tmp_path / "raw", "--out", tmp_path / "out") == 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000  # kB: some blocks of 16 MiB
    assert f"{tmp_path}/raw, {long.said}" in capsys.readouterr().err
    assert not list(tmp_path.glob("*out*/*")) and not list(tmp_path.glob(".out.partial"))


def test_a_row_that_is_long_and_ends_is_one_row(tmp_path):
    """A value of a megabyte, with line ends within its quotes."""
    text = table(tmp_path) + b'1,"' + b"a\n" * (1 << 19) + b'",7\n'
    (tmp_path / "raw").write_bytes(text)
    options = {"label": "y", "categorical": ["c"], "dense": ["x"]}
    schema = prepare("table", tmp_path / "raw", tmp_path / "out", options=options)
    assert sum(schema.rows.values()) == 301 and schema.table_sizes == (8,)
    (tmp_path / "raw").write_bytes(text + b"a" * (1 << 20) + b"\n")
    with pytest.raises(BenchError, match=r"row 302 .*: 1 columns, expected 3"):
        prepare("table", tmp_path / "raw", tmp_path / "out", options=options)
