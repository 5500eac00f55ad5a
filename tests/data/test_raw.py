"""Raw files: every packing gives the same blocks, and what is cut off or no data file is refused."""

import gzip
import hashlib
import io
import tarfile
import zipfile

import pytest

from mlet_bench.data import raw
from mlet_bench.data.raw import RawFile
from mlet_bench.errors import BenchError

LINES = b"".join(b"row %d\n" % number for number in range(40))


def packed_tar(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def packed_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def make(path, packing, content):
    match packing:
        case "plain":
            path.write_bytes(content)
        case "gz":
            path.write_bytes(gzip.compress(content))
        case "tar.gz":
            packed_tar(path, {"dac/readme.txt": b"about\n", "dac/train.txt": content, "dac/test.txt": b"no labels\n"})
        case "sample.tar.gz":
            packed_tar(path, {"license.txt": b"terms\n", "._dac_sample.txt": b"\0", "dac_sample.txt": content})
        case "zip":
            packed_zip(path, {"data/train.csv": content, "README.md": b"about\n", "data/test.csv": b"no labels\n"})
        case "zip of gz":
            packed_zip(path, {"train.gz": gzip.compress(content), "test.gz": b"-", "sampleSubmission.gz": b"-"})
    return path


def text_of(source):
    return b"".join(block.text for block in source)


@pytest.mark.parametrize("packing", ["plain", "gz", "tar.gz", "sample.tar.gz", "zip", "zip of gz"])
def test_every_packing_gives_the_same_lines_whatever_the_name_says(tmp_path, packing):
    source = RawFile(make(tmp_path / "data.bin", packing, LINES))
    assert text_of(source) == LINES
    assert (source.rows, source.whole, source.md5) == (40, True, hashlib.md5(LINES).hexdigest())


@pytest.mark.parametrize("size", [1, 3, 7, 20, 1000])
@pytest.mark.parametrize("max_rows", [None, 1, 11, 40, 41])
def test_block_size_changes_nothing(tmp_path, monkeypatch, size, max_rows):
    monkeypatch.setattr(raw, "BLOCK_BYTES", size)
    headers = []
    path = make(tmp_path / "data", "plain", b"a,b\r\n" + LINES.replace(b"\n", b"\r\n"))
    source = RawFile(path, lambda line, where: headers.append(line), max_rows)
    expected = LINES.splitlines(keepends=True)[:max_rows]
    found = []
    for block in source:
        assert block.first_line == len(found) + 2  # the header is line 1
        found += block.text.splitlines(keepends=True)
    assert found == expected
    assert headers == [b"a,b"]
    assert source.rows == len(expected)
    assert source.whole == (max_rows is None or max_rows >= 40)
    read = b"a,b\r\n" + b"".join(expected).replace(b"\n", b"\r\n")
    assert source.md5 == hashlib.md5(read).hexdigest()


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    headers = []
    path = make(tmp_path / "data", "gz", b"\xef\xbb\xbfa,b\n" + LINES)
    assert text_of(RawFile(path, lambda line, where: headers.append(line))) == LINES
    assert headers == [b"a,b"]
    plain = make(tmp_path / "plain", "plain", b"\xef\xbb\xbf" + LINES)
    source = RawFile(plain)
    assert text_of(source) == LINES
    assert source.md5 == hashlib.md5(plain.read_bytes()).hexdigest()


def test_a_carriage_return_within_a_line_stays(tmp_path):
    path = make(tmp_path / "data", "plain", b"a\rb\r\r\nc\r\n")
    assert text_of(RawFile(path)) == b"a\rb\r\nc\n"


def test_the_folds_of_a_zip_are_read_in_order_each_with_its_header(tmp_path):
    parts = {
        f"x4/{fold}.csv": b"h\n%s 1\n%s 2\n" % (fold.encode(), fold.encode()) for fold in ("test", "valid", "train")
    }
    headers = []
    source = RawFile(packed_zip(tmp_path / "x4.zip", parts), lambda line, where: headers.append((line, where)))
    blocks = list(source)
    assert [block.text for block in blocks] == [b"train 1\ntrain 2\n", b"valid 1\nvalid 2\n", b"test 1\ntest 2\n"]
    assert [block.first_line for block in blocks] == [2, 2, 2]
    assert [where.rpartition(" ")[2] for _, where in headers] == ["(x4/train.csv)", "(x4/valid.csv)", "(x4/test.csv)"]
    assert source.rows == 6
    limited = RawFile(source.path, lambda line, where: None, 2)
    assert text_of(limited) == b"train 1\ntrain 2\n"
    assert not limited.whole


def refused(path, header=False, max_rows=None):
    with pytest.raises(BenchError) as caught:
        list(RawFile(path, (lambda line, where: None) if header else None, max_rows))
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_what_is_no_file_is_refused(tmp_path):
    assert "is no file" in refused(tmp_path / "absent")
    assert "is no file" in refused(tmp_path)


@pytest.mark.parametrize("packing", ["plain", "gz", "tar.gz", "zip"])
def test_an_empty_file_and_a_lone_header_are_refused(tmp_path, packing):
    assert "is empty" in refused(make(tmp_path / "empty", packing, b""))
    assert "has a header and no rows" in refused(make(tmp_path / "header", packing, b"a,b\n"), header=True)


@pytest.mark.parametrize("packing", ["plain", "gz", "tar.gz", "zip"])
def test_a_last_line_without_its_end_is_refused(tmp_path, packing):
    sentence = refused(make(tmp_path / "data", packing, LINES + b"row"))
    assert "the last line (41) has no line end" in sentence
    assert "append a newline" in sentence


def test_a_cut_off_line_beyond_max_rows_is_not_read(tmp_path):
    source = RawFile(make(tmp_path / "data", "plain", LINES + b"row"), max_rows=40)
    assert text_of(source) == LINES
    assert not source.whole


@pytest.mark.parametrize("packing", ["gz", "tar.gz", "zip"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_truncated_archive_is_refused(tmp_path, packing, kept):
    import random

    draw = random.Random(0)
    content = b"".join(b"%016x\n" % draw.getrandbits(64) for _ in range(5000))
    path = make(tmp_path / "data", packing, content)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    assert "cut off or damaged" in refused(path)


def test_a_flipped_byte_in_an_archive_is_refused(tmp_path):
    path = make(tmp_path / "data", "gz", LINES)
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # within the checksum
    path.write_bytes(content)
    assert "cut off or damaged" in refused(path)


def test_binary_input_is_refused(tmp_path):
    assert "is no text" in refused(make(tmp_path / "data", "plain", b"PAR1\x15\x00\x00\x00" + bytes(99)))
    assert "is no text" in refused(make(tmp_path / "data.gz", "gz", bytes(99)))
    assert "it is no raw data file" in refused(make(tmp_path / "long", "plain", b"x" * (raw.LONGEST_LINE + 1)))


def test_an_archive_without_one_clear_data_file_is_refused(tmp_path):
    assert "no data file" in refused(packed_zip(tmp_path / "a", {"readme.txt": b"x\n", "image.png": b"x"}))
    assert "several files" in refused(packed_tar(tmp_path / "b", {"one.txt": b"x\n", "two.txt": b"x\n"}))
    sentence = refused(packed_zip(tmp_path / "c", {}))
    assert "it is empty" in sentence
