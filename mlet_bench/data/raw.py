"""A raw file, packed or not, as a stream of blocks of whole lines."""

import gzip
import hashlib
import lzma
import shlex
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, cast

import numpy as np

from mlet_bench.errors import BenchError, UnreadableError

BLOCK_BYTES = 1 << 24  # some 65,000 lines: the larger, the fewer distinct values of all blocks have to be put together
LONGEST_LINE = 1 << 20  # the formats' lines have some 300 bytes; this far without a line end is no such file
START_BYTES = 4096  # that say what a file is
BOM = b"\xef\xbb\xbf"
DAMAGED = (EOFError, OSError, RuntimeError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile)


class Form(Protocol):
    """Another form of a data set's lines: see ``mlet_bench.data.forms``."""

    @property
    def separator(self) -> str: ...

    @property
    def places(self) -> tuple[int | None, ...]: ...

    @property
    def skipped(self) -> int: ...

    def rewrite(self, text: bytes, line: int, where: str) -> bytes: ...


@dataclass(frozen=True)
class Block:
    """Whole lines of a raw file, the header left out.

    Attributes:
        text: the lines, each ended by ``\\n`` alone.
        first_line: number of the first of them in its file, counted from 1 with the header.
        where: the file, and the member of an archive, as error sentences name it.
    """

    text: bytes
    first_line: int
    where: str

    def __len__(self) -> int:
        return count_byte(self.text, "\n")

    def halves(self) -> tuple["Block", "Block"]:
        """Two blocks of about half the lines each; of a single line the second is empty."""
        half = self.text.find(b"\n", len(self.text) // 2) + 1
        if half == len(self.text):
            half = self.text.rfind(b"\n", 0, half - 1) + 1
        first = Block(self.text[:half], self.first_line, self.where)
        return first, Block(self.text[half:], self.first_line + len(first), self.where)


class RawFile:
    """A raw file to iterate over once, in blocks.

    Plain text, ``.gz``, ``.tar.gz`` and ``.zip`` are told apart by their content. Of a tar archive ``train.txt`` is
    read, else its only ``.txt``; of a zip archive ``train.csv``, ``valid.csv`` and ``test.csv`` one after the other
    where it has all three, else ``train.*`` (a competition's own test file has no labels), else its only data file.

    Attributes:
        rows: rows given out so far.
        share: how much of the file, as it lies on disk, is read; for showing the time left.
        whole: whether everything was read; False where ``max_rows`` left something.
        md5: of the unpacked bytes given out so far, headers included; equal for a file and its compressed twin.
        form: how the lines are rewritten, once the first were read; None if they are not.

    Example::

        raw = RawFile("train.txt.gz", max_rows=1000)
        for block in raw:
            ...
        raw.rows, raw.md5
    """

    def __init__(
        self,
        path: Path | str,
        check_header: Callable[[bytes, str], None] | None = None,
        max_rows: int | None = None,
        form_of: Callable[[bytes], Form | None] = lambda line: None,
    ):
        """
        Args:
            check_header: takes the header line and where it stands, and raises if it is wrong; None: no header.
            form_of: takes the first two lines and says how the lines are to be rewritten; None: they stay.
            max_rows: give out as many rows at most; a packed file is read to its end all the same, for its checksum.
        """
        self.path = Path(path)
        self.rows = 0
        self.share = 0.0
        self.whole = True
        self.form: Form | None = None
        self._unpacking = ""
        self._check_header, self._form_of = check_header, form_of
        self._max_rows = max_rows
        self._hash = hashlib.md5(usedforsecurity=False)

    @property
    def md5(self) -> str:
        return self._hash.hexdigest()

    def through(self, filter: str) -> str:
        """A line of shell that sends what is read, unpacked, through a filter into a new file beside the raw one."""
        return f"{self._unpacking} | {filter} > {shlex.quote(f'{self.path}.converted')}"

    def __iter__(self) -> Iterator[Block]:
        """Yield the blocks.

        Raises:
            BenchError: no such file, no text, an archive without a data file, a damaged archive, an empty file, or a
                last line without a line end.
        """
        if not self.path.is_file():
            raise BenchError(f"{self.path} is no file: give the path of a raw data file")
        with self.path.open("rb") as file, ExitStack() as stack:
            try:
                size = self.path.stat().st_size
                for where, stream, unpacking in _members(file, self.path, stack):
                    self._unpacking = unpacking
                    if self.whole:
                        for block in self._blocks(stream, where):
                            self.share = file.tell() / size
                            yield block
                        if stream is not file:
                            _read_on(stream)
            except DAMAGED as error:
                raise BenchError(
                    f"{self.path} is cut off or damaged ({type(error).__name__}: {error}): fetch it again"
                ) from None

    def _blocks(self, stream: IO[bytes], where: str) -> Iterator[Block]:
        line, rest, header_due, rows_before = 1, b"", self._check_header is not None, self.rows
        while self.whole and (read := stream.read(BLOCK_BYTES)):
            if self.rows == self._max_rows:
                self.whole = False
                return
            if line == 1 and b"\0" in (start := read[:START_BYTES]):
                raise UnreadableError(f"{where} is no text (it has NUL bytes): give text, .gz, .tar.gz or .zip", start)
            text = rest + read
            end = text.rfind(b"\n") + 1
            text, rest = text[:end], text[end:]
            if len(rest) > LONGEST_LINE:
                number = line + count_byte(text, "\n")
                sentence = f"{where}, line {number}: no line end in {len(rest):,} bytes, so it is no raw data file"
                raise UnreadableError(sentence, rest[:START_BYTES])
            if not text:
                continue
            if line == 1:
                self.form = self._form_of(b"\n".join(text[: 2 * LONGEST_LINE].split(b"\n", 2)[:2]))
            if self.form:
                text = self.form.rewrite(text, line, where)
                line += self.form.skipped if line == 1 else 0
            first = rows_before == self.rows
            text = self._cut(text, header_due)
            self._hash.update(text)
            if first:
                text = text.removeprefix(BOM)
            if header_due and self._check_header:
                header, _, text = text.partition(b"\n")
                self._check_header(header.removesuffix(b"\r"), where)
                header_due, line = False, line + 1
            if text:
                block = Block(text.replace(b"\r\n", b"\n") if b"\r" in text else text, line, where)
                self.rows += len(block)
                line += len(block)
                yield block
        if not self.whole:
            return
        if rest and self.rows == self._max_rows:
            self.whole = False
        elif rest:
            advice = f"fetch it again, or append a newline if it is whole: {self.through('(cat; echo)')}"
            sentence = f"{where}: the last line ({line}) has no line end, so the file seems cut off: {advice}"
            raise UnreadableError(sentence, rest[:START_BYTES])
        elif self.rows == rows_before:
            held = "is empty" if line == 1 else "has a header and no rows"
            raise BenchError(f"{where} {held}: there is nothing to prepare")

    def _cut(self, text: bytes, header_due: bool) -> bytes:
        """The lines without those behind the last row wanted."""
        if self._max_rows is None:
            return text
        wanted = self._max_rows - self.rows + header_due
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
        if len(ends) <= wanted:
            return text
        self.whole = False
        return text[: int(ends[wanted - 1]) + 1]


def count_byte(text: bytes, byte: str) -> int:
    """How often one byte occurs: numpy compares many at once, ``bytes.count`` stops at each."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(byte)))


def _members(file: IO[bytes], path: Path, stack: ExitStack) -> Iterator[tuple[str, IO[bytes], str]]:
    """The unpacked streams of a raw file, each with how to name it, and how a shell unpacks it."""
    quoted = shlex.quote(str(path))
    if _start(file, 4) in (b"PK\x03\x04", b"PK\x05\x06"):
        archive = stack.enter_context(zipfile.ZipFile(file))
        for name in _choose([info.filename for info in archive.infolist() if not info.is_dir()], path):
            stream = _gunzipped(packed := stack.enter_context(archive.open(name)), stack)
            again = "" if stream is packed else " | gzip -dc"
            yield f"{path} ({name})", stream, f"unzip -p {quoted} {shlex.quote(name)}{again}"
        return
    stream = _gunzipped(file, stack)
    try:
        archive = tarfile.TarFile(fileobj=stream)
    except tarfile.ReadError:
        stream.seek(0)
        yield str(path), stream, f"cat {quoted}" if stream is file else f"gzip -dc {quoted}"
        return
    # The first pass over a packed archive costs its whole unpacking: stop at train.txt, which most have.
    files = {}
    for info in archive:
        if info.isfile():
            files[info.name] = info
            if PurePosixPath(info.name).name == "train.txt":
                break
    for name in _choose(list(files), path):
        member = cast(IO[bytes], archive.extractfile(files[name]))  # none for folders alone
        yield f"{path} ({name})", member, f"tar -xOf {quoted} {shlex.quote(name)}"
    _read_on(stream)


def _read_on(packed: IO[bytes]) -> None:
    """Read what is left, rows that nobody wants too: the sum that the rows before are checked by stands at the end."""
    while packed.read(BLOCK_BYTES):
        pass


def _choose(names: list[str], path: Path) -> list[str]:
    """The members of an archive to read, in order."""
    known = {}
    for name in names:
        base = PurePosixPath(name).name.lower()
        # A name with a dot before it, or in __MACOSX, is a Mac's note on the file of that name.
        is_data = base.endswith((".txt", ".csv", ".gz")) and "__MACOSX" not in name
        if is_data and not base.startswith((".", "readme", "license", "licence")):
            known[base] = name
    folds = ["train.csv", "valid.csv", "test.csv"]
    if all(fold in known for fold in folds):
        return [known[fold] for fold in folds]
    train = [base for base in known if base.split(".")[0] == "train"]
    candidates = train or list(known)
    if len(candidates) == 1:
        return [known[candidates[0]]]
    problem = "several files that may be the data" if candidates else "no data file"
    raise BenchError(f"{path} has {problem} ({', '.join(sorted(names)) or 'it is empty'}): unpack it and give the file")


def _start(stream: IO[bytes], size: int) -> bytes:
    start = stream.read(size)
    stream.seek(0)
    return start


def _gunzipped(stream: IO[bytes], stack: ExitStack) -> IO[bytes]:
    if _start(stream, 2) != b"\x1f\x8b":
        return stream
    return cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=stream)))
