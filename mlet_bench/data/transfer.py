"""One file over HTTP from one mirror: in pieces, resumed where it broke off."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import requests
from tqdm import tqdm

from mlet_bench.data.remote import RemoteFile
from mlet_bench.errors import BenchError
from mlet_bench.files import check_room, write_json

BLOCK = 1 << 15  # bytes; a block that the connection breaks off in is lost


@dataclass(frozen=True)
class Patience:
    """How long to bear with a mirror.

    Attributes:
        connect, read: seconds to wait for a connection, and for the next bytes.
        tries: attempts in a row without a new byte before the mirror is given up.
        pause: seconds before the second attempt, doubled for each further one.
    """

    connect: float = 10.0
    read: float = 60.0
    tries: int = 4
    pause: float = 2.0


PATIENCE = Patience()


class MirrorError(Exception):
    """This mirror does not give the file; another may."""


class _CutOffError(Exception):
    """The transfer broke off; trying again may help."""


def transfer(url: str, part: Path, remote: RemoteFile, patience: Patience) -> None:
    """Bring ``part`` to its end, going on with what is there.

    Where the file's md5 is known it decides later whether the pieces fit, so any mirror may go on with another's
    piece. Where it is not, only the mirror that began goes on, and only if it says that its file is unchanged
    (If-Range with what ``<part>.json`` noted).

    Raises:
        MirrorError: the mirror refuses, has another file, or brings nothing new.
        BenchError: the bytes cannot be written.
    """
    furthest, failures = _size(part), 0
    while True:
        try:
            return _attempt(url, part, remote, patience)
        except (requests.RequestException, _CutOffError) as error:
            # Some progress resets the count: a large file over a bad line may need many attempts.
            failures = 0 if _size(part) > furthest else failures + 1
            furthest = max(furthest, _size(part))
            if failures >= patience.tries:
                raise MirrorError(f"gave up after {failures} attempts that brought nothing new ({error})") from None
            time.sleep(patience.pause * 2 ** max(failures - 1, 0))
        except OSError as error:
            raise BenchError(f"{part} cannot be written ({error}): make room or give another folder") from None


def discard(part: Path) -> None:
    """Remove a partial file and its note."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _attempt(url: str, part: Path, remote: RemoteFile, patience: Patience) -> None:
    have = _size(part)
    if have == remote.size:
        return
    headers = {"Accept-Encoding": "identity"}  # the bytes as they are stored
    if remote.md5 is None and have:
        validator = _noted_validator(part, url)
        have = have if validator else 0
        headers["If-Range"] = validator
    if have:
        headers["Range"] = f"bytes={have}-"
    timeout = (patience.connect, patience.read)
    with requests.get(url, stream=True, timeout=timeout, headers=headers) as response:
        if response.status_code == 416:
            if response.headers.get("Content-Range") == f"bytes */{have}":
                return  # it was whole already
            discard(part)
            raise _CutOffError("the partial file did not fit the mirror's")
        have = _accepted(response, have)
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        if None not in (total, remote.size) and total != remote.size:
            raise MirrorError(f"its file has {total} bytes, expected {remote.size}")
        check_room(part, (total or have) - have)
        write_json(_note(part), {"url": url, "validator": _validator(response)})
        with (
            open(part, "ab" if have else "wb") as file,
            tqdm(total=total, initial=have, desc=remote.file, unit="B", unit_scale=True, disable=None) as progress,
        ):
            for block in response.iter_content(BLOCK):
                file.write(block)
                progress.update(len(block))
        if total is not None and _size(part) < total:  # not every urllib3 notices
            raise _CutOffError(f"the connection ended at byte {_size(part)} of {total}")


def _accepted(response: requests.Response, have: int) -> int:
    """The byte at which the response goes on: ``have``, or 0 where the server sends the whole file."""
    status, content_range = response.status_code, response.headers.get("Content-Range", "")
    if status in (408, 425, 429) or status >= 500:
        raise _CutOffError(f"HTTP {status} {response.reason}")
    if status not in (200, 206):
        raise MirrorError(f"HTTP {status} {response.reason}")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise MirrorError("it answers with a web page instead of the file")
    if status == 206 and not content_range.startswith(f"bytes {have}-"):
        raise MirrorError(f"asked for the bytes from {have} on, it sent {content_range!r}")
    return have if status == 206 else 0


def _validator(response: requests.Response) -> str | None:
    """What names this version of the file: a strong ETag (a weak one promises no equal bytes), or its date."""
    etag = response.headers.get("ETag", "W/")
    return response.headers.get("Last-Modified") if etag.startswith("W/") else etag


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _noted_validator(part: Path, url: str) -> str | None:
    try:
        note = json.loads(_note(part).read_text())
    except (OSError, ValueError):
        return None
    return note.get("validator") if note.get("url") == url else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
