"""A file of the outside world: how it is called, where it lies, and how to know that it is the right one."""

import gzip
import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from mlet_bench.errors import BenchError
from mlet_bench.files import file_digest, write_json


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch.

    Attributes:
        source: what ``download`` calls it.
        file: its name, in the data folder and where it is fetched from.
        hub: the data set of Hugging Face that holds it, ``owner/name``.
        kaggle: else the competition whose file it is, fetched with the user's token.
        md5: of the file as it is served; None where nobody published it.
        unpacked: (member, md5) of the unpacked content: members of a zip archive, or ("", md5) of a gzip file.
        order: ``original``, or ``shuffled`` where the rows have been mixed: fit for a random split only.
        instead: what else to do where it cannot be had, as the end of a sentence.
    """

    source: str
    file: str
    hub: str = ""
    kaggle: str = ""
    md5: str | None = None
    unpacked: tuple[tuple[str, str], ...] = ()
    order: str = "original"
    instead: str = ""

    @property
    def page(self) -> str:
        """Where a person finds it."""
        if self.kaggle:
            return f"https://www.kaggle.com/competitions/{self.kaggle}/data"
        return f"https://huggingface.co/datasets/{self.hub}"

    @property
    def by_hand(self) -> str:
        """What to do where it cannot be fetched, as the end of a sentence."""
        ways = f"fetch it in a browser from {self.page} and give its path in the configuration (source: file)"
        return f"{ways}; or {self.instead}" if self.instead else ways

    @property
    def token_help(self) -> str:
        """How to get a Kaggle token, as part of a sentence."""
        return (
            f"accept the rules at kaggle.com/competitions/{self.kaggle}/rules, make a token at kaggle.com/settings, "
            "and put it into the variable KAGGLE_API_TOKEN or the file ~/.kaggle/access_token (an older "
            "~/.kaggle/kaggle.json, or KAGGLE_USERNAME with KAGGLE_KEY, works too)"
        )

    def check(self, path: Path) -> tuple[str, str | None]:
        """The md5 of the file at ``path``, and what is wrong with it; None if it is the right one.

        Without any published sum a gzip file must at least unpack, which checks its own.
        """
        md5 = file_digest(path, "md5")
        if self.md5 is not None:
            return md5, None if md5 == self.md5 else f"md5 {md5}, expected {self.md5}"
        try:
            if not self.unpacked:
                _unpacked_md5(path, "")
            for member, expected in self.unpacked:
                found = _unpacked_md5(path, member)
                if found != expected:
                    return md5, f"unpacked {member or 'content'} has md5 {found}, expected {expected}"
        except KeyError as error:
            return md5, f"the archive has no {error}"
        except (EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
            return md5, f"it cannot be unpacked ({error})"
        return md5, None

    def use(self, path: Path) -> Path:
        """Take a file that was there before: checked unless ``record`` knows it, never changed.

        Raises:
            BenchError: it is not the right file.
        """
        try:
            known = json.loads(_record_path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}
        stat = path.stat()
        found = {"source": self.source, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        if found.items() <= known.items():
            return path
        md5, problem = self.check(path)
        if problem is not None:
            raise BenchError(
                f"{path} was there already and is not the file of source {self.source!r}: {problem}. It was left as it "
                "is; move it away to fetch the right one, or, if it is meant, give its path in the configuration "
                "(source: file)"
            )
        self.record(path, md5)
        return path

    def record(self, path: Path, md5: str) -> None:
        """Note beside a checked file what it is, so that it is not hashed again."""
        stat = path.stat()
        content = {"source": self.source, "url": self.page, "order": self.order, "md5": md5}
        write_json(_record_path(path), content | {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns})


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".verified.json")


def _unpacked_md5(path: Path, member: str) -> str:
    if not member:
        with gzip.open(path) as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    with zipfile.ZipFile(path) as archive:
        names = {Path(name).name: name for name in archive.namelist()}  # whatever folder they lie in
        with archive.open(names[member]) as file:
            return hashlib.file_digest(cast(io.BufferedReader, file), "md5").hexdigest()
