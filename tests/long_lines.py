"""Files with a line that does not end, a few bytes on the disk each, and what the commands say of them."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from mlet_bench.data.generate import synthesize

TABLE = ("prepare", "table", "--label", "y", "--categorical", "c", "--dense", "x")
MIB = 1 << 20


class LongLine(NamedTuple):
    """A kind of file: what stands before the long line's content, of which byte that is, the command, the sentence."""

    rows: Callable[[Path], bytes]
    start: bytes
    fill: bytes
    words: tuple[str, ...]
    said: str
    packed: bool = False

    def write(self, path: Path, mebibytes: int) -> None:
        """Whole rows, the long line, and the rows again."""
        rows = self.rows(path)
        with gzip.open(path, "wb", 1) if self.packed else path.open("wb") as file:
            file.write(rows + self.start)
            if self.fill == b"\0" and not self.packed:
                file.seek(mebibytes * MIB, 1)  # a hole: such bytes take no room
            else:
                for piece in self._pieces(mebibytes):
                    file.write(piece)
            file.write(b"\n" + rows)

    def _pieces(self, mebibytes: int) -> Iterator[bytes]:
        return (self.fill * MIB for _ in range(mebibytes))


def criteo(path: Path) -> bytes:
    plain = path.with_name("plain.txt")
    synthesize("criteo-kaggle", 300, 0, plain)
    return plain.read_bytes()


def table(path: Path) -> bytes:
    return b"y,c,x\n" + b"".join(b"%d,t%d,%d\n" % (row % 2, row % 7, row) for row in range(300))


RAW = ("prepare", "criteo-kaggle")
LONG_LINES = {
    "raw, a hole": LongLine(criteo, b"", b"\0", RAW, "line 301: no line end in"),
    "raw, tabs": LongLine(criteo, b"", b"\t", RAW, "line 301: no line end in"),
    "raw, packed": LongLine(criteo, b"0\t", b"7", RAW, "line 301: no line end in", packed=True),
    "table, a value": LongLine(table, b"1,", b"a", TABLE, "row 301: no end in"),
    "table, separators": LongLine(table, b"", b",", TABLE, "row 301: no end in"),
    "table, a quote": LongLine(table, b"1,\"", b"\n", TABLE, "row 301: no end in"),
    "table, the header": LongLine(lambda path: b"", b"y,c,", b"x", TABLE, "the header: no end in"),
    "table, packed": LongLine(table, b"1,", b"a", TABLE, "row 301: no end in", packed=True),
}  # fmt: skip
